"""Disciplines: what they are called, and which pages belong to which."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from sapwood.recipe.document import read_document
from sapwood.recipe.fields import Strict
from sapwood.recipe.synthesis import Discipline

SHIPPED = Path(__file__).with_name("disciplines.yaml")


class ShippedDiscipline(Strict):
    """A discipline that comes with Sapwood."""

    names: dict[str, str]
    """What it is called in prompts, by language."""
    hosts: Annotated[list[str], Field(min_length=1)]
    """Sites of it, with all below them."""
    topics: list[str]
    """Topics of the shipped taxonomies."""


class _File(Strict):
    disciplines: dict[str, ShippedDiscipline]


@cache
def shipped_disciplines() -> Mapping[str, ShippedDiscipline]:
    """Those that come with Sapwood, by name."""
    return read_document(SHIPPED, (), _File, lambda _: ()).disciplines


def discipline_name(name: str, language: str) -> str:
    """What a discipline is called in prompts of a language; those of one's own are called as in the job."""
    found = shipped_disciplines().get(name)
    return name if found is None else found.names.get(language, name)


class Disciplines:
    """The disciplines of a job, and the rules by which pages belong to them.

    A page belongs to the first discipline all of whose rules it meets. Where the job gives no rule for one, the shipped
    ones hold: an address or a topic is enough. An address says more than a topic, so shipped topics are asked last.
    """

    def __init__(self, rules: Mapping[str, Discipline]) -> None:
        self.names = list(rules)
        self.topics_matter = False
        self._rules: list[tuple[str, Discipline, Callable[[str], bool]]] = []
        self._by_topic: dict[str, str] = {}
        for name, rule in rules.items():
            if rule == Discipline():
                known = shipped_disciplines()[name]
                rule = Discipline(urls=known.hosts)
                for topic in known.topics:
                    self._by_topic.setdefault(topic, name)
            self.topics_matter |= bool(rule.topics or self._by_topic)
            self._rules.append((name, rule, _addresses(rule.urls or ())))

    def of(self, source: str, url: str | None, topic: str | None) -> str | None:
        """The discipline of a page; None where it belongs to none."""
        for name, rule, has_address in self._rules:
            if rule.sources is not None and source not in rule.sources:
                continue
            if rule.topics is not None and topic not in rule.topics:
                continue
            if rule.urls is not None and (url is None or not has_address(url)):
                continue
            return name
        return None if topic is None else self._by_topic.get(topic)


def _addresses(rules: Sequence[str]) -> Callable[[str], bool]:
    """Whether an address is at one of the hosts, or below it, or like one of the globs."""
    globs = [rule for rule in rules if re.search(r"[*?\[/]", rule)]
    hosts = {rule.casefold() for rule in rules if rule not in globs}
    pattern = re.compile("|".join(map(translate, globs)) or r"(?!)")

    def matches(url: str) -> bool:
        host = _host(url)
        while host:
            if host in hosts:
                return True
            host = host.partition(".")[2]
        return pattern.match(url) is not None

    return matches


def _host(url: str) -> str:
    try:
        return (urlsplit(url if "//" in url else f"//{url}").hostname or "").rstrip(".")
    except ValueError:  # an address that is none
        return ""
