"""What a model does, observed on a small one of the same build, once, and kept in the cache.

Each look belongs to the module that acts on what it finds; here is what all of them share.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from sapwood.backbone import small
from sapwood.backbone.resolve import default_cache
from sapwood.errors import SapwoodError
from sapwood.files import fingerprint, read_json, write_json

Look = Callable[[PreTrainedModel], Any]
"""Finds out one thing about a model, as JSON. The model is its own, and of no further use."""
UNSEEN = {"_name_or_path", "transformers_version", "dtype", "architectures"}
"""What a configuration says that has no part in what its model does."""


def observed(config: PretrainedConfig, name: str, look: Look) -> Any:
    """What `look` finds of the models of a configuration, or {"unknown": why} where none of them can be made small.

    It is found once for a configuration, the versions of torch and transformers, and the code of the look; afterwards
    it is read from Sapwood's cache. The random numbers of the process stay as they are. It is found on the CPU for all
    devices: kernels of other devices may do more, and none does less.
    """
    key = _key(config, look)
    path = default_cache() / "observed" / f"{name}-{key}.json"
    if key not in _known:
        with suppress(SapwoodError, KeyError, TypeError):  # not looked at yet, or damaged: then it is found again
            _known[key] = read_json(path)["found"]
    if key not in _known:
        _known[key] = _look(config, look)
        with suppress(OSError):  # a cache that cannot be written to costs no more than looking again
            write_json(path, {"model_type": config.model_type, "found": _known[key]})
    return _known[key]


_known: dict[str, Any] = {}


def _look(config: PretrainedConfig, look: Look) -> Any:
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):  # wherever that is asked
        try:
            model = small.build_small(small.small_config(config))
        except Exception as error:  # of many kinds, none of them documented
            return {"unknown": f"{type(error).__name__}: {error}"[:300]}
        return look(model)


def _key(config: PretrainedConfig, look: Look) -> str:
    content = {name: value for name, value in config.to_dict().items() if name not in UNSEEN}
    code = [Path(inspect.getfile(part)).read_text(encoding="utf-8") for part in (small, sys.modules[look.__module__])]
    versions = {library: version(library) for library in ("torch", "transformers")}
    return fingerprint(
        [type(config).__name__, json.dumps(content, sort_keys=True, default=str), code, look.__name__, versions]
    )
