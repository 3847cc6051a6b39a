"""What the user writes about documents: the sources, and what is done to them before they are trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from sapwood.recipe.fields import MUTABLE, Paths, Share, Strict, Tokens
from sapwood.recipe.language import detected_language, problem_of
from sapwood.recipe.server import ModelServer

RuleSet = Literal["gopher-quality", "gopher-repetition", "c4", "fineweb"]
"""A set of rules by which the quality of a text is judged."""


Script = Literal["simplified", "traditional", "traditional-tw", "traditional-twp", "traditional-hk"]
"""A script of Chinese, and the standard of its variants."""


class Assembly(Strict):
    """How the parts of an item become the plain text of a document. No chat template is used."""

    joiner: str = "\n\n"
    """What stands between the parts."""
    template: str | None = None
    """A Jinja template in place of the default one: over `joiner`, and all that an item has (`docs/synthesis.md`)."""
    page: Literal["none", "before", "after"] = "none"
    """Whether the snippet from which it was written stands beside it."""


class Corruption(Strict):
    """Items made wrong on purpose, for studies of what wrong items do (2407.18743, section on surrogates)."""

    share: Share
    """The share of items."""
    ways: Annotated[list[Literal["numbers", "nouns", "adjectives"]], Field(min_length=1)] = [
        "numbers",
        "nouns",
        "adjectives",
    ]
    """What is changed in the reasoning and the answer: numbers to others, nouns among each other, adjectives to their
    opposites."""
    changes: Annotated[int, Field(gt=0)] = 3
    """How many changes an item gets at most."""


class Source(Strict):
    """A named set of documents."""

    files: Paths = []
    """Paths or globs, relative to the recipe, or URLs that fsspec knows: JSONL, JSON, CSV, TSV, text, Markdown, HTML or
    WARC (each plain, .gz, .zst, .xz or .bz2) or Parquet. They may move after a run has begun; what is in them may not
    change."""
    programs: dict[str, Annotated[int, Field(gt=0)]] = {}
    """Instead of files: items with exact answers made by programs, reasoning-gym generator names to item counts."""
    synthesis: Annotated[str | None, Field(json_schema_extra=MUTABLE)] = None
    """Instead of files: a synthesis job (`sapwood synthesize`), whose accepted items are taken."""
    assembly: Assembly = Assembly()
    """Of `programs` and `synthesis`: how an item becomes text."""
    corrupt: Corruption | None = None
    """Of `programs` and `synthesis`: items made wrong on purpose."""
    tokens: Tokens | None = None
    """The expected size. Enough for `sapwood plan` where the documents are not there yet; never used to train."""
    text: str = "text"
    """The column, or JSON key, that holds the text; `a.b` is `b` inside `a`."""
    url: str | None = None
    """The column, or JSON key, that holds the address a document came from. WARC files bring their own."""
    kind: str | None = None
    """What kind of text it is, such as `web` or `book`. The plan also gives totals by kind."""
    licence: Annotated[str | None, Field(json_schema_extra=MUTABLE)] = None
    """The licence of the texts, such as `CC-BY-SA-4.0`, for the reports and the model card."""
    language: Annotated[str, AfterValidator(detected_language)] | None = None
    """The language the documents are in: an ISO 639 code or a tag such as `zh-Hant`, kept as the code by which the
    identification knows it (`docs/data.md`). Documents in another one are dropped."""
    quality: list[RuleSet] | None = None
    """Rules of quality for this source, in place of those in `corpus.quality`; `[]` for none."""
    topics: str | None = None
    """The taxonomy by which the documents are labelled: `syne-en`, `syne-zh`, or the path of a taxonomy file."""
    max_epochs: Annotated[Share | None, Field(json_schema_extra={"examples": [4]})] = None
    """How often the source may be gone through at most. A plan that needs more is refused."""

    max_dropped: Annotated[Share, Field(json_schema_extra=MUTABLE)] = Fraction(1, 2)
    """The largest share of the documents that one step may drop: as unreadable, in another language, of low quality,
    as duplicates or benchmark items. Beyond it `sapwood prepare` and `run` stop before the training, and ask."""

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        given = [name for name in ("files", "programs", "synthesis") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"has both '{given[0]}' and '{given[1]}'; a source is one or the other")
        if not given and self.tokens is None:
            raise ValueError("names no 'files', no 'programs', no 'synthesis' and no 'tokens' to plan with")
        if self.files and (self.corrupt is not None or self.assembly != Assembly()):
            raise ValueError("has 'files', whose text is taken as it is: 'assembly' and 'corrupt' are about items")
        return self


class Normalise(Strict):
    """How texts are written alike before anything else looks at them.

    Unicode NFC, line ends as `\\n`, no control characters: these always."""

    mojibake: bool = False
    """Whether text that was decoded wrongly somewhere on its way is repaired (ftfy)."""
    script: Script | None = None
    """The script to convert Chinese sources into (OpenCC), a source whose `language` is Chinese: `traditional` by the
    standard of OpenCC, `-tw` of Taiwan, `-twp` with its words, `-hk` of Hong Kong. Text in that script stays."""


class Language(Strict):
    """Drops documents that are not in the language their source states; sources that state none are left alone."""

    confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How sure the identification of another language must be for the document to be dropped."""
    han_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """The least share of Han characters among the letters of a document of a Chinese source."""


