"""A taxonomy: the topics that documents are sorted into, each described well enough to sort by."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML

from sapwood.errors import SapwoodError, closest
from sapwood.files import fingerprint
from sapwood.recipe.document import parse_yaml, read_text
from sapwood.recipe.fields import Name, Strict

SHIPPED = ("syne-en", "syne-zh")
"""The taxonomies that come with Sapwood."""


class Topic(Strict):
    """A topic of a taxonomy."""

    name: Annotated[str, Field(min_length=1)]
    """What it is called, in prompts, answers and labels alike."""
    description: Annotated[str, Field(min_length=1)]
    """What belongs to it and what does not."""


class Taxonomy(Strict):
    """Topics that exclude each other."""

    name: Name
    """What the taxonomy is called."""
    language: str
    """The language of the documents, and of the prompt, as an ISO 639-1 code."""
    topics: Annotated[list[Topic], Field(min_length=2)]
    """The topics."""
    rest: str
    """The topic of documents that belong to no other."""

    @model_validator(mode="after")
    def _consistent(self) -> Taxonomy:
        names = self.names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two topics are called '{twice}'")
        if self.rest not in names:
            raise ValueError(f"the rest '{self.rest}' is no topic. {closest(self.rest, names)}")
        return self

    @property
    def names(self) -> list[str]:
        """The topics' names, in order."""
        return [topic.name for topic in self.topics]

    @property
    def fingerprint(self) -> str:
        """Identifies what the taxonomy says."""
        return fingerprint(self.model_dump())


def load_taxonomy(reference: str) -> Taxonomy:
    """A taxonomy by name, if it comes with Sapwood, or from a YAML file.

    Raises SapwoodError where there is none, or what is there is no taxonomy.
    """
    if reference in SHIPPED:
        return _parse(files(__package__).joinpath(f"{reference}.yaml").read_text(encoding="utf-8"), reference)
    path = Path(reference)
    if not path.is_file():
        raise SapwoodError(
            f"There is no taxonomy '{reference}'. {closest(reference, SHIPPED)} A taxonomy of your own is a YAML file."
        )
    return _parse(read_text(path), str(path))


def _parse(text: str, name: str) -> Taxonomy:
    try:
        return Taxonomy.model_validate(parse_yaml(text, name, YAML(typ="safe")))
    except ValidationError as error:
        found = "\n".join(
            f"{name}: {'.'.join(map(str, item['loc'])) or 'taxonomy'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        raise SapwoodError(found) from None
