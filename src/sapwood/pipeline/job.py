"""What can be known of a job before a server is asked: its pages, classifiers, prompts, keys, and a sandbox."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from sapwood.corpus.engine import check_engine
from sapwood.corpus.store import DOCUMENTS, store_of
from sapwood.corpus.topics.label import load_taxonomy
from sapwood.corpus.topics.train import check_words
from sapwood.errors import SapwoodError
from sapwood.generation.secret import Secret
from sapwood.pipeline.checks import Problem
from sapwood.pipeline.corpus import benchmark_problems, check_topics
from sapwood.pipeline.sources import check_sources
from sapwood.recipe import Recipe, Synthesis
from sapwood.recipe.server import ModelServer
from sapwood.runs.directory import RunDirectory
from sapwood.sandbox.execute import Sandbox
from sapwood.synthesis.problems import FORMAT, load_problems
from sapwood.synthesis.prompt import load_prompt, prompt_languages

Place = tuple[str, ...]
_ASKING = (
    ("self_consistency", "server"),
    ("option_permutation", "server"),
    ("entailment", "server"),
    ("pass_rate", "server"),
    ("near_duplicates", "embedding"),
    ("cross_lingual", "embedding"),
    ("cross_lingual", "judge"),
)
"""Stages of the verification, and which field of theirs names a server."""


def check_job(job: Synthesis, *, asks: bool) -> Iterator[Problem]:
    """What will stop a job; with `asks`, also what its servers and its verification need."""
    yield from check_sources(job.sources)
    yield from _topics(job)
    yield from _seeds(job)
    yield from _prompts(job)
    gate = job.verify.contamination
    if gate is not None:
        for message in benchmark_problems(gate.benchmarks, job.corpus.normalise):
            yield Problem(("verify", "contamination", "benchmarks"), message)
    yield from _refused(("engine",), partial(check_engine, job.engine))
    if asks:
        for place, server in _servers(job):
            if server.model not in job.fleet:
                yield from check_key(place, server)
        for model, fleet in job.fleet.items():
            yield from _refused(("fleet", model, "engine"), partial(check_engine, fleet.engine))
        yield from _verification(job)


def check_key(place: Place, server: ModelServer) -> Iterator[Problem]:
    """Whether the environment has the key that a server wants."""
    yield from _refused((*place, "key"), partial(Secret.of, server))


def check_labelling(recipe: Recipe, run: RunDirectory) -> Iterator[Problem]:
    """What keeps the documents of a run from being labelled with topics by a language model."""
    yield from check_topics(recipe)
    for name, source in recipe.sources.items():
        if source.topics is not None and not store_of(run, name).has(DOCUMENTS):
            message = "has no documents yet to be labelled: `sapwood prepare --unscored` makes them"
            yield Problem(("sources", name), message)
    labeller = recipe.corpus.topics.labeller
    if labeller is None:
        message = "names no model to label with. Write `labeller: {url: http://localhost:8000/v1, model: NAME}`"
        yield Problem(("corpus", "topics"), message)
    else:
        yield from check_key(("corpus", "topics", "labeller"), labeller)


def _topics(job: Synthesis) -> Iterator[Problem]:
    for name, source in job.sources.items():
        if source.topics is not None:
            yield from _refused(("sources", name, "topics"), partial(load_taxonomy, source.topics))
    for directory in job.classifiers.values():
        yield from _refused(("classifiers",), partial(check_words, Path(directory)))


def _seeds(job: Synthesis) -> Iterator[Problem]:
    for pattern in job.problems.files if job.problems else ():
        yield from _refused(("problems", "files"), partial(load_problems, [pattern]))


def _prompts(job: Synthesis) -> Iterator[Problem]:
    own = None if job.prompts is None else Path(job.prompts)
    if own is not None and not own.is_dir():
        yield Problem(("prompts",), f"there is no directory {own}")
        return
    formats = [FORMAT] if job.problems else [name for name, share in job.formats.items() if share]
    languages = [name for name, share in job.languages.items() if share]
    for name in formats:
        place = ("languages",) if job.problems else ("formats", name)
        # Without languages of its own a job has those of its pages, which are not known yet.
        tried = languages or sorted(prompt_languages(own))
        missing = [list(_refused(place, partial(load_prompt, name, language, own))) for language in tried]
        if languages:
            yield from itertools.chain.from_iterable(missing)
        elif all(missing):
            yield missing[0][0]


def _servers(job: Synthesis) -> Iterator[tuple[Place, ModelServer]]:
    """All servers that a job asks: where it names them, and they."""
    yield ("server",), job.server
    for stage, field in _ASKING:
        settings = getattr(job.verify, stage)
        server: ModelServer | None = settings and getattr(settings, field)
        if server is not None:
            yield ("verify", stage, field), server


def _verification(job: Synthesis) -> Iterator[Problem]:
    verify = job.verify
    if job.problems and verify.code is not None:
        yield from _refused(("verify", "code"), Sandbox.find)
    compares = [name for name in ("self_consistency", "pass_rate") if getattr(verify, name) is not None]
    if not job.problems and compares and find_spec("math_verify") is None:
        message = "answers are compared by math-verify, which is not installed: pip install 'sapwood[synthesis]'"
        yield Problem(("verify", compares[0]), message)


def _refused(place: Place, check: Callable[[], object]) -> Iterator[Problem]:
    """The problem at a place, where what checks it raises one."""
    try:
        check()
    except SapwoodError as error:
        yield Problem(place, str(error))
