"""The synthesis job: what the user writes about questions and answers to be made. One YAML file, like a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from sapwood.errors import closest
from sapwood.recipe.data import Corpus, Decontamination, Engine, Source, language_problems
from sapwood.recipe.document import Problem
from sapwood.recipe.fields import MUTABLE, Bytes, Name, Paths, Share, Stretch, Strict
from sapwood.recipe.fleet import Fleet
from sapwood.recipe.server import ModelServer
from sapwood.recipe.units import Interval

DISCIPLINES = (
    "mathematics",
    "physics",
    "chemistry",
    "biology",
    "astronomy",
    "earth science",
    "medicine",
    "computer science",
    "general education",
)
"""The paper's nine (2407.18743)."""


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class Discipline(Strict):
    """Which pages belong to a discipline: those that meet all rules given here. None given are those that ship."""

    sources: list[str] | None = None
    """Sources whose pages all belong to it."""
    urls: list[str] | None = None
    """Hosts such as `physics.stackexchange.com` (with all below them), or globs over whole addresses."""
    topics: list[str] | None = None
    """Topics that the classifier of the source gives."""


class Snippet(Strict):
    """What of a page is shown to the generator: whole sentences, on end."""

    characters: Annotated[tuple[int, int], BeforeValidator(_as_tuple)] = (400, 2000)
    """The least and the greatest length. Pages with less are passed over."""
    start: Literal["beginning", "anywhere"] = "anywhere"
    """Whether it starts with the page, or with any of its sentences (the same one each time)."""
    per_page: Annotated[int, Field(gt=0)] = 1
    """How many are taken of a page, none of which overlap."""


class Sampling(Strict):
    """How the generator chooses its words. Where the paper is silent these are YuLan-Mini's (2412.17743)."""

    temperature: Annotated[float, Field(ge=0)] = 0.7
    """0 always takes the likeliest."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Chooses among the likeliest words that together have this probability."""
    max_tokens: Annotated[int, Field(gt=0)] = 2048
    """The longest answer."""


class Problems(Strict):
    """New programming problems with solutions and tests, from a few that are shown."""

    files: Paths = []
    """JSONL of seed problems: `question`, `solution` and `tests` each. Without any, those that come with Sapwood."""
    shots: Annotated[int, Field(gt=0)] = 3
    """How many are shown at a time."""


_GREEDY = Sampling(temperature=0.0)
"""Of stages that ask for a judgement, not for an opinion out of many."""


class Repeated(Strict):
    """What asks a model several times."""

    samples: Annotated[int, Field(gt=0)] = 1
    """How often it is asked."""
    sampling: Sampling = Sampling()
    """How its words are chosen."""

    @model_validator(mode="after")
    def _answers_vary(self) -> Repeated:
        if self.samples > 1 and self.sampling.temperature == 0:
            raise ValueError("asks several times at temperature 0, where all answers are the same; raise `temperature`")
        return self


class SelfConsistency(Repeated):
    """Asks for the answer several times without showing the one given, and compares (math-verify)."""

    server: ModelServer | None = None
    """Who is asked; without it, the generator. Another family of models makes other mistakes."""
    samples: Annotated[int, Field(gt=0)] = 5
    """How often."""
    agreement: Annotated[Share, Field(gt=0, le=1)] = Fraction(3, 5)
    """The least share of these answers that must equal the given one."""


class OptionPermutation(Strict):
    """Asks multiple-choice questions with their options in other orders: the answer must stay the same."""

    renamed = {"orders": "permutations"}

    server: ModelServer | None = None
    """Who is asked; without it, the generator."""
    permutations: Annotated[int, Field(gt=0)] = 3
    """How many orders of the options."""
    sampling: Sampling = _GREEDY
    """How its words are chosen."""
    agreement: Annotated[Share, Field(gt=0, le=1)] = Fraction(1)
    """The least share of the orders in which the given answer must be chosen."""


class Entailment(Repeated):
    """Asks a second model whether the answer follows from the page, of items that quote the page."""

    server: ModelServer
    """Who is asked. It should be of another family than the generator."""
    sampling: Sampling = _GREEDY
    """How its words are chosen."""
    agreement: Annotated[Share, Field(gt=0, le=1)] = Fraction(1)
    """The least share of these that must say that it follows."""


