"""Which shade, pattern and mark stands for which source: the same in every plot and legend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MARKS = (("circle", "●"), ("square", "■"), ("diamond", "◆"), ("triangle-up", "▲"), ("triangle-down", "▼"), ("x", "✖"))

STRONGEST, WEAKEST = 100, 42
"""How much of the hue the first and the last source of many have, in percent."""


@dataclass(frozen=True, slots=True)
class Tone:
    """How a source looks. Sources with the same aim share a hue and differ in shade and mark."""

    variable: str
    """A custom property of the style sheet."""
    strength: int
    """How much of it there is over the background, in percent."""
    hatched: bool
    symbol: str
    """The mark, as plotly calls it."""
    glyph: str
    """The mark, as text."""

    @property
    def color(self) -> str:
        """For a figure: the page's script puts the colour of light or dark mode in its place."""
        return f"{self.variable} {self.strength}%"

    @property
    def css(self) -> str:
        """The same colour for the style sheet."""
        return f"color-mix(in srgb, var({self.variable}) {self.strength}%, var(--paper))"


def tones(aims: Mapping[str, str]) -> dict[str, Tone]:
    """A tone for every source: green for what is to be gained, grey for the rest, hatched when it is not judged."""
    found: dict[str, Tone] = {}
    for aim, variable in (("gain", "--gain"), ("retention", "--keep"), ("", "--keep")):
        names = [name for name, kind in aims.items() if kind == aim]
        for rank, name in enumerate(names):
            symbol, glyph = MARKS[rank % len(MARKS)]
            strength = STRONGEST - round((STRONGEST - WEAKEST) * rank / max(len(names) - 1, 2))
            found[name] = Tone(variable, strength, not aim, symbol, glyph)
    return {name: found[name] for name in aims}
