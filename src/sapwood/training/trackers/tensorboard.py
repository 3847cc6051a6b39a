"""TensorBoard: event files beside the run, `tensorboard --logdir RUN/trackers/tensorboard`."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from torch.utils.tensorboard import SummaryWriter

from sapwood.training.trackers.backend import Opening


class TensorBoard:
    """The event files of a run. Every restart adds one."""

    def __init__(self, opening: Opening) -> None:
        self.id = opening.name
        self._writer = SummaryWriter(str(opening.directory))
        if opening.known is None:
            recipe = orjson.dumps(opening.config, option=orjson.OPT_INDENT_2).decode()
            code = "".join(f"    {line}\n" for line in recipe.splitlines())  # text is shown as Markdown
            self._writer.add_text("recipe", code)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes a point for every value; they are in the file when this returns."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, failed: bool) -> None:
        """Closes the event file."""
        self._writer.close()


open_backend = TensorBoard
