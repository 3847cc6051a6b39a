from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.mixture.domains import Sizes, domains_of
from sapwood.mixture.plan import Plan, make_plan
from sapwood.mixture.weights import PRECISION, Mixture, in_units, normalised, shares_by_rule
from sapwood.recipe import Recipe, load_recipe

PAPER = Path(__file__).parents[2] / "recipes" / "llama-3-syne.yaml"
NOTHING = Sizes({}, {})

# What the shares of the released code come to, in billions of tokens, for the first and the second stage.
VOLUMES = {
    "web-zh": ("12.95", "0.525"),
    "encyclopedia-zh": ("0.925", "0.0375"),
    "book-zh": ("3.70", "0.150"),
    "qa_forum-zh": ("0.925", "0.0375"),
    "web-en": ("29.60", "2.100"),
    "encyclopedia-en": ("3.70", "0.2625"),
    "book-en": ("11.10", "0.7875"),
    "qa_forum-en": ("3.70", "0.2625"),
    "paper-en": ("7.40", "0.525"),
    "math-en": ("7.40", "0.525"),
    "code-en": ("11.10", "0.7875"),
    "synthetic-qa": ("0", "1.5"),
}
KINDS = {
    "web": "45.175",
    "encyclopedia": "4.925",
    "book": "15.7375",
    "qa_forum": "4.925",
    "paper": "7.925",
    "math": "7.925",
    "code": "11.8875",
    "synthetic": "1.5",
}


def test_the_papers_volumes_to_the_last_digit() -> None:
    plan = make_plan(load_recipe(PAPER), NOTHING)
    assert {part.domain.name: part.shares for part in plan.domains} == {
        name: tuple(Fraction(volume) * 10**9 for volume in volumes) for name, volumes in VOLUMES.items()
    }
    totals = dict.fromkeys(KINDS, Fraction(0))
    for part in plan.domains:
        assert part.kind is not None
        totals[part.kind] += sum(part.shares)
        assert abs(part.tokens - sum(part.shares)) < 2 * 8192, "two stages, each within one sequence"
    assert totals == {kind: Fraction(volume) * 10**9 for kind, volume in KINDS.items()}
    assert not plan.refusals


def test_a_plan_is_read_back_as_it_was_written() -> None:
    plan = make_plan(load_recipe(PAPER), NOTHING)
    record = json.loads(json.dumps(plan.to_json()))
    assert Plan.from_json(record).to_json() == plan.to_json()
    assert Plan.from_json(record).domains == plan.domains
    assert str(Plan.from_json(record)) == str(plan)
    for part in record["domains"]:
        del part["shares"], part["max_epochs"]  # an earlier version wrote neither
    earlier = Plan.from_json(record)
    assert [part.epochs for part in earlier.domains] == [part.epochs for part in plan.domains]
    assert (earlier.sequences, earlier.tokens, earlier.steps) == (plan.sequences, plan.tokens, plan.steps)


def test_stage_boundaries_are_within_one_sequence_of_the_budgets() -> None:
    plan = make_plan(load_recipe(PAPER), NOTHING)
    assert 0 <= 92_500_000_000 - plan.stages[0].stop_tokens < 8192
    assert 0 <= 100_000_000_000 - plan.tokens < 8192


def test_topics_of_the_papers_web_pages_are_domains_once_they_are_counted() -> None:
    recipe = load_recipe(PAPER)
    topics = {"Law": 3_000_000_000, "Medicine": 9_950_000_000}
    plan = make_plan(recipe, Sizes({"web-zh": 12_950_000_000}, {"web-zh": topics}))
    web = {part.domain.name: part for part in plan.domains if part.domain.source == "web-zh"}
    assert list(web) == ["web-zh/Law", "web-zh/Medicine"]
    assert sum(part.shares[0] for part in web.values()) == Fraction("12.95") * 10**9
    assert float(web["web-zh/Law"].shares[0]) == pytest.approx(3e9, rel=1e-3), "natural shares"


