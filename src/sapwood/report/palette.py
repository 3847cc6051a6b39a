"""Which shade, pattern and mark stands for which source: the same in every plot and legend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MARKS = (("circle", "●"), ("square", "■"), ("diamond", "◆"), ("triangle-up", "▲"), ("triangle-down", "▼"), ("x", "✖"))

HUES = 7
"""Colours of each aim in the style sheet, `--gain-1` to `--gain-7` and `--keep-1` to `--keep-7`, told apart on light
paper and on dark; further sources have them again, paler."""
PALE = 55
"""How much of its colour such a source has, in percent."""


@dataclass(frozen=True, slots=True)
class Tone:
    """How a source looks. Sources with the same aim share a family of colours and differ in colour and mark."""

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


def palette(aims: Mapping[str, str]) -> dict[str, Tone]:
    """A tone for every source: greens and blues for what is to be gained, greys and browns for the rest, hatched where
    it is not judged."""
    found: dict[str, Tone] = {}
    ranks = {"--gain": 0, "--keep": 0}
    for aim, variable in (("gain", "--gain"), ("retention", "--keep"), ("", "--keep")):
        for name in (name for name, kind in aims.items() if kind == aim):
            rank = ranks[variable]
            ranks[variable] += 1
            symbol, glyph = MARKS[rank % len(MARKS)]
            strength = max(1, round(100 * (PALE / 100) ** (rank // HUES)))  # paler each time the hues are through
            found[name] = Tone(f"{variable}-{rank % HUES + 1}", strength, not aim, symbol, glyph)
    return {name: found[name] for name in aims}
