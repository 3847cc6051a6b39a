"""A trained state back into an ordinary Hugging Face directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from sapwood.backbone.contents import CONFIG, WEIGHTS_INDEX, copy_other_files, share_weights, weight_files
from sapwood.backbone.load import FLOATS, load_config
from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, read_json, write_json

SHARD_BYTES = 5_000_000_000
"""How large a weight file may become before the weights are split."""


def export(state: Mapping[str, torch.Tensor], source: Path, target: Path, dtype: torch.dtype | None = None) -> None:
    """Writes `state`, a state dict of the model in `source`, as the Hugging Face directory `target`.

    The tensors of `state` are whole, not sharded; one process writes.

    `target` holds the same tensors under the same names in the same dtypes as `source` (floating point
    tensors in `dtype`, if it is given), tied weights as they were stored there, and a copy of all other files,
    byte for byte. With `dtype`, config.json names it. Tensors in `source` that the model has no place for, such as
    heads of another use, are kept. `target` is replaced as a whole.

    Raises SapwoodError if the state is not one of that model.
    """
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(load_config(source), trust_remote_code=False)
    _check(state, skeleton, source)
    tensors, dtypes = _as_stored(state, skeleton, source)
    if dtype is not None:
        dtypes = {name: dtype if stored.is_floating_point else stored for name, stored in dtypes.items()}
    with atomic_directory(target) as directory:
        copy_other_files(source, directory)
        if dtype is not None:
            _name_dtype(directory / CONFIG, dtype)
        _write_weights(tensors, dtypes, directory)


def _check(state: Mapping[str, torch.Tensor], skeleton: PreTrainedModel, source: Path) -> None:
    """That every weight of the model is in the state, in its shape, and nothing else is."""
    shapes = {name: tensor.shape for name, tensor in skeleton.state_dict().items()}
    tied: Mapping[str, str] = skeleton.all_tied_weights_keys
    lacking = [name for name in shapes if name not in state and tied.get(name) not in state]
    foreign = [name for name in state if name not in shapes]
    reshaped = [name for name in state if name in shapes and state[name].shape != shapes[name]]
    for names, fault in ((lacking, "are lacking"), (foreign, "are not of it"), (reshaped, "have another shape")):
        if names:
            raise SapwoodError(
                f"The weights do not belong to the model in {source}: {len(names)} {fault}, '{names[0]}' first."
            )


def _as_stored(
    state: Mapping[str, torch.Tensor], skeleton: PreTrainedModel, source: Path
) -> tuple[dict[str, torch.Tensor], dict[str, torch.dtype]]:
    """The tensors of `state` under the names of `source`, and the dtypes in which they are stored there."""
    # Some models, mixtures of experts above all, are stored under other names than they have in memory.
    given = revert_weight_conversion(skeleton, dict(state))
    tied: Mapping[str, str] = skeleton.all_tied_weights_keys
    tensors, dtypes = {}, {}
    for file in weight_files(source):
        with safe_open(file, framework="pt") as stored:
            for name in stored.keys():  # noqa: SIM118
                if name in given:
                    tensors[name] = given[name]
                elif tied.get(name) in given:
                    tensors[name] = given[tied[name]]
                else:
                    tensors[name] = stored.get_tensor(name)
                dtypes[name] = FLOATS.get(stored.get_slice(name).get_dtype(), tensors[name].dtype)
    for name in given.keys() - tensors.keys():
        if tied.get(name) not in given or not torch.equal(given[name], given[tied[name]]):
            raise SapwoodError(
                f"The weights cannot be stored like those in {source}, which holds no '{name}'"
                + (f": it should equal '{tied[name]}', and does not." if name in tied else ".")
            )
    return tensors, dtypes


def _write_weights(tensors: Mapping[str, torch.Tensor], dtypes: Mapping[str, torch.dtype], directory: Path) -> None:
    sizes = {name: torch.empty(tensors[name].shape, dtype=dtypes[name], device="meta") for name in tensors}
    split = split_torch_state_dict_into_shards(sizes, max_shard_size=SHARD_BYTES)
    for file, names in split.filename_to_tensors.items():
        shard = {}
        memory: set[int] = set()
        for name in names:
            tensor = tensors[name].detach().to("cpu", dtypes[name]).contiguous()
            # safetensors refuses tensors that share memory, as tied weights do.
            shard[name] = tensor.clone() if tensor.data_ptr() in memory else tensor
            memory.add(tensor.data_ptr())
        save_file(shard, directory / file, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        write_json(directory / WEIGHTS_INDEX, index)
    share_weights(directory)


def _name_dtype(config: Path, dtype: torch.dtype) -> None:
    """Readers of a model go by the dtype in its config.json, whatever the weights are stored in."""
    name = str(dtype).removeprefix("torch.")
    content = read_json(config)
    other = [key for key in ("dtype", "torch_dtype") if content.get(key, name) != name]
    if other:
        write_json(config, content | dict.fromkeys(other, name))
