"""What no single field can tell: whether the parts of a recipe fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from sapwood.errors import closest
from sapwood.recipe.data import language_problems
from sapwood.recipe.mixture import Controller, Order, Shares, Weighting
from sapwood.recipe.schema import LearningRate, Recipe, Stage
from sapwood.recipe.units import show_tokens

Path = tuple[str | int, ...]
Problem = tuple[Path, str]


def problems(recipe: Recipe) -> Iterator[Problem]:
    """Everything in the recipe that contradicts something else in it: where, and what to write instead."""
    if recipe.holdout.share > 1:
        yield (
            ("holdout", "share"),
            f"{float(recipe.holdout.share):g} is more than all documents; write a share such as 1%",
        )
    yield from language_problems(recipe.sources, recipe.corpus)
    yield from _groups(recipe)
    names: set[str] = set()
    for number, stage in enumerate(recipe.stages):
        path: Path = ("stages", number)
        if stage.name in names:
            yield (*path, "name"), f"'{stage.name}' names two stages; give each its own name"
        names.add(stage.name)
        yield from _stage(recipe, stage, path)
    yield from _corpus(recipe)
    yield from _training(recipe)
    yield from _evaluation(recipe)


def named(shares: Shares) -> list[str]:
    """The names that shares are about; none where they are about all there are."""
    return list(shares.names or ()) if isinstance(shares, Weighting) else list(shares)


def members(recipe: Recipe, name: str) -> list[str]:
    """The sources that a name in `evaluation` or `order` stands for: those of the group, or the source itself."""
    return named(recipe.groups[name]) if name in recipe.groups else [name]


def evaluation_only(recipe: Recipe) -> list[str]:
    """The sources that no group contains: measured, and never trained on."""
    grouped = {source for group in recipe.groups for source in members(recipe, group)}
    return [source for source in recipe.sources if source not in grouped]


def split_by_topic(recipe: Recipe) -> list[str]:
    """The sources whose topics are domains of their own: those with shares by topic, or whose topics are moved."""
    moved = any(stage.controller.kind != "static" and stage.controller.over == "topics" for stage in recipe.stages)
    stated = {*recipe.topics, *(source for stage in recipe.stages for source in stage.topics)}
    return [name for name, source in recipe.sources.items() if name in stated or (moved and source.topics is not None)]


def order_of(stage: Stage, recipe: Recipe, source: str) -> Order:
    """The order in which a stage takes the documents of a source: the source's own, or else that of its group."""
    group = next((name for name in recipe.groups if source in members(recipe, name)), source)
    return stage.order.get(source) or stage.order.get(group) or Order()


def is_measured(recipe: Recipe) -> bool:
    """Whether any stage looks at losses, so that they must be measured from the beginning of the run on."""
    return any(
        stage.controller.kind != "static" or stage.replay is not None or stage.gate is not None
        for stage in recipe.stages
    )


def scored(recipe: Recipe) -> list[str]:
    """The sources whose documents `corpus.perplexity` scores, in the order of the recipe."""
    perplexity = recipe.corpus.perplexity
    if perplexity is None:
        return []
    names = recipe.groups if perplexity.sources is None else perplexity.sources
    chosen = {source for name in names for source in members(recipe, name)}
    return [source for source in recipe.sources if source in chosen]


def _groups(recipe: Recipe) -> Iterator[Problem]:
    home: dict[str, str] = {}
    for group, shares in recipe.groups.items():
        if not named(shares):
            yield ("groups", group), "which sources? Write them, such as {natural: [web-zh, book-zh]}"
        yield from _shares(("groups", group), shares, recipe.sources, "source")
        if group in recipe.sources and named(shares) != [group]:
            yield ("groups", group), f"'{group}' is also a source; give the group another name"
        for source in named(shares):
            if home.setdefault(source, group) != group:
                yield (
                    ("groups", group, source),
                    f"'{source}' is in group '{home[source]}' too; a source belongs to one group",
                )
    yield from _topics(recipe, recipe.topics, ())


