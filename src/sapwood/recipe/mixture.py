"""What the user writes about the mixture: shares, the order of documents, and what moves the shares during a stage."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, WithJsonSchema, model_serializer, model_validator

from sapwood.recipe.fields import Share, Stretch, Strict, Tokens

Rule = Literal["natural", "uniform", "unimax"]
"""How shares follow from what there is: by tokens; all alike; or as alike as a number of passes allows (2304.09151)."""

SHARES_TAG, WEIGHTING_TAG = "<shares>", "<weighting>"
"""What pydantic puts into the place of an error, to say which form of `Shares` it took it for."""


class Weighting(Strict):
    """Shares that follow from a rule: `{natural: [web-zh, book-zh]}`, or `natural` alone, which means all there are."""

    rule: Rule
    """The rule."""
    names: list[str] | None = None
    """What it is about; null for all there are."""

    @model_validator(mode="before")
    @classmethod
    def _from_words(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"rule": value}
        if isinstance(value, Mapping) and len(value) == 1 and "rule" not in value:
            ((rule, names),) = value.items()
            return {"rule": rule, "names": names}
        return value

    @model_serializer
    def _to_words(self) -> str | dict[str, list[str]]:
        return self.rule if self.names is None else {self.rule: self.names}


def _form(value: Any) -> str:
    if isinstance(value, Weighting | str):
        return WEIGHTING_TAG
    by_rule = isinstance(value, Mapping) and len(value) == 1 and isinstance(next(iter(value.values())), list)
    return WEIGHTING_TAG if by_rule else SHARES_TAG


_NAMES = {"type": "array", "items": {"type": "string"}}
_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": ["number", "string"], "examples": [7, 0.25, "20%", "1/3"]}},
        {"type": "object", "properties": dict.fromkeys(get_args(Rule), _NAMES), "additionalProperties": False},
        {"type": "string", "enum": list(get_args(Rule))},
    ]
}
Shares = Annotated[
    Annotated[dict[str, Share], Tag(SHARES_TAG)] | Annotated[Weighting, Tag(WEIGHTING_TAG)],
    Discriminator(_form),
    WithJsonSchema(_SCHEMA),
]
"""Shares by name, as people say them (`{zh: 2, en: 8}`), or a rule."""


class Tails(Strict):
    """The ends of a score, whose documents are put off to the end of an epoch."""

    head: Share = Fraction(0)
    """The share of documents with the lowest scores."""
    tail: Share = Fraction(0)
    """The share of documents with the highest scores."""


class Order(Strict):
    """In which order the documents of a domain come, in every epoch."""

    by: str = "shuffle"
    """`shuffle`, or the score to sort by: `perplexity`, `bits_per_byte`, `compression_ratio`, or any other number that
    a step of the corpus says of documents. Documents without a score come last."""
    ascending: bool = True
    """Whether low scores come first."""
    bins: Annotated[int, Field(ge=1)] | None = None
    """Sorts the documents into so many bins of equally many, which come in order, with a shuffle inside each. Null
    for the strict order."""
    first: Share = Fraction(1)
    """The share of documents, chosen by chance, that come in order; all others follow, shuffled."""
    tails: Tails = Tails()
    """Documents at the ends of the score, which come after all others."""


class Controller(Strict):
    """What moves the mixture during a stage: the shares of siblings, by what was measured between rounds.

    Each kind is described in `docs/controllers.md`."""

    kind: Literal["static", "perplexity-change", "excess-loss", "learnability"] = "static"
    """`static` keeps the mixture; `perplexity-change` is the rule of the paper; `excess-loss` moves towards what lies
    above its target; `learnability` towards what is learned fastest."""
    over: Literal["topics", "sources", "groups"] = "sources"
    """Whose shares it moves: those of the topics in each source, the sources in each group, or the groups."""
    every: Stretch | None = None
    """The length of a round, after which the losses are measured and the mixture is decided again. Without it a stage
    is one round."""
    strength: Annotated[float, Field(gt=0)] | None = None
    """How strongly shares follow. For `perplexity-change` the paper's alpha (0.1 unless given), for `excess-loss` the
    step of the exponentiated gradient (1 unless given)."""
    normalise: Literal["largest", "relative"] = "largest"
    """For `perplexity-change`: whether changes are divided by the largest of them, or each by its own perplexity."""
    importance: dict[str, Annotated[float, Field(ge=0)]] = {}
    """For `perplexity-change`: the paper's weight of a topic; 1 where nothing is said."""
    targets: dict[str, Annotated[float, Field(gt=0)]] = {}
    """For `excess-loss`: target losses in bits per byte; the base model's own loss where nothing is said."""
    prior: Tokens | None = None
    """For `learnability`: what the base model is taken to have seen of every domain before the run. Without it, the
    stage's budget."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """How much of the last signal is kept: the weight of the past in an exponential moving average."""
    noise: Annotated[float, Field(ge=0)] = 1.0
    """Changes smaller than so many of their standard errors move nothing."""
    floor: Share = Fraction(1, 100)
    """The least share among siblings, or the share that a domain begins with where that is lower."""
    cap: Share = Fraction(1)
    """The largest share among siblings, or the share that a domain begins with where that is higher."""
    step: Annotated[Share, Field(gt=0)] = Fraction(3, 100)
    """How far a share may move in a round, in points of share."""


class Replay(Strict):
    """The replay governor: moves the share of old text by what is being kept and lost. Needs `controller.every`."""

    groups: list[str]
    """The groups that hold old text."""
    least: Share
    """The smallest share of them together."""
    most: Share
    """The largest share of them together."""
    step: Annotated[Share, Field(gt=0)] = Fraction(5, 100)
    """How far their share moves in a round."""


class Gate(Strict):
    """What ends a stage before its budget does. Needs `controller.every`."""

    retention: Annotated[float, Field(gt=0)] | None = None
    """Ends the stage when any domain of `evaluation.retention` is shown to be worse than the base model by more than so
    many bits per byte."""
    flat: Annotated[float, Field(gt=0)] | None = None
    """Ends the stage when the domains of `evaluation.gain` are shown to have improved by less than so many bits per
    byte in the last round."""