def test_topics_that_cannot_be_measured_are_named() -> None:
    topics = {"Law": 10**9, "Art": 10**9, "Sea": 10**9}
    held_out = {"web-zh": 60, "web-zh/Law": 0, "web-zh/Art": 1, "web-zh/Sea": 59}
    plan = make_plan(load_recipe(PAPER), Sizes({"web-zh": 3 * 10**9}, {"web-zh": topics}, held_out))
    (remark,) = [remark for remark in plan.remarks if "cannot measure" in remark]
    assert "'web-zh/Law' (0), 'web-zh/Art' (1), of which fewer than 2 held-out documents are there" in remark
    assert "Sea" not in remark
    everything = make_plan(
        load_recipe(PAPER, ["stages.bilingual-adaptation.controller.noise=0"]),
        Sizes({"web-zh": 3 * 10**9}, {"web-zh": topics}, held_out),
    )
    (remark,) = [remark for remark in everything.remarks if "cannot measure" in remark]
    assert "'web-zh/Law' (0), of which fewer than 1 held-out document is there" in remark


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(min_value=0, max_value=10**6), min_size=1),
    st.integers(1, 10**7),
    st.sampled_from(["natural", "uniform", "unimax"]),
)
def test_shares_by_rule_are_shares(tokens: dict[str, int], budget: int, rule: str) -> None:
    if not any(tokens.values()):
        return
    shares = shares_by_rule(rule, tokens, Fraction(budget), {})  # type: ignore[arg-type]
    assert sum(shares.values()) == 1
    assert set(shares) == {name for name, count in tokens.items() if count}
    assert min(shares.values()) > 0
    if rule == "natural":
        total = sum(tokens.values())
        assert all(
            abs(share - Fraction(tokens[name], total)) <= Fraction(2, PRECISION) for name, share in shares.items()
        )


def test_unimax_gives_all_alike_but_none_more_than_its_epochs() -> None:
    tokens = {"small": 100, "middle": 1000, "large": 100_000}
    shares = shares_by_rule("unimax", tokens, Fraction(30_000), {"small": Fraction(1), "middle": None, "large": None})
    assert [float(share) * 30_000 for share in shares.values()] == pytest.approx([100, 4000, 25_900], abs=3)


@given(st.dictionaries(st.text(max_size=3), st.fractions(Fraction(1, 10**6), 10**6), min_size=1, max_size=200))
def test_units_are_whole_and_as_near_as_can_be(shares: dict[str, Fraction]) -> None:
    found = in_units(shares)
    assert sum(found.values()) == 1
    assert all((share * PRECISION).denominator == 1 and share > 0 for share in found.values())
    exact = normalised(shares)
    if min(exact.values()) * PRECISION >= 1:
        assert all(abs(found[name] - exact[name]) < Fraction(1, PRECISION) for name in shares)


def test_a_mixture_is_read_back_as_it_was_written() -> None:
    mixture = Mixture({"a/x/y": Fraction(1, 3), "a/z": Fraction(1, 6), "b": Fraction(1, 2)}, {"a": "one", "b": "two"})
    assert Mixture.from_json(mixture.to_json()) == mixture
    assert mixture.totals(0) == {"one": Fraction(1, 2), "two": Fraction(1, 2)}
    assert mixture.path("a/x/y") == ("one", "a", "a/x/y")


BASE = """
name: r
model: m/m
sequence_length: 100
sources:
  a: {files: a.jsonl, max_epochs: 2}
  b: {files: b.jsonl}
  c: {files: c.jsonl, max_epochs: 1}
groups: {g: GROUP, h: {c: 1}}
stages: [{name: s, tokens: 10K, mixture: MIXTURE}]
training: {batch_tokens: 1K, learning_rate: 1e-4}
evaluation: {gain: {domains: [a]}, retention: {domains: [b, c]}}
"""


def recipe_of(directory: Path, group: str = "{a: 1, b: 1}", mixture: str = "{g: 1}") -> Recipe:
    path = directory / "r.yaml"
    path.write_text(BASE.replace("GROUP", group).replace("MIXTURE", mixture))
    return load_recipe(path)


def planned(recipe: Recipe, **sizes: int) -> Plan:
    return make_plan(recipe, Sizes(sizes, {}))