class CodeTests(Strict):
    """Runs solutions against their tests, in a sandbox without network or files (`docs/sandbox.md`)."""

    timeout: Stretch = Interval(10, "seconds")
    """How long a program may compute; one that waits may do so for twice as long."""
    memory: Annotated[Bytes, Field(ge=64 * 2**20)] = 512 * 2**20
    """How much memory it may take."""
    mutants: Annotated[int, Field(ge=0)] = 4
    """Wrong variants of the solution that are run too. Tests that pass them all test nothing."""

    @model_validator(mode="after")
    def _timeout_is_a_time(self) -> CodeTests:
        if self.timeout.unit != "seconds":
            raise ValueError(f"'timeout' is a time such as 10s, and not {self.timeout}")
        return self


class PassRate(Repeated):
    """Measures how hard an item is: how often a model, such as the surrogate, answers it rightly."""

    server: ModelServer
    """The model."""
    samples: Annotated[int, Field(gt=0)] = 8
    """How often it is asked."""
    between: Annotated[tuple[float, float], BeforeValidator(_as_tuple)] = (0.0, 1.0)
    """The pass rates that are kept, these two among them."""


class NearDuplicates(Strict):
    """Items that were made before, or nearly so."""

    similarity: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """The Jaccard similarity of questions from which on the later one is dropped (MinHash)."""
    embedding: ModelServer | None = None
    """A server of embeddings (`/embeddings`), to find what says the same in other words."""
    cosine: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """The cosine of their embeddings from which on the later one is dropped."""


class CrossLingual(Strict):
    """Finds items of the benchmarks in `contamination` in another language, or in other words: the nearest ones, and
    then a model's word."""

    judge: ModelServer
    """Is asked whether two questions are the same; translates where there is no `embedding`."""
    embedding: ModelServer | None = None
    """A server of embeddings that knows the languages; without it, questions are translated and words compared."""
    candidates: Annotated[int, Field(gt=0)] = 3
    """How many benchmark items are judged for each item."""
    sampling: Sampling = _GREEDY
    """How the judge's words are chosen."""


class Verify(Strict):
    """What an item must pass. Stages that are null, or have no server where they need one, are skipped."""

    renamed = {
        "copies": "near_duplicates",
        "across": "cross_lingual",
        "votes": "self_consistency",
        "choices": "option_permutation",
        "facts": "entailment",
    }

    near_duplicates: NearDuplicates | None = NearDuplicates()
    """Near-duplicates among the items."""
    contamination: Decontamination | None = None
    """Benchmark items, found as in documents."""
    cross_lingual: CrossLingual | None = None
    """Benchmark items in other languages and other words."""
    self_consistency: SelfConsistency | None = SelfConsistency()
    """Answers that can be compared: numbers, formulas, short phrases."""
    option_permutation: OptionPermutation | None = OptionPermutation()
    """Multiple choice."""
    entailment: Entailment | None = None
    """Answers that follow from the page or not."""
    code: CodeTests | None = CodeTests()
    """Programs."""
    pass_rate: PassRate | None = None
    """How hard an item is."""
    unchecked: Literal["drop", "keep"] = "drop"
    """What becomes of an item whose answer no stage could check: a long text is compared with no vote, and needs
    `entailment`."""


