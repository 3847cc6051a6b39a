"""What no single field can tell: whether the parts of a recipe fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sapwood.errors import closest
from sapwood.recipe.schema import LearningRate, Recipe, Stage

Path = tuple[str | int, ...]
Problem = tuple[Path, str]


def problems(recipe: Recipe) -> Iterator[Problem]:
    """Everything in the recipe that contradicts something else in it: where, and what to write instead."""
    if recipe.holdout.share > 1:
        yield (
            ("holdout", "share"),
            f"{float(recipe.holdout.share):g} is more than all documents; write a share such as 1%",
        )
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


def members(recipe: Recipe, name: str) -> list[str]:
    """The sources that a name in `evaluation` or `order` stands for: those of the group, or the source itself."""
    return list(recipe.groups[name]) if name in recipe.groups else [name]


def watched(recipe: Recipe) -> list[str]:
    """The sources that no group contains: measured, and never trained on."""
    grouped = {source for group in recipe.groups.values() for source in group}
    return [source for source in recipe.sources if source not in grouped]


def scored(recipe: Recipe) -> list[str]:
    """The sources whose documents `corpus.perplexity` scores, in the order of the recipe."""
    perplexity = recipe.corpus.perplexity
    if perplexity is None:
        return []
    named = recipe.groups if perplexity.sources is None else perplexity.sources
    chosen = {source for name in named for source in members(recipe, name)}
    return [source for source in recipe.sources if source in chosen]


def _groups(recipe: Recipe) -> Iterator[Problem]:
    home: dict[str, str] = {}
    for group, shares in recipe.groups.items():
        yield from _shares(("groups", group), shares.keys(), recipe.sources, "source")
        if not sum(shares.values()):
            yield ("groups", group), "all shares are 0; give at least one source a share"
        if group in recipe.sources and list(shares) != [group]:
            yield ("groups", group), f"'{group}' is also a source; give the group another name"
        for source in shares:
            if home.setdefault(source, group) != group:
                yield (
                    ("groups", group, source),
                    f"'{source}' is in group '{home[source]}' too; a source belongs to one group",
                )


def _stage(recipe: Recipe, stage: Stage, path: Path) -> Iterator[Problem]:
    yield from _shares((*path, "mixture"), stage.mixture.keys(), recipe.groups, "group")
    if not sum(stage.mixture.values()):
        yield (*path, "mixture"), "all shares are 0; give at least one group a share"
    for group, shares in stage.groups.items():
        here = (*path, "groups", group)
        if group not in recipe.groups:
            yield here, f"there is no group '{group}'. {closest(group, recipe.groups)}"
            continue
        yield from _shares(here, shares.keys(), recipe.groups[group], f"source in group '{group}'")
        if not sum(shares.values()):
            yield here, "all shares are 0; give at least one source a share"
    yield from _shares((*path, "order"), stage.order.keys(), [*recipe.groups, *recipe.sources], "group or source")
    if stage.controller.every is not None and stage.controller.every.unit == "seconds":
        yield (*path, "controller", "every"), "a round has a length in tokens or steps, not a time"
    if stage.learning_rate is not None:
        yield from _schedule((*path, "learning_rate"), stage.learning_rate)


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
    if training.learning_rate is not None:
        yield from _schedule(("training", "learning_rate"), training.learning_rate)
    elif recipe.stages[0].learning_rate is None:
        yield (
            ("training",),
            "no learning rate: write 'learning_rate' here for the whole run, or in the first stage",
        )


def _schedule(path: Path, schedule: LearningRate) -> Iterator[Problem]:
    if schedule.warmup.unit == "seconds":
        yield (*path, "warmup"), "a warm-up has a length in tokens or steps, not a time"
    if max(schedule.start, schedule.end) > schedule.peak:
        yield (*path, "peak"), f"{schedule.peak} is below 'start' or 'end'; the peak is the highest rate"
    if schedule.decay > 1:
        yield (*path, "decay"), f"{schedule.decay} is more than the whole schedule; write a share such as 20%"


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
    for source in watched(recipe):
        if source not in judged:
            yield (
                ("sources", source),
                f"'{source}' is in no group and in no evaluation domain, so it would serve nothing. "
                "Put it in a group to train on it, or in evaluation.retention.domains to watch it",
            )


def _shares(path: Path, found: Iterable[str], allowed: Iterable[str], kind: str) -> Iterator[Problem]:
    names = list(allowed)
    for name in found:
        if name not in names:
            yield (*path, name), f"there is no {kind} '{name}'. {closest(name, names)}"