def _topics(recipe: Recipe, topics: Mapping[str, Shares], path: Path) -> Iterator[Problem]:
    """Which topics there are is known to the taxonomies alone; that is checked when the plan is made."""
    for source, shares in topics.items():
        here = (*path, "topics", source)
        if source not in recipe.sources:
            yield here, f"there is no source '{source}'. {closest(source, recipe.sources)}"
        elif recipe.sources[source].topics is None:
            yield here, f"the source '{source}' has no taxonomy; write `topics: syne-zh` or the like under it"
        yield from _shares(here, shares, named(shares), "topic")


def _stage(recipe: Recipe, stage: Stage, path: Path) -> Iterator[Problem]:
    yield from _shares((*path, "mixture"), stage.mixture, recipe.groups, "group")
    for group, shares in stage.groups.items():
        here = (*path, "groups", group)
        if group not in recipe.groups:
            yield here, f"there is no group '{group}'. {closest(group, recipe.groups)}"
        else:
            yield from _shares(here, shares, members(recipe, group), f"source in group '{group}'")
    yield from _topics(recipe, stage.topics, path)
    for name, order in stage.order.items():
        here = (*path, "order", name)
        if name not in [*recipe.groups, *recipe.sources]:
            yield here, f"there is no group or source '{name}'. {closest(name, [*recipe.groups, *recipe.sources])}"
        elif order.by in _SCORES:
            for source in members(recipe, name):
                if source not in scored(recipe):
                    message = f"nothing scores '{source}'; write `corpus: {{perplexity: {{sources: [{name}]}}}}`"
                    yield here, message
        yield from _order(order, here)
    yield from _controller(recipe, stage, (*path, "controller"))
    if stage.replay is not None:
        here = (*path, "replay")
        yield from _shares((*here, "groups"), dict.fromkeys(stage.replay.groups, Fraction(1)), recipe.groups, "group")
        least, most = stage.replay.least, stage.replay.most
        if least > 1 or most > 1:
            yield here, "'least' and 'most' are shares of the whole mixture, such as 10% and 50%"
        elif least > most:
            yield here, f"'least' is {float(least):.4g}, and 'most' is less, {float(most):.4g}: exchange them"
    if stage.gate is not None and stage.gate.retention is None and stage.gate.flat is None:
        yield (*path, "gate"), "asks for nothing; write 'retention', 'flat' or both"
    if stage.sequence_length is not None and stage.sequence_length > recipe.training.batch_tokens:
        yield (*path, "sequence_length"), f"{stage.sequence_length} is more than training.batch_tokens"
    if stage.learning_rate is not None:
        yield from _schedule((*path, "learning_rate"), stage.learning_rate, stage.tokens, recipe.full_batch(stage.name))


def _order(order: Order, path: Path) -> Iterator[Problem]:
    if order.by == "shuffle" and order != Order():
        yield path, "a shuffle has no direction, bins or tails; name the score to sort by, such as {by: perplexity}"
    if order.first > 1:
        yield (*path, "first"), f"{float(order.first):g} is more than all documents; write a share such as 30%"
    if order.tails.head + order.tails.tail >= 1:
        yield (*path, "tails"), "head and tail together are all documents; write shares such as 1%"


def _controller(recipe: Recipe, stage: Stage, path: Path) -> Iterator[Problem]:
    controller = stage.controller
    if controller.every is not None and controller.every.unit == "seconds":
        yield (*path, "every"), "a round has a length in tokens or steps, not a time"
    moving = controller.kind != "static"
    for part in ("kind",) * moving + ("replay",) * (stage.replay is not None) + ("gate",) * (stage.gate is not None):
        if controller.every is None:
            where = (*path, part) if part == "kind" else (*path[:-1], part)
            yield where, "needs rounds after which to look; write `controller: {every: 5B}` with a length of yours"
    if moving and controller.over == "topics" and not any(source.topics for source in recipe.sources.values()):
        yield (*path, "over"), "no source has topics; write `topics: syne-zh` or the like under a source"
    if stage.replay is not None and moving and controller.over == "groups":
        yield (*path[:-1], "replay"), "the controller moves the groups already; let it move sources or topics"
    for field, kinds in _OF_KIND.items():
        if getattr(controller, field) != Controller.model_fields[field].get_default() and controller.kind not in kinds:
            yield (*path, field), f"is for {' and '.join(kinds)}; a '{controller.kind}' controller has no use for it"
    if controller.step < Fraction(1, 10_000):
        yield (*path, "step"), f"{float(controller.step):g} is less than shares can move; write 0.01% or more"
    if controller.floor > controller.cap:
        yield (*path, "floor"), f"{float(controller.floor):g} is more than 'cap'"


