"""The account of a run in tokens: what was read, what became of it, and what every stage trained.

By source, and by topic where a source is divided:

    read        = to train on + held out + dropped
    to train on = trained at least once + waiting
    trained     = trained at least once + repeated

By stage: what was planned, what was trained, and what the recipe's own mixture would have trained in the same number of
sequences. A run writes most of these numbers down more than once: in the manifests of the token shards and of the
topics, in the plan, in every round of the ledger, in the log of steps. The account balances when they agree to the
token. Nothing else is read, so that it takes no longer for a large corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sapwood.mixture.apportion import Apportionment
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.plan import Plan, StagePlan
from sapwood.mixture.weights import source_of, whole
from sapwood.recipe import Recipe
from sapwood.recipe.check import evaluation_only
from sapwood.runs.manifest import Manifest
from sapwood.runs.metrics import StepMetrics


@dataclass(frozen=True, slots=True)
class Stock:
    """Tokens to train on, of a domain or of all domains of a source, and what was done with them."""

    name: str
    prepared: int | None
    """Tokens there are to train on; None while they are not counted."""
    trained: int
    """Tokens trained on, every epoch counted."""
    once: int | None
    """Tokens trained on at least once: a second epoch begins when the first is through."""

    @property
    def waiting(self) -> int | None:
        """Tokens that no epoch has reached."""
        return None if self.prepared is None or self.once is None else self.prepared - self.once

    @property
    def repeated(self) -> int | None:
        """Tokens trained on beyond the first epoch."""
        return None if self.once is None else self.trained - self.once

    @property
    def epochs(self) -> float | None:
        """How often it was gone through."""
        return self.trained / self.prepared if self.prepared else None


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """The tokens of a source. Until it is prepared the numbers of its documents are None."""

    name: str
    evaluation_only: bool
    """Whether it is measured and never trained on."""
    read: int | None
    held_out: int | None
    dropped: int | None
    """Tokens of documents that were neither trained on nor held out."""
    reasons: Mapping[str, int]
    """Why they were dropped, in documents."""
    stock: Stock
    topics: tuple[Stock, ...]
    """The topics, called by their names alone, where they are domains of their own."""


@dataclass(frozen=True, slots=True)
class Line:
    """A domain, or several together, in a stage; in sequences."""

    name: str
    planned: int
    trained: int
    static: int | None
    """What the recipe's own weights, limits of epochs aside, would have trained in as many sequences of the stage; None
    where it is not known. Each domain has it to within one sequence."""

    @property
    def difference(self) -> int:
        """Sequences trained beyond the plan; below zero what is missing."""
        return self.trained - self.planned

    @property
    def moved(self) -> int | None:
        """Sequences trained beyond what the recipe's own mixture would have."""
        return None if self.static is None else self.trained - self.static


@dataclass(frozen=True, slots=True)
class StageAccount:
    """A stage, domain by domain."""

    name: str
    sequence_length: int
    """Tokens in each of its sequences."""
    begun: bool
    ended: str
    """Why a gate ended it before its budget did; empty where none has."""
    lines: tuple[Line, ...]
    """By domain."""

    @property
    def total(self) -> Line:
        """All domains together."""
        return _together("all", self.lines)

    @property
    def sources(self) -> tuple[Line, ...]:
        """The lines of every source together."""
        names = dict.fromkeys(source_of(line.name) for line in self.lines)
        return tuple(_together(name, self.of(name)) for name in names)

    def of(self, source: str) -> tuple[Line, ...]:
        """The lines of a source's domains."""
        return tuple(line for line in self.lines if source_of(line.name) == source)


@dataclass(frozen=True, slots=True)
class Balance:
    """Two records of the same tokens."""

    what: str
    """Whose they are."""
    left: tuple[str, int]
    """What one record is called, and its tokens."""
    right: tuple[str, int]

    @property
    def difference(self) -> int:
        """0 where it balances."""
        return self.left[1] - self.right[1]

    def __str__(self) -> str:
        (left, first), (right, second) = self.left, self.right
        sign = "=" if first == second else "≠"
        off = f" (off by {self.difference:+,})" if self.difference else ""
        return f"{self.what}: {left} {first:,} {sign} {right} {second:,}{off}"


