"""Kinds of models, one for each kind of layer, are what docs/models.md says of all: `make models` tries the others."""

from __future__ import annotations

import pytest

from checks import CHECKS, REFUSED, WRONG, checked

pytestmark = pytest.mark.slow

pytest.importorskip("peft", reason="needs PEFT")
KINDS = {
    "llama": "bounds",
    "qwen3": "bounds",
    "gpt2": "bounds",
    "opt": "bounds",
    "falcon": "rows",
    "gemma2": "positions",
    "gemma3_text": "positions",
    "gpt_oss": "rows",
    "olmoe": "bounds",
    "mamba": "rows",
    "mamba2": "rows",
    "granitemoehybrid": "rows",
    "lfm2": "bounds",  # whose configuration by itself has attention alone
    "qwen3_next": "rows",
    "jamba": "rows",
    "recurrent_gemma": "rows",
}
"""What keeps their documents apart."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_right_or_refused(kind: str) -> None:
    found = checked(kind)
    assert found.keys() == {"built", *CHECKS}
    assert not {name: record for name, record in found.items() if record["word"] == WRONG}
    assert found["documents apart by"]["word"] == KINDS[kind]
    assert {name for name, record in found.items() if record["word"] == REFUSED} <= {"adapters"}
    with_experts = kind in ("gpt_oss", "olmoe", "granitemoehybrid", "qwen3_next", "jamba")
    assert found["experts"]["word"] == ("without auxiliary loss" if with_experts else "none")
