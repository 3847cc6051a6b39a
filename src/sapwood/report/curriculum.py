"""What became of the orders of documents: the scores of those that came, against a shuffle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from sapwood.mixture.curriculum import Curriculum
from sapwood.report.multiples import LEFT, LOSS_HEIGHT, WIDTH, Chart, Family, Panel
from sapwood.report.palette import Tone
from sapwood.report.wording import number, short

_TOP, _BOTTOM = 8, 6


def curriculum_families(
    curricula: Sequence[Curriculum], colors: Mapping[str, Tone]
) -> list[tuple[Family, list[Curriculum]]]:
    """By stage, a panel for every source that has scores, and what is in the panels."""
    scored = [curriculum for curriculum in curricula if not math.isnan(curriculum.shuffled)]
    found = []
    for stage, group in groupby(scored, key=lambda curriculum: curriculum.stage):
        members = list(group)
        panels = tuple(_panel(curriculum, colors[curriculum.source]) for curriculum in members)
        found.append((Family(stage, False, panels, ()), members))
    return found


def _panel(curriculum: Curriculum, tone: Tone) -> Panel:
    known = [mean for mean in curriculum.means if not math.isnan(mean)]
    trajectory = f"{short(known[0])} → {short(known[-1])}" if known else "no scores"
    return Panel(
        name=curriculum.source,
        color=tone.css,
        share_text=f"{curriculum.score.replace('_', ' ')} {trajectory} "
        f"(shuffled {short(curriculum.shuffled)}), {number(curriculum.epochs, 2)} epochs",
        loss_text="",
        share=_chart(curriculum),
        loss=None,
    )


def _chart(curriculum: Curriculum) -> Chart:
    values = [curriculum.shuffled, *(mean for mean in curriculum.means if not math.isnan(mean))]
    low, high = min(values), max(values)

    def down(value: float) -> str:
        share = (high - value) / (high - low) if high > low else 0.5
        return f"{round(_TOP + (LOSS_HEIGHT - _TOP - _BOTTOM) * share, 1):g}"

    width = (WIDTH - 4 - LEFT) / len(curriculum.means)
    steps = [
        f"M{round(LEFT + width * place, 1):g} {down(mean)}H{round(LEFT + width * (place + 1), 1):g}"
        for place, mean in enumerate(curriculum.means)
        if not math.isnan(mean)
    ]
    return Chart(
        height=LOSS_HEIGHT,
        top=short(high),
        bottom=short(low),
        line="".join(steps),
        area="",
        reference=f"M{LEFT} {down(curriculum.shuffled)}H{WIDTH - 4}",
        zero=None,
    )
