"""How the model was trained, as the card tells it: the texts, the stages, the settings, the recipe."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from sapwood.recipe.data import Source
from sapwood.recipe.load import fixed
from sapwood.recipe.schema import Adapter, LearningRate, Recipe
from sapwood.recipe.units import format_rate
from sapwood.report.card.facts import CardFacts
from sapwood.report.run_view import RunView
from sapwood.report.wording import count, duration, listed, number, percent, rate, without_places

_PRECISION = {"auto": "bf16 where the hardware is fast at it, else fp32"}


@dataclass(frozen=True, slots=True)
class Text:
    """A source that was trained on."""

    name: str
    source: Source
    tokens: str
    """Every epoch counted."""
    share: str
    epochs: str


def texts(facts: CardFacts) -> list[Text]:
    """What was trained on, in the order of the recipe."""
    recipe, total = facts.run.recipe, facts.run.trained_tokens
    stocks = {account.name: account.stock for account in facts.run.account.sources}
    return [
        Text(
            name,
            recipe.sources[name],
            count(stock.trained),
            percent(stock.trained / total),
            "" if stock.epochs is None else number(stock.epochs, 2),
        )
        for name in facts.trained
        for stock in (stocks[name],)
    ]


def synthetic(facts: CardFacts) -> Iterator[str]:
    """A sentence for every source of items that a model or a program wrote."""
    for text in texts(facts):
        source = text.source
        if source.synthesis:
            author = facts.generators.get(text.name, "a model whose job is no longer at hand")
            made = f"written by {author} and verified"
        elif source.programs:
            names = listed([f"{name} ({count(items)})" for name, items in source.programs.items()])
            made = f"questions with exact answers made by programs of reasoning-gym: {names}"
        else:
            continue
        counts = facts.items[text.name].counts if text.name in facts.items else {}
        amount = f"{count(counts['items'])} items, " if "items" in counts else ""
        wrong = f"; {count(counts['corrupted'])} of them were made wrong on purpose" if counts.get("corrupted") else ""
        yield f"{text.name}: {amount}{made}; {text.share} of the tokens{wrong}."


def stages(facts: RunView) -> list[tuple[str, ...]]:
    """Name, tokens, sequence length, share of every source, and what moved the mixture."""
    written = {stage.name: stage for stage in facts.recipe.stages}
    rows: list[tuple[str, ...]] = []
    for account in facts.account.stages:
        stage, trained = written.get(account.name), account.total.trained
        if not account.begun or not trained or stage is None:
            continue
        shares = [f"{line.name} {percent(line.trained / trained)}" for line in account.sources if line.trained]
        rows.append(
            (
                account.name,
                count(trained * account.sequence_length),
                count(account.sequence_length),
                ", ".join(shares),
                stage.controller.kind + (", replay governed" if stage.replay else ""),
            )
        )
    return rows


def _batches(recipe: Recipe) -> str:
    """Tokens in the full batches of all stages: whole sequences, and not what the recipe names as the most."""
    return " or ".join(dict.fromkeys(count(recipe.full_batch(stage.name)) for stage in recipe.stages))


def settings(facts: RunView) -> list[str]:
    """Everything else that decided the outcome, a sentence each."""
    training, environment = facts.recipe.training, facts.environment
    optimizer = training.optimizer
    clip = "no clipping" if optimizer.clip is None else f"gradients clipped at {optimizer.clip:g}"
    betas = ", ".join(f"{beta:g}" for beta in optimizer.betas)
    lines = [
        *_schedules(facts.recipe),
        f"Batches of {_batches(facts.recipe)} tokens; {optimizer.kind} with betas {betas}, weight decay "
        f"{optimizer.weight_decay:g}, {clip}.",
        f"Trained: {_trainable(training.adapter, training.trainable)}.",
        f"Arithmetic: {_PRECISION.get(training.precision, training.precision)}; weights kept in {training.weights}.",
        *_isolation(facts),
        f"Seed {facts.recipe.seed}; {percent(float(facts.recipe.holdout.share))} of the documents held out.",
    ]
    if environment:
        ranks = int(environment.get("ranks", 1))
        seconds = f", {duration(facts.last.seconds)} of training" if facts.last else ""
        lines.append(f"Hardware: {ranks} x {environment.get('device', 'unknown')}{seconds}.")
    if facts.account.skipped:
        lines.append(f"{count(facts.account.skipped)} tokens were read and skipped (training.guard).")
    return lines + facts.endings


def _isolation(facts: RunView) -> Iterator[str]:
    training, traits = facts.recipe.training, facts.ledger.traits
    if traits is not None:
        yield from traits.sentences(isolate_documents=training.isolate_documents, chunked=training.loss != "whole")
    else:  # a run that was begun before models were observed
        seen = "do not see each other" if training.isolate_documents else "see each other, as in the paper"
        yield f"Documents packed into one sequence {seen}."


def published_recipe(recipe: Recipe) -> str:
    """What of the recipe decides the outcome, and is not the default, as YAML.

    Of files on the author's machine it has their names alone.
    """
    dump = _in_both(fixed(recipe), recipe.model_dump(mode="json", exclude_defaults=True))
    stream = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 110
    yaml.dump(without_places(dump), stream)
    return stream.getvalue()


def _in_both(value: Any, other: Any) -> Any:
    """What stands in both of two dumps of the same recipe."""
    if isinstance(value, dict):
        return {name: _in_both(part, other[name]) for name, part in value.items() if name in other}
    if isinstance(value, list):
        return [_in_both(part, same) for part, same in zip(value, other, strict=True)]
    return value


def _schedules(recipe: Recipe) -> Iterator[str]:
    if recipe.training.learning_rate:
        yield f"Learning rate over the whole run: {_rate(recipe.training.learning_rate)}."
    for stage in recipe.stages:
        if stage.learning_rate:
            yield f"Learning rate in {stage.name}: {_rate(stage.learning_rate)}."


def _rate(schedule: LearningRate) -> str:
    peak = rate(schedule.peak) if isinstance(schedule.peak, float) else str(format_rate(schedule.peak))
    warmup = f"warm-up over {schedule.warmup}, " if schedule.warmup.amount else ""
    return f"{warmup}{peak}, {schedule.then}"


def _trainable(adapter: Adapter | None, patterns: list[str] | None) -> str:
    named = f" and {listed(patterns)}" if adapter and patterns else ""
    if adapter:
        return f"adapters ({adapter.kind}, rank {adapter.rank}), merged into the weights{named}"
    return "all weights" if patterns is None else listed(patterns)