def test_who_takes_the_place_of_a_domain_that_runs_out_is_said(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    assert not planned(recipe, a=3000, b=100_000).remarks[1:]
    plan = planned(recipe, a=2000, b=100_000)
    assert not plan.refusals
    (note,) = [remark for remark in plan.remarks if "as often as it may be" in remark]
    assert "'a' was gone through as often as it may be; its 50.00% go to the other sources of 'g'" in note
    tokens = {part.domain.name: part.tokens for part in plan.domains}
    assert 3700 <= tokens["a"] <= 4000
    assert tokens["a"] + tokens["b"] == 10_000
    shares = {part.domain.name: sum(part.shares) for part in plan.domains}
    assert abs(shares["a"] - tokens["a"]) < 100, (
        "what is shown of a domain is what is trained, and not what was proposed"
    )
    assert shares["a"] + shares["b"] == 10_000


def test_lengths_that_are_rounded_are_said(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    assert not [remark for remark in planned(recipe).remarks if "in place of" in remark]
    text = BASE.replace("GROUP", "{a: 1}").replace("batch_tokens: 1K", "batch_tokens: 1050")
    controller = "controller: {kind: perplexity-change, every: 2500}"
    (tmp_path / "r.yaml").write_text(text.replace("mixture: MIXTURE}", f"mixture: {{g: 1}}, {controller}}}"))
    recipe = load_recipe(tmp_path / "r.yaml")
    notes = [remark for remark in planned(recipe).remarks if "in place of" in remark]
    assert notes == [
        "Stage 's': batches have 1K tokens in place of 1.05K: 10 whole sequences of 100.",
        "Stage 's': rounds have 3K tokens in place of the 2.5K of `controller.every`: 3 whole batches of 1K.",
    ]
    assert recipe.full_batch("s") == recipe.full_batch() == 1000


def test_a_group_that_runs_out_is_refused(tmp_path: Path) -> None:
    ((place, message),) = planned(recipe_of(tmp_path, mixture="{g: 1, h: 1}"), a=10**6, b=10**6, c=3000).refusals
    assert place == ("stages", "0", "tokens")
    assert "nothing is left in 'h'" in message


def test_many_passes_are_remarked_on(tmp_path: Path) -> None:
    remarks = planned(recipe_of(tmp_path), a=10_000, b=500).remarks
    assert [remark for remark in remarks if "'b' is gone through 10.0 times" in remark]


def test_an_empty_source_is_refused(tmp_path: Path) -> None:
    assert ("sources", "b") in [place for place, _ in planned(recipe_of(tmp_path), a=10_000, b=0).refusals]


def test_shares_follow_from_sizes(tmp_path: Path) -> None:
    def weights(group: str, mixture: str = "{g: 1}") -> dict[str, Fraction]:
        plan = planned(recipe_of(tmp_path, group, mixture), a=30_000, b=10_000, c=40_000)
        return plan.stages[0].mixture.weights

    assert weights("{natural: [a, b]}") == {"a": Fraction(3, 4), "b": Fraction(1, 4)}
    assert weights("{uniform: [a, b]}") == {"a": Fraction(1, 2), "b": Fraction(1, 2)}
    assert weights("{a: 1, b: 1}", "natural") == {"a": Fraction(1, 4), "b": Fraction(1, 4), "c": Fraction(1, 2)}
    assert weights("{a: 1, b: 1}", "{unimax: [g]}") == {"a": Fraction(1, 2), "b": Fraction(1, 2)}


def test_a_stage_may_have_sequences_of_its_own_length(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path)
    long = recipe.stages[0].model_copy(update={"name": "long", "sequence_length": 300})
    plan = make_plan(
        recipe.model_copy(update={"stages": [recipe.stages[0], long]}), Sizes({"a": 10**5, "b": 10**5}, {})
    )
    assert [(stage.sequence_length, stage.sequences, stage.start_tokens) for stage in plan.stages] == [
        (100, 100, 0),
        (300, 33, 10_000),
    ]
    assert [stage.batch_sequences for stage in plan.stages] == [10, 3]


def test_domains_are_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    names = [domain.name for domain in domains_of(recipe_of(tmp_path), NOTHING)]
    assert names == ["a", "b", "c"]
