"""A Hugging Face directory in; its configuration, its tokenizer, its torch model out. No code in it is ever run."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from sapwood.backbone.contents import weight_files
from sapwood.errors import SapwoodError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LOCAL = {"local_files_only": True, "trust_remote_code": False}
FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The dtypes of weights that can be trained on, as safetensors calls them."""


def load_config(directory: Path) -> Any:
    """The model's configuration, a `transformers.PretrainedConfig`."""
    with _explained(directory, "configuration"):
        return AutoConfig.from_pretrained(directory, **LOCAL)


def build_skeleton(config: Any, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The model of a configuration on the device `meta`: names and shapes, and no numbers. `dtype` is the config's own
    if it is not given. Raises SapwoodError where its class cannot be built so, or needs what is not installed."""
    given = {} if dtype is None else {"dtype": dtype}
    with _buildable(config), torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            _own_attention(config), trust_remote_code=False, **given
        )
    return model


def build_random(config: Any) -> PreTrainedModel:
    """The model of a configuration on the CPU, in fp32, with the random weights of its class.

    Raises SapwoodError as `build_skeleton` does.
    """
    with _buildable(config):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            _own_attention(config), trust_remote_code=False, dtype=torch.float32
        )
    return model


def load_tokenizer(directory: Path) -> PreTrainedTokenizerFast:
    """The model's tokenizer."""
    with _explained(directory, "tokenizer"):
        return AutoTokenizer.from_pretrained(directory, **LOCAL)


def load_model(directory: Path, *, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The model on the CPU, in evaluation mode, with PyTorch's own attention where its class supports that.

    Without `dtype` the weights are as stored, whatever config.json says of them; where they are stored in
    several dtypes, in one that holds them all. Raises SapwoodError if the directory does not hold all the
    weights of the model, or holds them quantised.
    """
    with _explained(directory, "model"), quiet_progress():
        dtype = dtype or _stored_dtype(directory)
        config = _own_attention(load_config(directory))
        model, report = AutoModelForCausalLM.from_pretrained(
            directory, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True, **LOCAL
        )
    # transformers would go on with random numbers in their place.
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise SapwoodError(
            f"{directory} lacks {len(lacking)} of the weights of its model, '{lacking[0]}' first. Is it a whole "
            "language model, and not an adapter or a part of one?"
        )
    return model


@contextmanager
def quiet_progress() -> Iterator[None]:
    """Keeps transformers from drawing progress bars of its own."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _own_attention(config: Any) -> Any:
    """A copy of a configuration that leaves the attention to the classes of the model and its parts.

    Each takes SDPA where it supports it, and `eager` where it does not; what config.json asks for, such as a kernel
    that is not installed, does not count.
    """
    config = copy.deepcopy(config)
    config._attn_implementation = None
    return config


def _stored_dtype(directory: Path) -> torch.dtype:
    codes: set[str] = set()
    for file in weight_files(directory):
        with safe_open(file, framework="pt") as tensors:
            codes |= {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118
    floats = [FLOATS[code] for code in codes if code in FLOATS]
    if not floats or any(code.startswith(("F8", "F4")) for code in codes):
        raise SapwoodError(
            f"The weights in {directory} are quantised ({', '.join(sorted(codes))}), and cannot be trained on. Use the "
            f"model's {', '.join(FLOATS)} version."
        )
    return functools.reduce(torch.promote_types, floats)


@contextmanager
def _buildable(config: Any) -> Iterator[None]:
    """Turns what transformers raises over a configuration that it cannot build into an error that says what to do."""
    try:
        yield
    except Exception as error:  # of many kinds, none of them documented
        if isinstance(error, ImportError):
            remedy = "Install what is missing, or name another model."
        else:
            remedy = "Set in its config.json what that speaks of, or name another model."
        said = " ".join(str(error).split())
        raise SapwoodError(
            f"transformers {transformers.__version__} cannot build a model of kind '{config.model_type}' from its "
            f"config.json: {type(error).__name__}: {said} {remedy}"
        ) from error


@contextmanager
def _explained(directory: Path, what: str) -> Iterator[None]:
    """Turns what transformers raises over a broken or unknown model into an error that names the directory."""
    try:
        yield
    except SapwoodError:
        raise
    except Exception as error:  # of many kinds, none of them documented
        raise SapwoodError(f"The {what} in {directory} cannot be loaded: {error}") from error
