"""What each section of the report shows, made ready for its template."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from sapwood.evaluation.result import Sample
from sapwood.mixture.account import Line, SourceAccount, StageAccount, Stock
from sapwood.report import plots
from sapwood.report.aims import aims
from sapwood.report.cost import costs, costs_table
from sapwood.report.domains import domain_rows, domains_table, topic_rows, trajectories
from sapwood.report.gain_retention import planes
from sapwood.report.heat import heat_map
from sapwood.report.judged import changes_table
from sapwood.report.palette import palette
from sapwood.report.run_view import RunView
from sapwood.report.table import Cell, Table
from sapwood.report.table import count as count_cell
from sapwood.report.table import number as number_cell
from sapwood.report.verdict import find, lead, statement, tally, task_statement
from sapwood.report.wording import count, duration, listed, percent, rate, short, size
from sapwood.runs.metrics import StepMetrics
from sapwood.statistics.change import BITS_PER_BYTE, Aim

MOST_SAMPLES = 40
QUARANTINED = 119
"""Characters of a row in quarantine."""

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_HAN_LANGUAGES = ("zh", "ja", "ko", "yue")


@dataclass(frozen=True, slots=True)
class Missing:
    """A part of the run that is not there yet."""

    sentence: str
    """What is missing."""
    verb: str
    """The command that makes it."""


@dataclass(frozen=True, slots=True)
class SampleText:
    """A text with its language, as far as it is known."""

    text: str
    language: str | None


@dataclass(frozen=True, slots=True)
class SamplePair:
    """A prompt, and how the two models continue it."""

    domain: str
    prompt: SampleText
    before: SampleText | None
    after: SampleText | None


@dataclass(frozen=True, slots=True)
class StageLosses:
    """How the training loss of a stage began and ended."""

    name: str
    steps: int
    tokens: float
    first: float
    """The mean over the first tenth of the steps."""
    last: float
    """The mean over the last tenth of the steps."""
    highest_rate: float


def verdict_section(facts: RunView) -> dict[str, Any]:
    """The verdict, its figures and the headline numbers."""
    changes, problem = find(facts)
    settings = facts.recipe.evaluation
    statements = [statement(change) for change in changes]
    statements += [
        task_statement(task, comparison.suite)
        for comparison in facts.benchmarks
        for task in comparison.tasks.values()
        if task.change.verdict is not None
    ]
    judged = (changes or facts.benchmarks) and not facts.unread
    remarks = facts.endings
    if facts.model is not None and facts.model.tokens != facts.trained_tokens:
        remarks.append(
            f"The model was measured after {count(facts.model.tokens)} tokens; training has reached "
            f"{count(facts.trained_tokens)}."
        )
    figures = [
        (
            aim,
            plots.forest(group, settings.retention.margin if aim == "retention" else None),
        )
        for aim in get_args(Aim)
        if (group := [change for change in changes if change.aim == aim])
    ]
    return {
        "changes": changes,
        "table": changes_table(changes, settings.confidence) if changes else None,
        "statements": statements,
        "lead": lead(changes, facts.benchmarks) or "There is no verdict yet.",
        "tally": tally(changes, facts.benchmarks, len(facts.unmeasured)) if judged else "",
        "problems": [text for text in (problem, facts.unread) if text],
        "planes": planes(facts),
        "missing": _missing_evaluations(facts),
        "remarks": remarks,
        "figures": figures,
        "headline": _headline(facts),
    }


def plan_section(facts: RunView) -> dict[str, Any]:
    """The plan against the ledger."""
    stages = facts.account.stages
    planned = sum(stage.total.planned for stage in stages)
    differing = [line for stage in stages for line in stage.lines if line.difference]
    stocks = {account.name: account.stock for account in facts.account.sources}
    for account in facts.account.sources:
        stocks |= {f"{account.name}/{topic.name}": topic for topic in account.topics}
    domains = [part for part in (facts.plan.domains if facts.plan else ()) if part.domain.name in stocks]
    divided = {part.domain.source for part in domains if part.domain.name != part.domain.source}
    return {
        "missing": [] if facts.plan else [Missing("There is no plan yet.", "prepare")],
        "stages": stages,
        "divided": [(stage, list(_divided(stage))) for stage in stages],
        "run": _run_totals(stages),
        "summary": _comparison(facts, planned, len(differing)) if facts.plan else "",
        "endings": facts.endings,
        "domains": [(part, stocks[part.domain.name]) for part in domains if part.domain.source not in divided],
        "topics": [(part, stocks[part.domain.name]) for part in domains if part.domain.source in divided],
        "remarks": facts.plan.remarks if facts.plan else (),
    }


def training_section(facts: RunView) -> dict[str, Any]:
    """Loss, gradient norm and learning rate, and what they took."""
    if not facts.steps:
        return {"missing": [Missing("Nothing has been trained yet.", "train")], "figure": None}
    total = max([int(facts.steps[-1].tokens), *(span.stop for span in facts.spans)])
    found = costs(facts)
    stages = dict.fromkeys(step.stage for step in facts.steps)
    return {
        "missing": [],
        "figure": plots.training_curves(facts.steps, [(span.name, span.start) for span in facts.spans], total),
        "thinned": math.ceil(len(facts.steps) / plots.MOST_POINTS),
        "stages": _losses_table([_stage_losses(facts, name) for name in stages]),
        "costs": found,
        "cost": costs_table(found),
        "measuring": sum(evaluation.seconds for evaluation in facts.evaluations),
    }


def domains_section(facts: RunView) -> dict[str, Any]:
    """Every source's bits per byte and perplexity, before, between and after."""
    rows = domain_rows(facts)
    colors = palette(aims(facts.recipe))
    settings = facts.recipe.evaluation
    figure = None
    if rows:
        figure = plots.levels(
            [plots.SourceLevels(row.name, row.before, row.after) for row in rows], colors, settings.confidence
        )
    found, left_out = trajectories(facts)
    figures = []
    for aim in ("gain", "retention", ""):
        group = [trajectory for trajectory in found if aims(facts.recipe)[trajectory.name] == aim]
        if group:
            margin = settings.retention.margin if aim == "retention" else None
            figures.append(
                (
                    aim,
                    plots.trajectories(group, colors, settings.confidence, margin, BITS_PER_BYTE),
                    [(trajectory.name, colors[trajectory.name]) for trajectory in group],
                )
            )
    return {
        "missing": _missing_evaluations(facts),
        "table": domains_table("Source", rows, settings.confidence),
        "topics": [
            (source, domains_table("Topic", parts, settings.confidence)) for source, parts in topic_rows(facts).items()
        ],
        "figure": figure,
        "trajectories": figures,
        "heat": heat_map(facts),
        "left_out": left_out,
    }


