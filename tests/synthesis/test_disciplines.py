from __future__ import annotations

from typing import Any

import pytest

from sapwood.corpus.topics.label import SHIPPED as TAXONOMIES
from sapwood.corpus.topics.label import load_taxonomy
from sapwood.recipe.synthesis import DISCIPLINES, Discipline
from sapwood.synthesis.disciplines import Disciplines, discipline_name, shipped_disciplines

TOPICS = {name for taxonomy in TAXONOMIES for name in load_taxonomy(taxonomy).names}


def disciplines(**rules: dict[str, Any]) -> Disciplines:
    return Disciplines({name.replace("_", " "): Discipline.model_validate(rule) for name, rule in rules.items()})


def test_the_papers_disciplines_ship() -> None:
    assert tuple(shipped_disciplines()) == DISCIPLINES


@pytest.mark.parametrize("name", DISCIPLINES)
def test_each_is_known_by_hosts_and_topics(name: str) -> None:
    shipped = shipped_disciplines()[name]
    assert set(shipped.names) == {"en", "zh"}
    assert 8 <= len(shipped.hosts) <= 25
    assert len(set(shipped.hosts)) == len(shipped.hosts)
    assert all(host == host.lower() and "/" not in host and "." in host for host in shipped.hosts)
    assert set(shipped.topics) <= TOPICS
    for taxonomy in TAXONOMIES:
        if (name, taxonomy) != ("earth science", "syne-zh"):
            assert set(shipped.topics) & set(load_taxonomy(taxonomy).names)


def test_no_host_is_of_two_disciplines() -> None:
    hosts = [host for shipped in shipped_disciplines().values() for host in shipped.hosts]
    assert len(set(hosts)) == len(hosts)


def test_names_are_in_the_prompts_language() -> None:
    assert discipline_name("physics", "zh") == "物理"
    assert discipline_name("physics", "en") == "physics"
    assert discipline_name("physics", "fr") == "physics"
    assert discipline_name("oenology", "zh") == "oenology"


@pytest.mark.parametrize(
    ("url", "belongs"),
    [
        ("https://physics.stackexchange.com/questions/1", True),
        ("http://www.physicsforums.com:80/a", True),
        ("HTTPS://PHYSICSFORUMS.COM", True),
        ("physicsforums.com/threads/2", True),
        ("//physicsforums.com./x", True),
        ("https://notphysicsforums.com/", False),
        ("https://stackexchange.com/physics.stackexchange.com", False),
        ("https://example.org/?u=physicsforums.com", False),
        ("https://physicsforums.com.example.org/", False),
        ("https://[broken", False),
        ("", False),
    ],
)
def test_hosts_count_with_all_below_them(url: str, belongs: bool) -> None:
    assert (disciplines(physics={}).of("web", url, None) == "physics") == belongs


def test_globs_are_over_whole_addresses() -> None:
    found = disciplines(papers={"urls": ["https://arxiv.org/abs/*", "*.ac.?k/*"]})
    assert found.of("web", "https://arxiv.org/abs/2407.18743", None) == "papers"
    assert found.of("web", "https://www.ox.ac.uk/physics", None) == "papers"
    assert found.of("web", "https://arxiv.org/list", None) is None
    assert found.of("web", None, None) is None


def test_all_rules_that_are_given_must_be_met() -> None:
    found = disciplines(law={"sources": ["news"], "urls": ["courts.gov"], "topics": ["Law and Policy"]})
    assert found.of("news", "https://courts.gov/1", "Law and Policy") == "law"
    assert found.of("web", "https://courts.gov/1", "Law and Policy") is None
    assert found.of("news", "https://other.gov/1", "Law and Policy") is None
    assert found.of("news", None, "Law and Policy") is None
    assert found.of("news", "https://courts.gov/1", "Others") is None
    assert found.of("news", "https://courts.gov/1", None) is None


def test_the_first_that_fits_counts() -> None:
    found = disciplines(first={"sources": ["web"]}, second={"sources": ["web", "news"]})
    assert found.of("web", None, None) == "first"
    assert found.of("news", None, None) == "second"
    assert found.of("books", None, None) is None


def test_a_shipped_discipline_takes_an_address_or_a_topic() -> None:
    found = disciplines(physics={})
    assert found.of("web", None, "Mathematics and Physics") == "physics"
    assert found.of("web", "https://physicsforums.com/1", "Others") == "physics"
    assert found.of("web", "https://example.org", "Others") is None
    assert found.topics_matter


def test_an_address_says_more_than_a_topic() -> None:
    found = disciplines(mathematics={}, physics={}, own={"urls": ["my.org"]})
    assert found.of("web", "https://physicsforums.com/1", "Mathematics and Physics") == "physics"
    assert found.of("web", "https://my.org/1", "数学与物理") == "own"
    assert found.of("web", "https://example.org/1", "数学与物理") == "mathematics"


def test_topics_are_not_asked_for_without_need() -> None:
    assert not disciplines(own={"urls": ["my.org"]}).topics_matter
    assert disciplines(own={"topics": ["Others"]}).topics_matter
