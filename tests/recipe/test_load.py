from __future__ import annotations

from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest

from sapwood.recipe import RecipeError, differences, dump_recipe, load_recipe
from sapwood.recipe.document import line_of

pytestmark = pytest.mark.slow

GOOD = """\
name: small
model: some/model
sequence_length: 128
sources:
  web-zh: {files: data/*.jsonl, language: zh}
  web-en: {files: [a.parquet, s3://bucket/b.parquet]}
  news: {files: news.jsonl}
groups:
  zh: {web-zh: 1}
  en: {web-en: 1}
stages:
  - name: first
    tokens: 10K
    mixture: {zh: 2, en: 8}
  - name: second
    tokens: 5K
    mixture: {zh: 1, en: 1}
training:
  batch_tokens: 1K
  learning_rate: {start: 1e-7, peak: 1e-5, warmup: 2K}
evaluation:
  gain: {domains: [zh]}
  retention: {domains: [en, news]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(GOOD)
    return path


def mistake(path: Path, old: str, new: str) -> str:
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return str(caught.value).replace(str(path), "recipe.yaml")


def test_a_recipe_says_what_it_means(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.stages[0].mixture == {"zh": Fraction(2), "en": Fraction(8)}
    assert recipe.training.learning_rate is not None
    assert recipe.training.learning_rate.start == 1e-7
    assert recipe.sources["web-zh"].files == [str(path.parent / "data/*.jsonl")]
    assert recipe.sources["web-en"].files[1] == "s3://bucket/b.parquet"


def test_the_resolved_recipe_reads_back_equal(path: Path) -> None:
    recipe = load_recipe(path)
    resolved = path.with_name("resolved.yaml")
    resolved.write_text(dump_recipe(recipe))
    assert load_recipe(resolved) == recipe
    assert differences(load_recipe(resolved), recipe) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "sequence_length",
            "sequence_lenght",
            "recipe.yaml:3: sequence_lenght: there is no field 'sequence_lenght'. Did",
        ),
        (
            "language: zh",
            "langage: zh",
            "recipe.yaml:5: sources.web-zh.langage: there is no field 'langage'. Did you mean",
        ),
        ("tokens: 10K", "tokens: 10Q", "recipe.yaml:13: stages.0.tokens: found '10Q': expected a number of tokens"),
        (
            "zh: 2, en: 8",
            "zh: 2, eng: 8",
            "recipe.yaml:14: stages.0.mixture.eng: there is no group 'eng'. Did you mean 'en'",
        ),
        (
            "zh: {web-zh: 1}",
            "zh: {web-cn: 1}",
            "recipe.yaml:9: groups.zh.web-cn: there is no source 'web-cn'. Did you mean",
        ),
        ("{web-en: 1}", "{web-en: 1, web-zh: 1}", "recipe.yaml:10: groups.en.web-zh: 'web-zh' is in group 'zh' too"),
        ("name: second", "name: first", "recipe.yaml:15: stages.1.name: 'first' names two stages"),
        ("batch_tokens: 1K", "batch_tokens: 64", "recipe.yaml:19: training.batch_tokens: 64 is less than one sequence"),
        ("[en, news]", "[en]", "recipe.yaml:7: sources.news: 'news' is in no group and in no evaluation domain"),
        ("[en, news]", "[zh, en, news]", "'web-zh' is under 'gain' and under 'retention'"),
        ("model: some/model\n", "", "recipe.yaml:1: the field 'model' is missing"),
        ("{files: news.jsonl}", "{language: en}", "recipe.yaml:7: sources.news: names no 'files'"),
        ("  learning_rate: {start: 1e-7, peak: 1e-5, warmup: 2K}\n", "", "recipe.yaml:18: training: no learning rate"),
        ("warmup: 2K", "warmup: 30min", "training.learning_rate.warmup: a warm-up has a length in tokens or steps"),
        (
            "batch_tokens: 1K",
            "batch_tokens: 1K\n  checkpoints: {best: {by: zhh}}",
            "training.checkpoints.best.by: there is no group or source 'zhh'. Did you mean 'zh'",
        ),
        (
            "batch_tokens: 1K",
            "batch_tokens: 1K\n  checkpoints: {keep_every: 30min}",
            "training.checkpoints.keep_every: is a stretch of training, in tokens or steps",
        ),
        (
            "batch_tokens: 1K",
            "batch_tokens: 1K\n  parallel: {timeout: 5 steps}",
            "training.parallel.timeout: is a time, such as 10min",
        ),
        (
            "mixture: {zh: 1, en: 1}\ntraining:",
            "mixture: {zh: 1, en: 1}\n    sequence_length: 120\ntraining:\n  precision: fp8",
            "sequence_length: 120 is not divisible by 16, as the kernels of `precision: fp8` need it: write 112",
        ),
        (
            "batch_tokens: 1K",
            "batch_tokens: 1K\n  compile: true\n  adapter: {kind: dora}",
            "recipe.yaml:20: training.compile: DoRA cannot be compiled",
        ),
        ("training:", "holdout: {share: 5}\ntraining:", "recipe.yaml:18: holdout.share: 5 is"),
        ("name: small", "name: small\nname: big", "recipe.yaml:2: this is not YAML: found duplicate key"),
        ("name: small", "name: 木", "recipe.yaml:1: name: found '木': expected a name of letters from a to z, digits"),
        ("name: small", "name: 2024-05-06", "expected a text. Put it in quotes, '2024-05-06', if one is meant"),
        (
            "name: small",
            "name: small\ntokenizer: ./mine",
            "recipe.yaml:2: tokenizer: found './mine': expected fields such as 'begin:' and 'end:'",
        ),
    ],
)
def test_mistakes_are_named_with_line_and_remedy(path: Path, old: str, new: str, expected: str) -> None:
    assert expected in mistake(path, old, new)


def test_all_mistakes_are_named_at_once(path: Path) -> None:
    message = mistake(path, "tokens: 10K", "tokens: x\n    colour: red")
    assert len(message.splitlines()) == 2


def test_overrides_reach_every_field(path: Path) -> None:
    recipe = load_recipe(path, ["training.learning_rate=2e-5", "stages.second.tokens=6K", "stages.0.mixture.zh=3"])
    assert recipe.training.learning_rate is not None
    assert recipe.training.learning_rate.peak == 2e-5
    assert recipe.stages[1].tokens == 6000
    assert recipe.stages[0].mixture["zh"] == 3


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.lr=1", "command line: training.lr: there is no field 'lr'"),
        ("seed", "command line: 'seed' is not of the form path=value"),
        ("stages.third.tokens=1K", "command line: stages.third.tokens: there is no 'third'"),
    ],
)
def test_mistaken_overrides_are_named(path: Path, override: str, expected: str) -> None:
    with pytest.raises(RecipeError, match=expected.split("'")[0].replace(".", r"\.")):
        load_recipe(path, [override])


def test_differences_leave_out_what_does_not_touch_the_training(path: Path) -> None:
    before = load_recipe(path)
    after = load_recipe(
        path,
        ["training.checkpoints.keep=9", "evaluation.bytes=4MiB", "model=b/c", "sources.news.files=[n.jsonl]", "seed=5"],
    )
    assert differences(before, after) == ["seed: 0 -> 5"]


def test_lines_can_be_found_later(path: Path) -> None:
    assert line_of(path, ("sources", "news", "max_epochs")) == f"{path}:7: sources.news.max_epochs"


def test_the_starter_recipe_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "starter.yaml"
    path.write_bytes((files("sapwood.recipe") / "starter.yaml").read_bytes())
    assert load_recipe(path).name == "my-run"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: caf\xe9\n", "r.yaml:1: this is not UTF-8"),
        ("name: a\n".encode("utf-16"), "r.yaml:1: this is not UTF-8"),
        (b"name: \0", "r.yaml: this is not YAML: unacceptable character"),
        (b"name: 2020-13-45", "r.yaml: this is not YAML: month must be in 1..12"),
        (b"seed: " + b"9" * 5000, "r.yaml: this is not YAML: Exceeds the limit"),
        (b"[" * 50_000, "r.yaml: this is nested too deeply"),
    ],
)
def test_what_is_no_text_or_no_yaml_is_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "r.yaml").write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert message in str(caught.value)


def test_an_override_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_bytes(b"\xef\xbb\xbfname: a\n")  # a byte order mark is no part of it
    with pytest.raises(RecipeError, match="command line: seed:1: this is not YAML"):
        load_recipe(tmp_path / "r.yaml", ["seed=["])