class Duplicates(Strict):
    """Finds documents that were there before: the same text, or nearly the same (MinHash)."""

    near: bool = True
    """Whether near-duplicates are found, and not only equal texts."""
    similarity: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """The Jaccard similarity of their shingles from which on two texts are near-duplicates."""
    priority: list[str] = []
    """Sources whose copy is kept before that of others, first to last. Sources that are not named follow in the order
    of the recipe; evaluation-only ones come before all."""


class Decontamination(Strict):
    """Looks for benchmark items among the documents. Why the defaults are what they are is in `docs/data.md`."""

    benchmarks: Paths
    """JSONL files (plain or compressed) of benchmark items, as paths, globs or URLs. Every text in an item counts."""
    ngram: Annotated[int, Field(ge=2)] = 8
    """Tokens in a row that must be equal: words, or single Han characters."""
    overlap: Annotated[float, Field(gt=0, le=1)] = 0.3
    """The share of an item's n-grams that must stand in one place of a document for the item to count as leaked."""
    action: Literal["drop", "cut"] = "drop"
    """Whether a document with a leaked item is dropped, or loses the lines in which the item stands."""


class Labeller(ModelServer):
    """A language model that labels some documents with their topic, behind any OpenAI-compatible server."""

    sample: Annotated[int, Field(gt=0)] = 2000
    """How many documents of each taxonomy are labelled."""
    characters: Annotated[int, Field(gt=0)] = 4000
    """How much of a document's beginning is shown."""


class Topics(Strict):
    """How documents get their topic: some labels, a classifier trained on them, and that classifier for all."""

    labels: Annotated[dict[str, str], Field(json_schema_extra=MUTABLE)] = {}
    """Taxonomy to a JSONL file of `text` and `topic`, in place of a labeller or beside it."""
    labeller: Labeller | None = None
    """The language model that labels a sample: `sapwood topics label`."""
    encoder: str | None = None
    """A transformer encoder to fine-tune as classifier, such as a TinyBERT. Without it, a linear model on hashed
    n-grams."""
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.4
    """The least probability of a document's topic; below it the document's topic is `other`."""


class Trim(Strict):
    """Drops the ends of the perplexity distribution: boilerplate on the one, garbage on the other."""

    head: Share = Fraction(0)
    """The share of documents with the lowest perplexity that is dropped."""
    tail: Share = Fraction(0)
    """The share of documents with the highest perplexity that is dropped."""
    within: Literal["source", "topic"] = "source"
    """Whether the shares are taken of each source, or of each topic in it."""


class Perplexity(Strict):
    """Scores documents by how likely a model finds them."""

    model: Annotated[str | None, Field(json_schema_extra=MUTABLE)] = None
    """The model; without it, the base model."""
    sources: list[str] | None = None
    """Groups or sources whose documents are scored; without it, all that are trained on."""
    tokens: Annotated[int, Field(gt=0)] | None = 2048
    """Only so many tokens from the beginning of a document are scored. Null scores whole documents."""
    trim: Trim = Trim()
    """Which documents are dropped by their score."""


class Corpus(Strict):
    """What is done to documents before they are trained on."""

    normalise: Normalise = Normalise()
    """How texts are written alike."""
    language: Language | None = Language()
    """The check of the language; null for none."""
    quality: list[RuleSet] = []
    """Rules of quality, for all sources that state none of their own."""
    duplicates: Duplicates | None = Duplicates()
    """The search for duplicates; null for none."""
    decontamination: Decontamination | None = None
    """The search for benchmark items."""
    topics: Topics = Topics()
    """How documents of sources with a taxonomy get their topic."""
    perplexity: Perplexity | None = None
    """The scoring by a model."""


def language_problems(sources: Mapping[str, Source], corpus: Corpus) -> Iterator[tuple[tuple[str, ...], str]]:
    """The languages that the check of documents cannot check."""
    for name, source in sources.items():
        if corpus.language is not None and source.language is not None and (problem := problem_of(source.language)):
            yield ("sources", name, "language"), problem


class Engine(Strict):
    """Where the documents are worked on."""

    kind: Literal["local", "slurm", "ray"] = "local"
    """Processes of this machine, Slurm, or Ray."""
    workers: Annotated[int, Field(gt=0)] | None = None
    """Tasks at once; without it, one a core on this machine, and no limit elsewhere."""
    options: dict[str, Any] = {}
    """For Slurm, arguments of datatrove's executor: `partition` and `time` must be there. For Ray, `address`,
    `cpus_per_task`, `mem_per_cpu_gb`, `gpus_per_task`, `ray_remote_kwargs`. None for local processes."""


class Holdout(Strict):
    """The documents that are never trained on. Chosen by a hash of their text, so that duplicates share their fate."""

    share: Share = Fraction(1, 100)
    """The share of every source's documents that is held out. Sources outside all groups are held out whole."""
    salt: str = "sapwood"
    """Another word gives another choice."""
