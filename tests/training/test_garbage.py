from __future__ import annotations

import gc
import weakref

import pytest

from sapwood.training.garbage import EVERY, collected_in_step


class Ring:
    """Holds itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_it_is_collected_at_some_steps_and_nowhere_else() -> None:
    with collected_in_step() as collect:
        assert not gc.isenabled()
        ring = weakref.ref(Ring())
        collect(EVERY + 1)
        assert ring() is not None
        collect(2 * EVERY)
        assert ring() is None
    assert gc.isenabled()


def test_afterwards_it_is_as_before() -> None:
    with pytest.raises(KeyError), collected_in_step():
        raise KeyError
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