FP8_MULTIPLE = 16
"""What the tokens of every micro-batch must be divisible by in fp8: a gradient is a product over all of them."""

_SCORES = ("perplexity", "bits_per_byte", "nll")
"""What documents can only be ordered by when a model scores them."""

_OF_KIND = {
    "strength": ("perplexity-change", "excess-loss"),
    "normalise": ("perplexity-change",),
    "importance": ("perplexity-change",),
    "targets": ("excess-loss",),
    "prior": ("learnability",),
}
"""The settings of a controller that are for some kinds alone."""


def _corpus(recipe: Recipe) -> Iterator[Problem]:
    corpus, path = recipe.corpus, ("corpus",)
    taxonomies = sorted({source.topics for source in recipe.sources.values() if source.topics is not None})
    if corpus.duplicates is not None:
        for number, name in enumerate(corpus.duplicates.priority):
            if name not in recipe.sources:
                here: Path = (*path, "duplicates", "priority", number)
                yield here, f"there is no source '{name}'. {closest(name, recipe.sources)}"
    for name in corpus.topics.labels:
        if name not in taxonomies:
            yield (
                (*path, "topics", "labels", name),
                f"no source has `topics: {name}`. {closest(name, taxonomies)}",
            )
    if corpus.perplexity is not None:
        known = [*recipe.groups, *recipe.sources]
        for number, name in enumerate(corpus.perplexity.sources or ()):
            if name not in known:
                yield (
                    (*path, "perplexity", "sources", number),
                    f"there is no group or source '{name}'. {closest(name, known)}",
                )
        trim = corpus.perplexity.trim
        if trim.head + trim.tail >= 1:
            yield (*path, "perplexity", "trim"), "head and tail together are all documents; write shares such as 1%"
        if trim.within == "topic" and not taxonomies:
            yield (
                (*path, "perplexity", "trim", "within"),
                "no source has topics; write `topics: syne-zh` or the like under a source, or `within: source`",
            )


def _training(recipe: Recipe) -> Iterator[Problem]:
    training = recipe.training
    if training.batch_tokens < recipe.sequence_length:
        yield (
            ("training", "batch_tokens"),
            f"{training.batch_tokens} is less than one sequence of {recipe.sequence_length} tokens",
        )
    if training.precision == "fp8":
        lengths: dict[Path, int] = {("sequence_length",): recipe.sequence_length}
        for number, stage in enumerate(recipe.stages):
            if stage.sequence_length is not None:
                lengths["stages", number, "sequence_length"] = stage.sequence_length
        for path, length in lengths.items():
            if length % FP8_MULTIPLE:
                yield (
                    path,
                    f"{length} is not divisible by {FP8_MULTIPLE}, as the kernels of `precision: fp8` need it: write "
                    f"{length // FP8_MULTIPLE * FP8_MULTIPLE or FP8_MULTIPLE}",
                )
    if training.compile is True and training.adapter is not None and training.adapter.kind == "dora":
        yield (
            ("training", "compile"),
            "DoRA cannot be compiled: every layer would break into pieces. Write false, or `adapter: {kind: lora}`",
        )
    if training.learning_rate is not None:
        tokens = sum(stage.tokens for stage in recipe.stages)
        yield from _schedule(
            ("training", "learning_rate"), training.learning_rate, tokens, recipe.full_batch(recipe.stages[0].name)
        )
    elif recipe.stages[0].learning_rate is None:
        yield (
            ("training",),
            "no learning rate: write 'learning_rate' here for the whole run, or in the first stage",
        )
    checkpoints, path = training.checkpoints, ("training", "checkpoints")
    if checkpoints.keep_every is not None and checkpoints.keep_every.unit == "seconds":
        yield (*path, "keep_every"), "is a stretch of training, in tokens or steps, not a time"
    known = [*recipe.groups, *recipe.sources]
    if checkpoints.best is not None and checkpoints.best.by not in known:
        name = checkpoints.best.by
        yield (*path, "best", "by"), f"there is no group or source '{name}'. {closest(name, known)}"
    if training.parallel.timeout.unit != "seconds":
        yield ("training", "parallel", "timeout"), "is a time, such as 10min"