def samples_section(facts: RunView) -> dict[str, Any]:
    """Text of both models side by side."""
    before = facts.base.samples if facts.base else ()
    after = facts.model.samples if facts.model else ()
    first = {(sample.domain, sample.prompt): sample for sample in before}
    second = {(sample.domain, sample.prompt): sample for sample in after}
    keys = list(dict.fromkeys([*first, *second]))
    languages = {name: source.language for name, source in facts.recipe.sources.items()}

    def text(content: str, domain: str) -> SampleText:
        return SampleText(content, _language(content, languages.get(domain)))

    def continuation(sample: Sample | None) -> SampleText | None:
        return None if sample is None else text(sample.text, sample.domain)

    pairs = [
        SamplePair(key[0], text(key[1], key[0]), continuation(first.get(key)), continuation(second.get(key)))
        for key in keys[:MOST_SAMPLES]
    ]
    return {
        "missing": _missing_evaluations(facts),
        "pairs": pairs,
        "more": len(keys) - len(pairs),
        "asked": facts.recipe.evaluation.samples.tokens > 0,
    }


def account_section(facts: RunView) -> dict[str, Any]:
    """Documents and tokens of every source, from the files to the training."""
    sources = facts.account.sources
    unprepared = [name for name in facts.recipe.sources if name not in facts.tokens]
    reasons = Table("Source", "Left out while", "Reason", "Documents", folded=("Reason",))
    for source in facts.recipe.sources:
        for stage, manifests in (
            ("reading", facts.documents),
            ("preparing", facts.selection),
            ("encoding", facts.tokens),
        ):
            for reason, documents in manifests[source].reasons.items() if source in manifests else ():
                reasons.add(source, stage, reason, count_cell(documents))
    trained_on = [account.stock for account in sources if not account.evaluation_only]
    trained = _stocks("Source", trained_on)
    trained.add("All", *(None,) * 4, count_cell(sum(account.stock.trained for account in sources)), None, tone="strong")
    return {
        "missing": [Missing(f"Not prepared yet: {listed(unprepared)}.", "prepare")] if unprepared else [],
        "documents": _documents(facts) if facts.documents else None,
        "tokens": _tokens(facts) if facts.tokens else None,
        "reasons": reasons if reasons.rows else None,
        "quarantine": _quarantine(facts),
        "trained": trained,
        "topics": [(account.name, _stocks("Topic", account.topics)) for account in sources if account.topics],
        "balances": facts.account.balances,
        "off": facts.account.off,
        "balance": facts.account.verdict,
    }