class Synthesis(Strict):
    """A synthesis job."""

    name: Name
    """What it is called."""
    output: Annotated[str | None, Field(json_schema_extra=MUTABLE)] = None
    """The directory for all that it makes; without it, one beside this file, called as it is without its ending."""
    seed: int = 0
    """Decides all choices."""
    server: ModelServer
    """The generator."""
    structured: bool = False
    """Whether the server is asked for JSON of a given schema; otherwise for text in sections."""
    items: Annotated[int, Field(gt=0)]
    """How many are attempted; fewer where there are not enough seeds."""
    sources: dict[str, Source] = {}
    """Pages to write from, as in a recipe. Sources called as in a run give their documents the same ids."""
    corpus: Corpus = Corpus()
    """What is done to pages before they are used, as in a recipe."""
    engine: Engine = Engine()
    """Where pages are worked on, as in a recipe."""
    fleet: Annotated[dict[str, Fleet], Field(json_schema_extra=MUTABLE)] = {}
    """Models to servers that are started for them on this machine, on Slurm or on Ray, in place of asking at `url`."""
    classifiers: dict[str, str] = {}
    """Taxonomy to the directory of its classifier, such as `runs/NAME/topics/syne-en/classifier`."""
    disciplines: dict[str, Discipline] = {}
    """Which pages belong to what. The first discipline that fits counts."""
    snippet: Snippet = Snippet()
    """What of a page is shown."""
    problems: Problems | None = None
    """In place of `sources`: programming problems."""
    formats: dict[str, Share] = {"problem-solution": Fraction(1)}
    """Shares of the formats. One format alone is known to harm: see `docs/synthesis.md`."""
    languages: dict[str, Share] = {}
    """Shares of the languages that items are written in; without any, that of the page."""
    difficulty: dict[str, Share] = {"easy": Fraction(1), "medium": Fraction(1), "hard": Fraction(1)}
    """Shares of the difficulties that are asked for."""
    prompts: str | None = None
    """A directory of prompt files of one's own, which take the place of those of the same name."""
    sampling: Sampling = Sampling()
    """How the generator chooses its words."""
    verify: Verify = Verify()
    """What an item must pass."""

    @property
    def servers(self) -> list[ModelServer]:
        """All that may be asked: the generator, checkers, judges and embeddings."""
        verify = self.verify
        stages = (verify.self_consistency, verify.option_permutation, verify.entailment, verify.pass_rate)
        found = [self.server, *(stage.server for stage in stages if stage)]
        if verify.cross_lingual is not None:
            found += [verify.cross_lingual.judge, verify.cross_lingual.embedding]
        if verify.near_duplicates is not None:
            found.append(verify.near_duplicates.embedding)
        return [server for server in found if server is not None]

    @model_validator(mode="after")
    def _one_kind_of_seed(self) -> Synthesis:
        if bool(self.sources) == (self.problems is not None):
            raise ValueError("needs either 'sources' (pages) or 'problems' (programming), and not both")
        return self


def problems(job: Synthesis) -> Iterator[Problem]:
    """Everything in the job that contradicts something else in it: where, and what to write instead."""
    if job.corpus.perplexity is not None:
        yield ("corpus", "perplexity"), "pages are not scored; leave it out"
    yield from language_problems(job.sources, job.corpus)
    for name, source in job.sources.items():
        if not source.files:
            yield ("sources", name), "names no 'files' to take pages from"
        if source.topics is not None and source.topics not in job.classifiers:
            yield (
                ("sources", name, "topics"),
                f"there is no classifier for '{source.topics}'. Write `classifiers: {{{source.topics}: DIRECTORY}}`",
            )
    if job.sources and not job.disciplines:
        yield ("disciplines",), f"name those to write about: any of {', '.join(DISCIPLINES)}, or your own"
    for name, rule in job.disciplines.items():
        yield from _discipline(job, name, rule)
    for field in ("formats", "languages", "difficulty"):
        shares: dict[str, Fraction] = getattr(job, field)
        if shares and not sum(shares.values()):
            yield (field,), "all shares are 0"
    yield from _verification(job.verify)
    yield from _fleet(job)


def _fleet(job: Synthesis) -> Iterator[Problem]:
    verify = job.verify
    with_embedding = (verify.near_duplicates, verify.cross_lingual)
    embedding = [stage.embedding.model for stage in with_embedding if stage and stage.embedding]
    asked = [server.model for server in job.servers if server.model not in embedding]
    for model in job.fleet:
        if model in embedding:
            yield ("fleet", model), "a fleet gives no embeddings. Leave it out; it is asked at its 'url'"
        elif model not in asked:
            yield ("fleet", model), f"nothing is asked of this model. {closest(model, asked)}"


def _verification(verify: Verify) -> Iterator[Problem]:
    if verify.cross_lingual is not None and verify.contamination is None:
        yield (
            ("verify", "cross_lingual"),
            "has no benchmarks to look in. Write `contamination: {benchmarks: FILES}` under 'verify' too",
        )
    if verify.contamination is not None and verify.contamination.action == "cut":
        yield (
            ("verify", "contamination", "action"),
            "a part of a question or an answer cannot be cut out: such items are dropped. Leave 'action' out",
        )


def _discipline(job: Synthesis, name: str, rule: Discipline) -> Iterator[Problem]:
    if rule == Discipline() and name not in DISCIPLINES:
        yield (
            ("disciplines", name),
            f"states no rule, and none ships for it. {closest(name, DISCIPLINES)} Or give it rules.",
        )
    for source in rule.sources or ():
        if source not in job.sources:
            yield ("disciplines", name, "sources"), f"there is no source '{source}'. {closest(source, job.sources)}"
    if rule.topics and not any(source.topics for source in job.sources.values()):
        yield ("disciplines", name, "topics"), "no source has a taxonomy. Write `topics: syne-en` or the like under one"
