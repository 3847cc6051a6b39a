"""A followed run as a picture for the terminal: what matters first, cut to its width and height."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table as RichTable
from rich.text import Text

from sapwood.report import wording
from sapwood.report.standing import RECENT, DomainStanding, Event, Standing
from sapwood.report.table import Cell, Table, change, number, share
from sapwood.report.wording import duration, percent, rate, short, size

BARS = "▁▂▃▄▅▆▇█"
LAST_EVENTS = 4
"""So many of the last events are shown even where there are more domains than fit."""


def picture(standing: Standing, width: int, height: int | None = None) -> Group:
    """A picture `width` columns wide and at most `height` lines high; without a height, all there is to say."""
    numbers = _numbers(standing, width)
    domains, events = standing.domains, standing.events
    shown = len(domains)
    if height is not None:
        left = height - 1 - max(1, len(standing.stages)) - len(numbers) - 3  # empty lines, and the title of the domains
        shown = min(shown, max(1, left - min(len(events), LAST_EVENTS)))
        events = events[max(0, len(events) - max(1, left - shown)) :]
    parts: list[RenderableType] = [_title(standing, width), _stages(standing, width), *numbers]
    if domains:
        parts += [Text(), _domains(standing, shown)]
    if events:
        parts += [Text(), _events(events, cut=height is not None)]
    return Group(*parts)


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` bars from the lowest value to the highest; of many values, each bar is the mean of some."""
    finite = [value for value in values if math.isfinite(value)]
    bins = min(width, len(finite))
    edges = [len(finite) * number // bins for number in range(bins + 1)] if bins > 0 else [0]
    means = [sum(finite[start:stop]) / (stop - start) for start, stop in pairwise(edges)]
    low, high = min(means, default=0.0), max(means, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((mean - low) * scale)] for mean in means)


def _title(standing: Standing, width: int) -> Text:
    style = "bold yellow" if standing.quiet is not None else "bold green" if standing.finished else "bold cyan"
    title = Text.assemble((standing.name, "bold"), "  ", (standing.state, style), "  ", (standing.model, "dim"))
    title.truncate(width, overflow="ellipsis")
    return title


def _stages(standing: Standing, width: int) -> RenderableType:
    if standing.plan is None:
        return Text("No plan yet.", style="dim")
    table = RichTable.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, max_width=24)
    table.add_column(width=max(8, width - 66))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for stage in standing.stages:
        share = stage.trained / stage.planned if stage.planned else 1.0
        tokens = f"{short(stage.trained)} of {short(stage.planned)} tokens"
        table.add_row(stage.name, ProgressBar(total=1.0, completed=share), percent(share, 0), tokens)
    return table


def _numbers(standing: Standing, width: int) -> list[Text]:
    """The lines of numbers of the whole run; none before the first step."""
    last = standing.last
    if last is None:
        return []
    loss = standing.mean("loss")
    label = f"loss {_or_dash(loss, wording.number)}  "
    losses = [step.loss for step in standing.steps]
    lines = [
        _joined(
            f"step {last.step:,} of about {standing.planned_steps:,}" if standing.plan else f"step {last.step:,}",
            f"{short(standing.trained)} of {short(standing.planned)} tokens" if standing.plan else "",
            f"{duration(standing.seconds_left)} left" if standing.seconds_left and not standing.finished else "",
        ),
        Text.assemble((label, "bold"), (sparkline(losses, width - len(label)), "cyan")),
        _joined(
            f"learning rate {rate(last.learning_rate)}",
            f"gradient {_or_dash(standing.mean('gradient_norm'), short)}",
            f"{_or_dash(standing.tokens_per_second, short)} tokens/s",
            f"MFU {percent(mfu)}" if (mfu := standing.mean("utilisation")) is not None else "",
        ),
        _joined(
            f"memory {size(last.memory_bytes)}",
            f"waiting for data {percent(wait)}" if (wait := standing.mean("data_wait")) is not None else "",
            _checkpoint(standing),
        ),
    ]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _checkpoint(standing: Standing) -> str:
    saved = standing.checkpoint
    if saved is None:
        return "no checkpoint yet"
    age = "" if saved.written is None else f", {duration(max(0.0, standing.now - saved.written))} ago"
    return f"checkpoint of step {saved.step:,}{age}"


def _domains(standing: Standing, shown: int) -> RichTable:
    measured = standing.measured_at
    more = len(standing.domains) - shown
    table = Table(
        *(f"domain (and {more:,} more)" if more else "domain", "share", "loss", f"in {RECENT} steps"),
        *("bits/byte" if measured is None else f"bits/byte at {short(measured)}", "change"),
    )
    for domain in standing.domains[:shown]:
        moved = None if domain.loss is None or domain.before is None else change(domain.loss - domain.before)
        table.add(
            *(domain.name, share(domain.share), number(domain.loss), moved, number(domain.bits_per_byte)),
            _change(domain, standing.margin),
        )
    return table.terminal()


def _change(domain: DomainStanding, margin: float | None) -> Cell | None:
    """The improvement since the base model: green where it is better, red where it is worse by more than the margin."""
    if domain.change is None:
        return None
    worse = margin is not None and domain.change < -margin
    return change(domain.change, tone="good" if domain.change > 0 else "bad" if worse else "")


def _events(events: Sequence[Event], *, cut: bool) -> RichTable:
    table = RichTable.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(no_wrap=cut, overflow="ellipsis" if cut else "fold", ratio=1)  # the other is as wide as it must be
    for event in events:
        table.add_row(short(event.tokens), Text.assemble((event.title, "bold"), "  ", event.text))
    return table


def _joined(*parts: str) -> Text:
    return Text("  ·  ".join(part for part in parts if part))


def _or_dash(value: float | None, written: Callable[[float], str]) -> str:
    return "–" if value is None else written(value)