@dataclass(frozen=True)
class Account:
    """A run in tokens."""

    sources: tuple[SourceAccount, ...]
    """In the order of the recipe."""
    stages: tuple[StageAccount, ...]
    trained: int
    """Tokens trained on, by position."""
    skipped: int
    """How many of them were read and skipped, since their loss or gradient was not fit (`training.guard`)."""
    balances: tuple[Balance, ...]
    """Everything that was compared."""

    @cached_property
    def off(self) -> tuple[Balance, ...]:
        """What does not balance."""
        return tuple(balance for balance in self.balances if balance.difference)

    @property
    def verdict(self) -> str:
        """Whether it balances, or by how much it does not, in a sentence."""
        count = len(self.balances)
        if not count:
            return "There is nothing to balance yet."
        if not self.off:
            return f"The account balances to the token: {count} of {count} sums agree."
        tokens = sum(abs(balance.difference) for balance in self.off)
        verb = "does" if len(self.off) == 1 else "do"
        unit = "token" if tokens == 1 else "tokens"
        return f"The account does not balance: {len(self.off)} of {count} sums {verb} not agree, by {tokens:,} {unit}."


def position_reached(ledger: Ledger, last: StepMetrics | None) -> int:
    """Sequences trained on so far, by the ledger's end and the last step that was logged."""
    return max(ledger.finished_at, last.position if last else 0)


def make_account(
    recipe: Recipe,
    *,
    plan: Plan | None,
    ledger: Ledger,
    last: StepMetrics | None,
    tokens: Mapping[str, Manifest],
    topics: Mapping[str, Mapping[str, int]],
) -> Account:
    """Puts together what a run wrote down.

    `last` is the last step that was logged; `tokens` are the manifests of the token shards by
    source, and `topics` the tokens to train on by topic of every divided source.
    """
    position = position_reached(ledger, last)
    counts = _trained(ledger, position)
    trained: Counter[str] = Counter()
    for entry, part in zip(ledger.rounds, counts, strict=False):
        trained.update({domain: sequences * entry.sequence_length for domain, sequences in part.items()})
    sources = tuple(_source(recipe, name, tokens.get(name), topics.get(name, {}), trained) for name in recipe.sources)
    stages = tuple(_stages(plan, ledger, counts, position))
    return Account(
        sources=sources,
        stages=stages,
        trained=ledger.tokens_until(position),
        skipped=ledger.skipped_until(position),
        balances=(
            *_balances_of_sources(sources, ledger, counts),
            *_balances_of_stages(stages, plan, ledger, position),
            *_balances_of_run(trained, ledger, position, last),
        ),
    )


Counts = Sequence[Mapping[str, int]]
"""For every round that was begun, sequences trained by domain."""


def _trained(ledger: Ledger, position: int) -> Counts:
    """What was trained in every round, as the ledger counted it; a round that is not through is counted anew."""
    begun = [entry for entry in ledger.rounds if entry.start < position]
    return [entry.counts if entry.stop <= position else _beginning(entry, position - entry.start) for entry in begun]


def _beginning(entry: Round, reached: int) -> dict[str, int]:
    # The order of a round does not depend on its length, and a short one is made faster.
    return Apportionment(entry.mixture, reached, entry.deficit).counts(reached)


def _source(
    recipe: Recipe, name: str, manifest: Manifest | None, topics: Mapping[str, int], trained: Mapping[str, int]
) -> SourceAccount:
    counts = manifest.counts if manifest else {}
    prepared = counts.get("train_tokens")
    sizes: dict[str, int | None] = {f"{name}/{topic}": amount for topic, amount in topics.items()} or {name: prepared}
    sizes |= {domain: None for domain in trained if source_of(domain) == name and domain not in sizes}
    parts = [_stock(domain, size, trained.get(domain, 0)) for domain, size in sizes.items()]
    once = [part.once for part in parts]
    stock = Stock(
        name=name,
        prepared=prepared,
        trained=sum(part.trained for part in parts),
        once=None if None in once else sum(amount or 0 for amount in once),
    )
    return SourceAccount(
        name=name,
        evaluation_only=name in evaluation_only(recipe),
        read=counts.get("tokens"),
        held_out=counts.get("holdout_tokens"),
        dropped=counts.get("dropped_tokens"),
        reasons=manifest.reasons if manifest else {},
        stock=stock,
        topics=tuple(
            Stock(part.name.removeprefix(f"{name}/"), part.prepared, part.trained, part.once)
            for part in parts
            if part.name != name
        ),
    )


def _stock(name: str, prepared: int | None, trained: int) -> Stock:
    return Stock(name, prepared, trained, None if prepared is None else min(prepared, trained))


