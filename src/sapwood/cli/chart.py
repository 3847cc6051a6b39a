"""The learning rate over a run, drawn in characters: for terminals, and for logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sapwood.mixture.plan import Plan
from sapwood.recipe import Recipe
from sapwood.report.wording import rate, short
from sapwood.training.schedule import final_rate, learning_rate, takes_up_final

ROWS = 8
BLOCKS = " ▁▂▃▄▅▆▇█"
"""A cell that is filled from below, by eighths."""
LEAST_COLUMNS = 24


def print_learning_rate(console: Console, recipe: Recipe, plan: Plan) -> None:
    """Prints the learning rate over the tokens of the run, as wide as the console, with the stages marked.

    Raises SapwoodError where a schedule cannot be followed.
    """
    title, model = Text.assemble(("\nLearning rate", "bold"), ":"), Path(recipe.model)
    if takes_up_final(recipe) and not model.is_dir():
        console.print(title, "begins where the model ended, which is read from it when it is trained", soft_wrap=True)
        return
    final = final_rate(recipe, plan, model)

    def at(tokens: float) -> float:
        stage = [stage for stage in plan.stages if stage.start_tokens <= tokens][-1]
        return learning_rate(recipe, plan, stage.name, tokens - stage.start_tokens, final)

    highest = max(learning_rate(recipe, plan, *corner, final) for corner in _corners(recipe, plan))
    margin = max(len(rate(highest)), len(rate(highest / 2))) + 1
    columns = max(LEAST_COLUMNS, console.width - margin - 1)
    levels = [at((column + 0.5) / columns * plan.tokens) / highest for column in range(columns)]
    marks = [round(stage.start_tokens / plan.tokens * columns) for stage in plan.stages]
    names = [f"{short(stage.start_tokens)} {stage.name}" for stage in plan.stages]

    summary = f"{rate(at(0))} at the beginning, {rate(highest)} at most, {rate(at(plan.tokens))} at the end"
    console.print(title, summary, soft_wrap=True)
    for row, line in enumerate(area(levels, marks[1:])):
        tick = {0: rate(highest), ROWS // 2: rate(highest / 2)}.get(row, "")
        scale = f"{tick:>{margin - 1}} {'┤' if tick else '│'}"
        console.print(Text.assemble(scale, (line, "green")), soft_wrap=True)
    axis = "".join("┴" if column in marks[1:] else "─" for column in range(columns))
    console.print(f"{'0':>{margin - 1}} └{axis}", soft_wrap=True)
    for line in labels([*names, f"{short(plan.tokens)} tokens"], [*marks, columns], columns):
        console.print(f"{'':{margin + 1}}{line}", soft_wrap=True)


def area(levels: Sequence[float], marks: Sequence[int]) -> Iterator[str]:
    """Lines of an area whose upper edge is at `levels`, from 0 to 1, with upright lines above it at `marks`.

    Whatever is above 0 is seen.
    """
    eighths = [max(round(8 * ROWS * level), level > 0) for level in levels]
    for row in reversed(range(ROWS)):
        yield "".join(
            "┊" if column in marks and height <= 8 * row else BLOCKS[min(8, max(0, height - 8 * row))]
            for column, height in enumerate(eighths)
        ).rstrip()


def labels(texts: Sequence[str], starts: Sequence[int], columns: int) -> list[str]:
    """Texts in as few lines as they need, each where it starts, or as far to the left as it must to end in time."""
    lines: list[str] = []
    for text, start in sorted(zip(texts, starts, strict=True), key=lambda label: label[1] not in (0, columns)):
        begin = max(0, min(start, columns - len(text)))
        end = begin + len(text)
        for number, line in enumerate([*lines, " " * columns]):
            if not line[max(0, begin - 2) : end + 2].strip():
                lines[number : number + 1] = [line[:begin] + text + line[end:]]
                break
    return [line.rstrip() for line in lines]


def _corners(recipe: Recipe, plan: Plan) -> Iterator[tuple[str, float]]:
    """Where the rate can be highest: beginnings, ends and the ends of warm-ups, as stages and tokens in them."""
    whole = recipe.training.learning_rate
    for part, stage in zip(plan.stages, recipe.stages, strict=True):
        length = part.stop_tokens - part.start_tokens
        schedule, begin = (stage.learning_rate, 0) if stage.learning_rate else (whole, part.start_tokens)
        counted = part.name if stage.learning_rate else plan.stages[0].name  # where the warm-up begins
        warm = schedule.warmup.tokens(recipe.full_batch(counted)) - begin if schedule else 0
        yield from ((part.name, tokens) for tokens in (0, min(max(warm, 0), length), length))