def _schedule(path: Path, schedule: LearningRate, tokens: int, batch_tokens: int) -> Iterator[Problem]:
    """`tokens` is how long the schedule lasts. What depends on a `final` rate is checked when that is known."""
    warmup = schedule.warmup
    if warmup.unit == "seconds":
        yield (*path, "warmup"), "a warm-up has a length in tokens or steps, not a time"
    elif warmup.tokens(batch_tokens) > tokens:
        yield (*path, "warmup"), f"{warmup} is more than the {show_tokens(tokens)} tokens that the schedule lasts"
    if isinstance(schedule.peak, Fraction):
        yield (*path, "peak"), "is what shares are taken of; write a rate such as 1e-5, or final"
    elif schedule.peak == 0:
        yield (*path, "peak"), "expected more than 0"
    for field in ("start", "end"):
        rate = getattr(schedule, field)
        highest = Fraction(1) if isinstance(rate, Fraction) else schedule.peak
        if "final" not in (rate, highest) and rate > highest:
            yield (*path, "peak"), f"{schedule.peak} is below 'start' or 'end'; the peak is the highest rate"
    if schedule.decay > 1:
        yield (*path, "decay"), f"{schedule.decay} is more than the whole schedule; write a share such as 20%"
    for field, used, why in (
        ("start", warmup.amount, "is where a warm-up begins, and there is none; write one such as `warmup: 2B`"),
        ("end", schedule.then != "constant", "is for rates that fall; write `then: linear` or the like"),
        ("decay", schedule.then == "stable-decay", "is for `then: stable-decay`; the other shapes fall all the time"),
        ("shape", schedule.then == "stable-decay", "is for `then: stable-decay`"),
    ):
        if not used and getattr(schedule, field) != LearningRate.model_fields[field].get_default():
            yield (*path, field), why


def _evaluation(recipe: Recipe) -> Iterator[Problem]:
    known = [*recipe.groups, *recipe.sources]
    judged: dict[str, str] = {}
    for kind, names in (
        ("gain", recipe.evaluation.gain.domains),
        ("retention", recipe.evaluation.retention.domains),
    ):
        for number, name in enumerate(names):
            here: Path = ("evaluation", kind, "domains", number)
            if name not in known:
                yield here, f"there is no group or source '{name}'. {closest(name, known)}"
                continue
            for source in members(recipe, name):
                if judged.setdefault(source, kind) != kind:
                    yield here, f"'{source}' is under 'gain' and under 'retention'; it can be judged as one"
    yield from _during(recipe)
    for source in evaluation_only(recipe):
        if source not in judged:
            yield (
                ("sources", source),
                f"'{source}' is in no group and in no evaluation domain, so it would serve nothing. "
                "Put it in a group to train on it, or in evaluation.retention.domains to watch it",
            )


def _during(recipe: Recipe) -> Iterator[Problem]:
    during, suites = recipe.evaluation.during, recipe.evaluation.suites
    if during is None:
        return
    for number, name in enumerate(during.suites):
        if name not in suites:
            yield (
                ("evaluation", "during", "suites", number),
                f"'{name}' is not under evaluation.suites, so the model before is not known. Add it there",
            )
    if during.every.unit == "seconds":
        yield ("evaluation", "during", "every"), f"found {during.every}; write tokens (5B), or steps (200 steps)"


def _shares(path: Path, shares: Shares, allowed: Iterable[str], kind: str) -> Iterator[Problem]:
    names = list(allowed)
    for name in named(shares):
        if name not in names:
            yield (*path, name), f"there is no {kind} '{name}'. {closest(name, names)}"
    if not isinstance(shares, Weighting) and not sum(shares.values()):
        yield path, f"all shares are 0; give at least one {kind.split()[0]} a share"
