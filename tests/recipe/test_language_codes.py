from __future__ import annotations

from pathlib import Path

import pytest

from sapwood.recipe import load_recipe
from sapwood.recipe.document import RecipeError
from sapwood.recipe.language import IDENTIFIED, answers_for, detected_language, problem_of

RECIPE = """name: a
model: m
sequence_length: 64
sources:
  mine:
    files: a.jsonl
    language: {language}
  old: {{files: b.jsonl}}
groups: {{new: {{mine: 1}}, old: {{old: 1}}}}
stages: [{{name: only, tokens: 1M, mixture: {{new: 1, old: 1}}}}]
training: {{batch_tokens: 1K, learning_rate: 1e-4}}
evaluation: {{gain: {{domains: [new]}}, retention: {{domains: [old], margin: 0.01}}}}
"""


@pytest.mark.parametrize(
    ("tags", "language"),
    [
        ("zh ZH zho chi cmn zh-Hant zh-Hans zh_TW zh-HK yue wuu lzh cmn_Hani yue_Hant zh-Hant-TW", "zh"),
        ("no nb nob nb-NO nor nob_Latn", "no"),
        ("nn nno nn_NO", "nn"),
        ("tl fil tgl fil_Latn fil-PH", "tl"),
        ("he iw heb heb_Hebr", "he"),
        ("id in ind", "id"),
        ("yi ji ydd", "yi"),
        ("jv jw jav", "jv"),
        ("ro mo ron rum", "ro"),
        ("sh hbs", "sh"),
        ("sr srp srp_Cyrl sr-Latn", "sr"),
        ("ms zsm may ms-MY", "ms"),
        ("pt pt-BR por_Latn pt_PT", "pt"),
        ("de deu ger deu_Latn de-CH-1996", "de"),
        ("en eng en-US eng_Latn", "en"),
        ("ar arb arb_Arab ar-EG", "ar"),
        ("fa fas pes prs prs_Arab", "fa"),
        ("sw swh swa", "sw"),
        ("als gsw", "als"),
        ("sq als_Latn sqi", "sq"),
    ],
)
def test_equivalents_are_taken(tags: str, language: str) -> None:
    assert {tag: detected_language(tag) for tag in tags.split()} == dict.fromkeys(tags.split(), language)
    assert problem_of(language) is None
    assert language in answers_for(language)


def test_the_list_is_what_the_identification_can_answer() -> None:
    from sapwood.corpus.language import _detector

    answers = _detector().detect("water", model="lite", k=1000, threshold=-1.0)
    assert {str(answer["lang"]) for answer in answers} == IDENTIFIED
    assert all(detected_language(code) in IDENTIFIED for code in IDENTIFIED)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("tlh", ""),
        ("ha", ""),
        ("chinese", "Did you mean 'zh'?"),
        ("englsh", "Did you mean 'en'?"),
        ("zh-Latn", "script"),
    ],
)
def test_others_are_errors_with_their_line(written: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(language=written))
    with pytest.raises(RecipeError, match=rf"recipe.yaml:7: sources.mine.language: .*'{written}'.*{hint}.*Leave"):
        load_recipe(path)
    unchecked = load_recipe(path, ["corpus.language=null"])
    assert unchecked.sources["mine"].language == written


def test_a_recipe_keeps_the_code_of_the_identification(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    for written, kept in (("no", "no"), ("NB", "no"), ("zh-Hant", "zh")):
        path.write_text(RECIPE.format(language=written))
        assert load_recipe(path).sources["mine"].language == kept
