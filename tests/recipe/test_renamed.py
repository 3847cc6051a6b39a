"""A field by its former name: the error says what it is called now."""

from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.recipe import RecipeError, load_synthesis

JOB = """\
name: qa
server: {url: "http://localhost:1/v1", model: m}
items: 4
sources: {pages: {files: pages.jsonl}}
disciplines: {physics: {sources: [pages]}}
"""


@pytest.mark.parametrize(
    ("verify", "told"),
    [
        ("{votes: {samples: 3}}", "verify.votes: there is no field 'votes'. It is called 'self_consistency' now."),
        (
            "{option_permutation: {orders: 2}}",
            "verify.option_permutation.orders: there is no field 'orders'. It is called 'permutations' now.",
        ),
    ],
)
def test_a_former_name_leads_to_the_present_one(tmp_path: Path, verify: str, told: str) -> None:
    (tmp_path / "job.yaml").write_text(f"{JOB}verify: {verify}\n", encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        load_synthesis(tmp_path / "job.yaml")
    assert told in str(error.value)
