"""From a GGUF file to an ordinary Hugging Face directory."""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sapwood.backbone.contents import share_weights
from sapwood.backbone.licence import CARD
from sapwood.backbone.pre_tokenizers import (
    MISSING,
    UNKNOWN,
    VERSION,
    is_known,
    objection,
    read_names,
    set_pre_tokenizer,
)
from sapwood.backbone.tokenizer_files import TOKENIZER_CONFIG
from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, hash_file, read_json, remove_leftovers, unchanged, write_atomic, write_json
from sapwood.progress import console
from sapwood.runs.manifest import Manifest, read_manifest


def convert(file: Path, cache: Path) -> Path:
    """Converts a GGUF file into `cache/models/`, once for its content, and returns the directory.

    Weights that are quantised in the file become fp32; what quantisation took from them stays lost.
    A tokenizer whose way of cutting texts is not known is marked, and refused when it is opened. Processes that ask at
    the same time wait for the first. Raises SapwoodError if the extra `gguf` is not
    installed, or if transformers cannot read the file.
    """
    manifest, target = _manifest(file, cache)
    if read_manifest(target) is None:
        with _lock(target.parent):
            if read_manifest(target) is None:
                remove_leftovers(target.parent)
                console.print(f"Converting {file.name} to safetensors. This is done once.")
                with atomic_directory(target) as directory, unchanged(file):
                    if hash_file(file) != manifest.inputs["file"]:
                        raise SapwoodError(f"{file} changed while being read. Run the same command again.")
                    _write(file, directory)
                    manifest.write(directory)
    return target


def refuse_guess(file: Path) -> None:
    """Raises SapwoodError where it is not known how a GGUF file's tokenizer cuts texts. Nothing is converted."""
    try:
        kind, cut = read_names(file)
    except Exception:  # of many kinds, for a broken file: whoever converts it says what is wrong with it
        return
    if kind == "gpt2" and not is_known(cut):
        raise SapwoodError(objection(cut or MISSING, file))


def converted(file: Path, cache: Path) -> Path | None:
    """The directory into which a GGUF file was converted; None where it was not."""
    _, target = _manifest(file, cache)
    return None if read_manifest(target) is None else target


def _manifest(file: Path, cache: Path) -> tuple[Manifest, Path]:
    manifest = Manifest(
        step="backbone",
        inputs={"file": hash_file(file)},
        settings={"format": "gguf", "dtype": "float32", "licence": "card", "pre_tokenizers": VERSION},
        versions={name: _version(name) for name in ("transformers", "gguf")},
    )
    return manifest, cache / "models" / f"{file.stem}-{manifest.fingerprint}"


def _write(file: Path, directory: Path) -> None:
    missing = [name for name in ("accelerate", "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        raise SapwoodError(
            f"{file}: to read a GGUF file, {' and '.join(missing)} must be installed: `pip install 'sapwood[gguf]'`."
        )
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sapwood.backbone.load import quiet_progress

    origin = {"gguf_file": file.name, "local_files_only": True}
    with quiet_progress():
        try:
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **origin)
            kind, cut = read_names(file)
            known = kind != "gpt2" or set_pre_tokenizer(tokenizer.backend_tokenizer, cut)
            model, report = AutoModelForCausalLM.from_pretrained(
                file.parent, dtype=torch.float32, output_loading_info=True, **origin
            )
        except Exception as error:  # of many kinds, none of them documented
            raise SapwoodError(f"{file} cannot be read as a GGUF model: {error}") from error
        if report["missing_keys"] or report["mismatched_keys"]:
            raise SapwoodError(f"{file} lacks weights of its model: {sorted(report['missing_keys'])[:3]} and others.")
        # The weights are plain by now, but transformers still takes the model for a quantised one, and refuses.
        model.config.__dict__.pop("quantization_config", None)
        model.hf_quantizer = None
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    if not known:
        # The weights are as good as any; whoever opens the tokenizer is refused (`open_tokenizer`).
        path = directory / TOKENIZER_CONFIG
        write_json(path, read_json(path) | {UNKNOWN: cut or MISSING})
    share_weights(directory)
    _write_licence(file, directory)


def _write_licence(file: Path, directory: Path) -> None:
    """Writes what the file says of its licence, as the hub's metadata have it, into the directory's card."""
    from gguf import GGUFReader, Keys

    general = Keys.General
    keys = {"license": general.LICENSE, "license_name": general.LICENSE_NAME, "license_link": general.LICENSE_LINK}
    fields = {name: GGUFReader(file).get_field(key) for name, key in keys.items()}
    said = {name: field.contents() for name, field in fields.items() if field is not None}
    if isinstance(said.get("license"), str):
        lines = (f"{name}: {json.dumps(value)}\n" for name, value in said.items())  # JSON is YAML
        write_atomic(directory / CARD, f"---\n{''.join(lines)}---\n")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """Lets one process at a time convert; the lock of a killed process is free again."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