def _stages(plan: Plan | None, ledger: Ledger, counts: Counts, position: int) -> Iterable[StageAccount]:
    planned = {stage.name: stage for stage in (plan.stages if plan else ())}
    for name in dict.fromkeys([*planned, *(entry.stage for entry in ledger.rounds)]):
        rounds = [entry for entry in ledger.of_stage(name) if entry.index < len(counts)]
        trained: Counter[str] = Counter()
        for entry in rounds:
            trained.update(counts[entry.index])
        there: Mapping[str, int] = planned[name].counts if name in planned else {}
        static = _static(planned.get(name), rounds, position)
        domains = dict.fromkeys([*there, *(static or ()), *trained])
        yield StageAccount(
            name=name,
            sequence_length=rounds[0].sequence_length if rounds else planned[name].sequence_length,
            begun=bool(rounds),
            ended=ledger.ended.get(name, ""),
            lines=tuple(
                Line(
                    domain,
                    planned=there.get(domain, 0),
                    trained=trained.get(domain, 0),
                    static=None if static is None else static.get(domain, 0),
                )
                for domain in domains
            ),
        )


def _static(stage: StagePlan | None, rounds: Sequence[Round], position: int) -> Mapping[str, int] | None:
    """What the recipe's own weights would have trained in a stage, in sequences; None where nothing says it.

    At a round's end that is what the ledger has; inside a round it follows from the `stage` of the plan.
    """
    if not rounds:
        return None
    last = rounds[-1]
    if position >= last.stop:
        return last.static or None
    weights = stage.mixture.weights if stage else {}
    return whole(weights, position - rounds[0].start) if weights else None


def _balances_of_sources(sources: Iterable[SourceAccount], ledger: Ledger, counts: Counts) -> Iterable[Balance]:
    reached = ledger.rounds[len(counts) - 1] if counts else None
    for source in sources:
        stock = source.stock
        if source.read is not None and stock.prepared is not None:
            parts = stock.prepared + (source.held_out or 0) + (source.dropped or 0)
            yield Balance(source.name, ("read", source.read), ("to train on + held out + dropped", parts))
        if source.topics and stock.prepared is not None and all(topic.prepared is not None for topic in source.topics):
            topics = sum(topic.prepared or 0 for topic in source.topics)
            yield Balance(source.name, ("to train on", stock.prepared), ("its topics together", topics))
        if reached is not None and stock.trained:
            before = sum(amount for domain, amount in reached.first.items() if source_of(domain) == source.name)
            inside = sum(amount for domain, amount in counts[-1].items() if source_of(domain) == source.name)
            carried = before + inside * reached.sequence_length
            yield Balance(source.name, ("trained in all rounds", stock.trained), ("carried in the ledger", carried))


def _balances_of_stages(
    stages: Iterable[StageAccount], plan: Plan | None, ledger: Ledger, position: int
) -> Iterable[Balance]:
    planned = {stage.name: stage.sequences for stage in (plan.stages if plan else ())}
    for stage in stages:
        total, length, what = stage.total, stage.sequence_length, f"stage {stage.name}"
        if stage.name in planned:
            whole = planned[stage.name] * length
            yield Balance(what, ("planned, by domain", total.planned * length), ("by the budget", whole))
        if stage.begun:
            rounds = ledger.of_stage(stage.name)
            stop = min(position, rounds[-1].stop)
            tokens = ledger.tokens_until(stop) - rounds[0].start_tokens
            yield Balance(what, ("trained, by domain", total.trained * length), ("by position", tokens))
            if total.static is not None:
                yield Balance(what, ("by the static mixture", total.static * length), ("trained", tokens))


def _balances_of_run(
    trained: Mapping[str, int], ledger: Ledger, position: int, last: StepMetrics | None
) -> Iterable[Balance]:
    if position:
        tokens = ledger.tokens_until(position)
        yield Balance("run", ("trained, by domain", sum(trained.values())), ("by position", tokens))
        if last is not None and last.position == position:
            yield Balance("run", ("trained, by the log of steps", last.tokens), ("by position", tokens))


def _together(name: str, lines: Sequence[Line]) -> Line:
    static = [line.static for line in lines]
    return Line(
        name,
        planned=sum(line.planned for line in lines),
        trained=sum(line.trained for line in lines),
        static=None if None in static else sum(amount or 0 for amount in static),
    )