def _losses_table(stages: Sequence[StageLosses]) -> Table:
    """How the training loss of every stage began and ended."""
    table = Table("Stage", "Steps", "Tokens", "Loss at first", "Loss at last", "Highest learning rate")
    for stage in stages:
        rate_cell = Cell(rate(stage.highest_rate), stage.highest_rate, is_number=True)
        losses = number_cell(stage.first), number_cell(stage.last)
        table.add(stage.name, count_cell(stage.steps), count_cell(stage.tokens), *losses, rate_cell)
    return table


def _title(source: SourceAccount) -> str:
    return f"{source.name} (evaluation only)" if source.evaluation_only else source.name


def _documents(facts: RunView) -> Table:
    """Documents of every source: read = unreadable + filtered + held out + to train on."""
    columns = "Read", "= unreadable", "+ filtered", "+ held out", "+ to train on", "Bytes to train on"
    table = Table("Source", *columns)
    for source in facts.account.sources:
        if source.name in facts.documents:
            read = facts.documents[source.name].counts
            kept = facts.selection[source.name].counts if source.name in facts.selection else {}
            amounts = [read.get(name) for name in ("documents_read", "quarantined")]
            amounts += [kept.get(name) for name in ("dropped", "holdout", "train", "train_bytes")]
            table.add(_title(source), *map(count_cell, amounts))
    return table


def _tokens(facts: RunView) -> Table:
    """Tokens of every source: read = to train on + held out + dropped."""
    table = Table("Source", "Read", "= to train on", "+ held out", "+ dropped", "Documents dropped")
    for source in facts.account.sources:
        if source.name in facts.tokens:
            dropped = facts.tokens[source.name].counts.get("dropped_documents")
            amounts = source.read, source.stock.prepared, source.held_out, source.dropped, dropped
            table.add(_title(source), *map(count_cell, amounts))
    return table


def _quarantine(facts: RunView) -> Table | None:
    """The first rows of every quarantine."""
    table = Table("Source", "Where", "Reason", "Beginning", folded=("Beginning",))
    for name, lines in facts.quarantine.items():
        for line in lines:
            beginning = str(line.get("excerpt") or "")
            cut = f"{beginning[:QUARANTINED]}…" if len(beginning) > QUARANTINED else beginning
            table.add(name, f"{line.get('file', '')}, row {line.get('row', '')}", str(line.get("reason", "")), cut)
    return table if table.rows else None


def _stocks(title: str, stocks: Iterable[Stock]) -> Table:
    """To train on = trained at least once + waiting; trained in all = trained at least once + repeated."""
    columns = "To train on", "= trained at least once", "+ waiting", "Repeated", "Trained in all", "Epochs"
    table = Table(title, *columns)
    for stock in stocks:
        amounts = stock.prepared, stock.once, stock.waiting, stock.repeated, stock.trained
        table.add(stock.name, *map(count_cell, amounts), number_cell(stock.epochs, 2))
    return table


