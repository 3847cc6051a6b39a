"""trackio, in TRACKIO_DIR or wherever its environment says (TRACKIO_SPACE_ID, TRACKIO_SERVER_URL)."""

from __future__ import annotations

import os
from collections.abc import Mapping

import trackio

from sapwood.training.trackers.backend import PROJECT, Opening


class Trackio:
    """A run of trackio, the same one after every restart. It is known by its name: the newest of that name goes on."""

    def __init__(self, opening: Opening) -> None:
        self.id = opening.name
        self._run = trackio.init(
            os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=opening.name,
            config=opening.config,
            resume="never" if opening.known is None else "allow",
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Hands the values to the thread that stores them."""
        self._run.log(dict(values), step=step)

    def close(self, failed: bool) -> None:
        """Waits until everything is stored."""
        self._run.finish()


open_backend = Trackio
