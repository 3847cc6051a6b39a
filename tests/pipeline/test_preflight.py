"""What cannot work is refused by `plan`, and first by every verb: all of it at once, with lines and what to write."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recipes import edited
from sapwood.cli.main import app
from sapwood.errors import SapwoodError
from sapwood.pipeline import checks, preflight
from sapwood.pipeline.checks import listed
from sapwood.pipeline.preflight import checked_plan
from sapwood.recipe import load_recipe
from sapwood.runs.directory import RunDirectory

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]
MOVING = {"controller": {"kind": "perplexity-change", "over": "topics", "every": 2000}}

MODELS: dict[str, dict[str, Any]] = {
    "bert": {},
    "reformer": {"is_decoder": False},
    "xlstm": {"hidden_size": 64, "embedding_dim": 64, "num_hidden_layers": 4, "num_blocks": 3, "num_heads": 2},
}
"""Configurations of models that cannot be trained, each for a reason of its own."""


def found(path: Path, verb: preflight.Verb = "plan") -> str:
    recipe = load_recipe(path)
    return "\n".join(listed(preflight.preflight(recipe, RunDirectory(path.parent / "runs"), verb), path))


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a missing file": (
        {"sources.web-zh.files": "nope.jsonl"},
        ["sources.web-zh.files: cannot open", "nope.jsonl"],
    ),
    "a glob of nothing": ({"sources.web-zh.files": "nope/*.jsonl"}, ["web-zh.files: no file matches"]),
    "one of several": (
        {"sources.web-zh.files": ["web-zh.jsonl", "one.jsonl", "two.jsonl"]},
        ["one.jsonl", "two.jsonl"],
    ),
    "a directory": ({"sources.web-zh.files": "."}, ["is a directory. Write a pattern such as"]),
    "a format that is not read": ({"sources.web-zh.files": "odd.docx"}, ["odd.docx is in no format that can be read"]),
    "an empty file": ({"sources.web-zh.files": "empty.jsonl"}, ["web-zh.files: empty.jsonl has no row"]),
    "another column": ({"sources.web-zh.text": "body"}, ["web-zh.jsonl", "columns", "Write `text: COLUMN`"]),
    "another column in one file": ({"sources.web-zh.files": ["web-zh.jsonl", "body.csv"]}, ["no row of", "body.csv"]),
    "a file that is not what its name says": ({"sources.web-zh.files": "plain.jsonl.gz"}, ["plain.jsonl.gz"]),
    "a synthesis job": ({"sources.qa": {"synthesis": "job.yaml"}, "groups.qa": {"qa": 1}}, ["no synthesis job"]),
    "a taxonomy": ({"sources.web-zh.topics": "mine.yaml"}, ["sources.web-zh.topics: There is no taxonomy"]),
    "a taxonomy's name": ({"sources.web-zh.topics": "syne-zn"}, ["Did you mean 'syne-zh'?"]),
    "labelled pages": (
        {"sources.web-zh.topics": "syne-zh", "corpus.topics.labels": {"syne-zh": "labels.jsonl"}},
        ["corpus.topics.labels.syne-zh: There are no labels in"],
    ),
    "labels for topics that are moved": (
        {"sources.web-zh.topics": "syne-zh", "stages.0.controller": MOVING["controller"]},
        ["corpus.topics: the topics of syne-zh", "labels: {syne-zh: FILE}"],
    ),
    "a topic that the taxonomy lacks": (
        {"sources.web-en.topics": "syne-en", "topics": {"web-en": {"Mathematics and Physic": 1}}},
        ["syne-en has no topic 'Mathematics and Physic'", "Did you mean"],
    ),
    "benchmarks to be compared with": (
        {"corpus.decontamination": {"benchmarks": ["a.jsonl", "b/*.jsonl", "web-zh.jsonl"]}},
        ["a.jsonl: there is no such file", "no file matches", "b/*.jsonl"],
    ),
    "a score that nothing makes": (
        {"stages.0.order": {"zh": {"by": "perplexty"}}},
        ["stages.0.order.zh.by: no step gives", "'perplexty'. Did you mean 'perplexity'?"],
    ),
    "a score with a typing mistake": (
        {"stages.0.order": {"zh": {"by": "compresion_ratio"}}},
        ["Did you mean 'compression_ratio'?"],
    ),
    "a model that is not there": ({"model": "./absent"}, ["model: There is no directory"]),
    "a model's file": ({"model": "./absent.gguf"}, ["model: There is no file"]),
    "another model beside it": ({"corpus.perplexity": {"model": "./absent"}}, ["corpus.perplexity.model: There is no"]),
    "a scorer that sees what it predicts": (
        {"corpus.perplexity": {"model": "./bert"}},
        ["corpus.perplexity.model: The model in", "sees the tokens that it predicts", "`is_decoder`, write true"],
    ),
    "an encoder": ({"corpus.topics.encoder": "./absent"}, ["corpus.topics.encoder: There is no directory"]),
    "sequences longer than the context": (
        {"sequence_length": 512, "training.batch_tokens": 1024},
        ["sequence_length: 512 tokens are more than the 256", "Write 256 or less", '"rope_type": "yarn"'],
    ),
    "a model whose layers cannot be told": (
        {"model": "./xlstm"},
        ["model: xLSTMForCausalLM has 0 lists of 4 layers", "cannot be trained here"],
    ),
    "a model that cannot be built": (
        {"model": "./reformer"},
        ["model: transformers", "cannot build a model of kind 'reformer'", "is_decoder=True", "name another model"],
    ),
    "what no weights are called": (
        {"training.trainable": ["model.layres.*"]},
        ["training.trainable: Stage 'adaptation' trains 'model.layres.*', which matches none"],
    ),
    "what no weights are called, of a stage": (
        {"stages.1.trainable": ["adapter"]},
        ["stages.1.trainable: Stage 'enhancement' trains 'adapter', and the recipe has no training.adapter"],
    ),
    "a token that texts begin with": ({"tokenizer": {"begin": "<s>"}}, ["tokenizer.begin: "]),
    "sequences of a stage": (
        {"stages.1.sequence_length": 300},
        ["stages.1.sequence_length: 300 tokens are more than the 256"],
    ),
    "generators": (
        {"sources.games": {"programs": {"chain_sums": 3, "knight_swap": 3}}, "groups.games": {"games": 1}},
        [
            "sources.games.programs.chain_sums: reasoning-gym has no",
            "'chain_sum'?",
            "programs.knight_swap: The generator",
        ],
    ),
    "a generator without an exact answer": (
        {"sources.games": {"programs": {"chain_sum": 3, "propositional_logic": 3}}, "groups.games": {"games": 1}},
        ["sources.games.programs: The generator 'propositional_logic'"],
    ),
    "suites": (
        {"evaluation.suites": ["small", "retention", "absent"], "evaluation.items": "."},
        ["evaluation.suites.2: ", "evaluation.items: Task 'gsm8k' needs", "evaluation.items: Task 'mmlu'"],
    ),
    "the items' directory": ({"evaluation.suites": ["small"]}, ["no directory of items was named"]),
    "an engine": (
        {"engine": {"kind": "local", "options": {"partition": "big"}}},
        ["engine: The local engine has no option"],
    ),
}


@pytest.fixture
def here(tiny_recipe: TinyRecipe, tmp_path: Path) -> Path:
    path = tiny_recipe()
    for name, content in {
        "odd.docx": "x",
        "empty.jsonl": "",
        "body.csv": "body,page\na,b\n",
        "plain.jsonl.gz": "x",
    }.items():
        (tmp_path / name).write_text(content)
    for kind, settings in MODELS.items():
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 99, **settings}))
        (tmp_path / kind / "model.safetensors").touch()
    return path


@pytest.mark.parametrize(("changes", "wanted"), CASES.values(), ids=CASES)
def test_what_cannot_work_is_found(changes: dict[str, Any], wanted: list[str], here: Path) -> None:
    told = found(edited(here, changes))
    for words in wanted:
        assert words in told
    assert all(line.startswith(f"{here}:") for line in told.splitlines())


def test_a_recipe_that_works_has_no_problems(here: Path) -> None:
    assert not found(here)
    assert not found(here, "run")


def test_plan_shows_the_plan_and_then_lists_everything_at_once(here: Path, tmp_path: Path) -> None:
    edited(
        here,
        {"sources.web-zh.files": "a.jsonl", "sources.web-en.files": "b/*.csv", "stages.0.order": {"zh": {"by": "x"}}},
    )
    result = CliRunner().invoke(app, ["plan", str(here), "--runs", str(tmp_path / "runs")])
    assert "book-zh" in result.stdout
    assert isinstance(result.exception, SapwoodError)
    lines = str(result.exception).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "sources.web-zh.files",
        "sources.web-en.files",
        "stages.0.order.zh.by",
    ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("verb", ["run", "prepare"])
def test_other_verbs_refuse_before_they_begin(verb: str, here: Path, tmp_path: Path) -> None:
    edited(here, {"sources.web-zh.files": "a.jsonl", "sources.web-en.text": "body"})
    result = CliRunner().invoke(app, [verb, str(here), "--runs", str(tmp_path / "runs")])
    assert "a.jsonl" in str(result.exception)
    assert "sources.web-en.files: no row of" in str(result.exception)
    assert not (tmp_path / "runs" / "tiny" / "corpus").exists()


def test_what_is_declared_by_its_size_can_be_planned_with_and_not_run(here: Path) -> None:
    edited(here, {"sources.web-zh.files": "a.jsonl", "sources.web-zh.tokens": "1M", "sources.web-en": {"tokens": "1M"}})
    result = CliRunner().invoke(app, ["plan", str(here)])
    assert result.exit_code == 0, result.exception
    assert "Not here yet" in result.stdout
    assert "sources.web-zh.files: cannot open" in result.stdout
    assert "sources.web-en: names no files" in result.stdout
    with pytest.raises(SapwoodError, match="names no files") as caught:
        checked_plan(load_recipe(here), RunDirectory(here.parent / "runs"), here, "run")
    assert "there is no such file" in str(caught.value)


def test_bad_files_are_noted_and_refused_where_they_are_most_of_a_source(here: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"body": "a"}\n')
    edited(here, {"sources.web-zh.files": ["web-zh.jsonl", "bad.jsonl"]})
    result = CliRunner().invoke(app, ["plan", str(here)])
    assert result.exit_code == 0
    assert "Worth a look:" in result.stdout
    assert "bad.jsonl can be used: no text column" in result.stdout
    (tmp_path / "bad.jsonl").write_text('{"body": "a"}\n' * 4000)
    assert "bad.jsonl can be used" in str(CliRunner().invoke(app, ["plan", str(here)]).exception)
    edited(here, {"sources.web-zh.max_dropped": "99%"})
    assert CliRunner().invoke(app, ["plan", str(here)]).exit_code == 0


def test_archives_and_other_formats_are_looked_into(here: Path, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "c.csv.gz", "wt") as file:
        file.write("body,page\nsome text,a.org\n")
    edited(here, {"sources.web-zh": {"files": "c.csv.gz", "text": "body", "url": "page"}})
    assert not found(here)
    edited(here, {"sources.web-zh.text": "text"})
    assert "no row of" in found(here)


PACKAGES: dict[str, tuple[dict[str, Any], str, str]] = {
    "peft": ({"training.adapter": {}}, "training.adapter", "sapwood[adapters]"),
    "tensorboard": ({"training.trackers": ["tensorboard"]}, "training.trackers.0", "sapwood[tensorboard]"),
    "wandb": ({"training.trackers": ["wandb"]}, "training.trackers.0", "sapwood[wandb]"),
    "mlflow": ({"training.trackers": ["mlflow"]}, "training.trackers.0", "sapwood[mlflow]"),
    "trackio": ({"training.trackers": ["trackio"]}, "training.trackers.0", "sapwood[trackio]"),
    "torchao": ({"training.precision": "fp8"}, "training.precision", "sapwood[fp8]"),
}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_that_are_not_installed_are_named_with_what_to_install(
    package: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, place, extra = PACKAGES[package]
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == package else object())
    told = found(edited(here, changes), "train")
    assert f"{place}: " in told
    assert f"pip install '{extra}'" in told


def test_compiling_needs_a_compiler(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert "training.compile: needs a C++ compiler" in found(edited(here, {"training.compile": True}))


def test_a_disk_that_is_too_small_is_found_but_not_where_another_machine_is_planned_for(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = load_recipe(here), RunDirectory(here.parent / "runs")
    needed = checks.disk_bytes(recipe, with_model=True)
    assert needed["checkpoints"] > 3 * 2 * needed["the adapted model"], (
        "weights and two moments, kept twice and written"
    )
    usage = shutil.disk_usage(here.parent)
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage._replace(free=sum(needed.values()) - 1))
    (told,) = list(preflight.preflight(recipe, run, "plan"))
    assert "Free some" in told.message
    assert not list(preflight.preflight(recipe, run, "plan", elsewhere=True))


@pytest.fixture
def model(here: Path, tiny_backbone: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(tiny_backbone, copy)
    edited(here, {"model": "./model"})
    return copy


def config_of(model: Path, **fields: Any) -> None:
    path = model / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_models_that_cannot_be_trained_are_refused(here: Path, model: Path) -> None:
    (model / "model.safetensors").rename(model / "weights.safetensors")
    assert "model: " in (told := found(here))
    assert "holds no weights" in told
    (model / "weights.safetensors").rename(model / "model.safetensors")
    config_of(model, architectures=["LlamaForSequenceClassification"])
    assert "LlamaForSequenceClassification is no causal language model" in found(here)
    config_of(model, architectures=["LlamaForCausalLM"], quantization_config={"quant_method": "gptq", "bits": 4})
    assert "quantised" in found(here)
    config_of(model, model_type="t5", architectures=["T5ForConditionalGeneration"], quantization_config=None)
    assert "T5ForConditionalGeneration is no causal language model" in found(here)
    config_of(model, model_type="bert", architectures=["BertLMHeadModel"])
    assert "model: BertLMHeadModel sees the tokens that it predicts" in found(here)
    (model / "config.json").unlink()
    assert "it has no config.json" in found(here)


def test_a_context_extended_as_the_message_says_is_taken_and_exported(here: Path, model: Path, tmp_path: Path) -> None:
    edited(here, {"sequence_length": 512, "training.batch_tokens": 1024})
    told = found(here)
    written = json.loads("{" + told[told.index('"max_position') : told.index(". What is exported")] + "}")
    config_of(model, **written)
    assert not found(here)
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model)
    assert (config.max_position_embeddings, config.rope_parameters["factor"]) == (512, 2)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_position_embeddings": 100}, 100),
        ({"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}}, 1024),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}}, 512),
        (
            {
                "max_position_embeddings": 1024,
                "rope_parameters": {
                    "rope_type": "llama3",
                    "rope_theta": 1e4,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 128,
                },
            },
            1024,
        ),
    ],
)
def test_the_context_is_what_the_configuration_says(fields: dict[str, Any], limit: int, model: Path) -> None:
    from sapwood.backbone.load import load_config
    from sapwood.pipeline.model import context_length

    config_of(model, **fields)
    assert context_length(load_config(model)) == limit


def test_positions_that_are_learned_cannot_be_extended() -> None:
    from transformers import BloomConfig, GPT2Config

    from sapwood.pipeline.model import context_length

    assert context_length(GPT2Config(n_positions=77)) == 77
    assert context_length(BloomConfig()) is None