def _divided(stage: StageAccount) -> Iterable[tuple[str, tuple[Line, ...]]]:
    """The lines of every source of a stage that is divided by topic."""
    for source in stage.sources:
        lines = stage.of(source.name)
        if lines[0].name != source.name:
            yield source.name, lines


def _run_totals(stages: Sequence[StageAccount]) -> dict[str, int | None]:
    """All stages together: sequences planned and trained, and the tokens in them."""
    static = [None if stage.total.static is None else stage.total.static * stage.sequence_length for stage in stages]
    begun = [tokens for stage, tokens in zip(stages, static, strict=True) if stage.begun]
    return {
        "planned": sum(stage.total.planned for stage in stages),
        "trained": sum(stage.total.trained for stage in stages),
        "planned_tokens": sum(stage.total.planned * stage.sequence_length for stage in stages),
        "trained_tokens": sum(stage.total.trained * stage.sequence_length for stage in stages),
        "static_tokens": None if None in begun or not begun else sum(tokens or 0 for tokens in begun),
    }


def _missing_evaluations(facts: RunView) -> list[Missing]:
    missing = []
    if facts.base is None:
        missing.append(Missing("The base model has not been measured.", "evaluate"))
    if not facts.finished:
        begun = "is not finished" if facts.position else "has not begun"
        missing.append(Missing(f"Training {begun}.", "train"))
    if facts.model is None:
        missing.append(Missing("The adapted model has not been measured.", "evaluate"))
    return missing


def _headline(facts: RunView) -> list[tuple[str, str, str]]:
    """Name, number and remark of what one wants to know first."""
    steps = facts.steps
    planned = facts.plan.tokens if facts.plan else sum(stage.tokens for stage in facts.recipe.stages)
    reached = facts.trained_tokens
    share = f"{percent(reached / planned)} of {short(planned)} planned"
    if facts.finished:
        share = "all that were planned" if reached == planned else f"{short(planned)} were planned"
    rows = [("Tokens trained on", short(reached), share)]
    if steps:
        seconds = steps[-1].seconds
        rows += [
            ("Time in training", duration(seconds), f"{count(steps[-1].step)} steps"),
            ("Speed", f"{count(steps[-1].tokens / seconds) if seconds else '–'} tokens/s", "mean over the run"),
            ("Most memory", size(max(step.memory_bytes for step in steps)), str(facts.environment.get("device", ""))),
        ]
    return rows


def _comparison(facts: RunView, planned: int, differing: int) -> str:
    if not facts.position:
        return "Nothing has been trained yet."
    if not facts.finished:
        return (
            f"{count(facts.position)} of {count(planned)} planned sequences are trained "
            f"({percent(facts.position / planned)}). What is missing shows as a difference."
        )
    if not differing:
        return "Training is finished, and the ledger agrees with the plan to the sequence."
    return (
        f"Training is finished. In {differing} {'line' if differing == 1 else 'lines'} the ledger differs from the "
        "plan; the reasons of the rounds say why the mixture moved."
    )


def _stage_losses(facts: RunView, name: str) -> StageLosses:
    steps = [step for step in facts.steps if step.stage == name]
    before = next((step for step in reversed(facts.steps) if step.step < steps[0].step), None)
    tenth = max(1, len(steps) // 10)
    return StageLosses(
        name=name,
        steps=len(steps),
        tokens=steps[-1].tokens - (before.tokens if before else 0),
        first=_mean_loss(steps[:tenth]),
        last=_mean_loss(steps[-tenth:]),
        highest_rate=max(step.learning_rate for step in steps),
    )


def _mean_loss(steps: Sequence[StepMetrics]) -> float:
    losses = [step.loss for step in steps if math.isfinite(step.loss)]
    return sum(losses) / len(losses) if losses else math.nan


def _language(text: str, stated: str | None) -> str | None:
    """The language of a text: what its source says, as long as the script agrees."""
    if _HAN.search(text):
        return stated if stated in _HAN_LANGUAGES else "zh"
    return None if stated in _HAN_LANGUAGES else stated
