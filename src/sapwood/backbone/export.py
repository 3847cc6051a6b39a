"""A trained state back into an ordinary Hugging Face directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from transformers import PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from sapwood.backbone.contents import CONFIG, WEIGHTS_INDEX, copy_other_files, share_weights
from sapwood.backbone.load import build_skeleton, load_config
from sapwood.backbone.record import write_record
from sapwood.backbone.stored import StoredWeights, shape_of
from sapwood.backbone.tokenizer import open_tokenizer
from sapwood.backbone.tokenizer_files import TOKENIZER
from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, read_json, write_json

SHARD_BYTES = 5_000_000_000
"""How large a weight file may become before the weights are split."""


Place = tuple[Mapping[str, torch.Tensor], str]
"""Where a tensor is to be found: in which mapping, under which name."""


def export(
    state: Mapping[str, torch.Tensor],
    source: Path,
    target: Path,
    dtype: torch.dtype | None = None,
    *,
    partial: bool = False,
    learning_rate: float | None = None,
) -> None:
    """Writes `state`, a state dict of the model in `source`, as the Hugging Face directory `target`.

    The tensors of `state` are whole, not sharded, and are asked for one after the other; one process writes. A
    `partial` state may lack weights of the model: they stay as they are in `source`.

    `target` holds the same tensors under the same names in the same dtypes as `source` (floating point
    tensors in `dtype`, if it is given), tied weights as they were stored there, and a copy of all other files,
    byte for byte, but for those of a tokenizer that do not say what was trained on (`ModelTokenizer.changed`).
    With `dtype`, config.json names it. Tensors in `source` that the model has no place for, such as heads of another
    use, are kept. `target` is replaced as a whole. `learning_rate`, that of the last step, is noted
    beside the weights.

    Raises SapwoodError if the state is not one of that model.
    """
    skeleton = build_skeleton(load_config(source))
    _check(state, skeleton, source, partial=partial)
    stored = StoredWeights(source)
    places = _places(state, skeleton, stored, source)
    layout = {name: _layout(stored.empty(name), dtype) for name in places}
    with atomic_directory(target) as directory:
        copy_other_files(source, directory)
        if (source / TOKENIZER).exists():
            open_tokenizer(source).write(directory)
        if dtype is not None:
            _name_dtype(directory / CONFIG, dtype)
        _write_weights(places, layout, directory)
        if learning_rate is not None:
            write_record(directory, learning_rate)


def _check(state: Mapping[str, torch.Tensor], skeleton: PreTrainedModel, source: Path, *, partial: bool) -> None:
    """That every weight of the model is in the state, in its shape, and nothing else is."""
    shapes = {name: tensor.shape for name, tensor in skeleton.state_dict().items()}
    tied: Mapping[str, str] = skeleton.all_tied_weights_keys
    lacking = [name for name in shapes if name not in state and tied.get(name) not in state]
    foreign = [name for name in state if name not in shapes]
    reshaped = [name for name in state if name in shapes and shape_of(state, name) != shapes[name]]
    for names, fault in (
        ([] if partial else lacking, "are lacking"),
        (foreign, "are not of it"),
        (reshaped, "have another shape"),
    ):
        if names:
            raise SapwoodError(
                f"The weights do not belong to the model in {source}: {len(names)} {fault}, '{names[0]}' first."
            )


def _places(
    state: Mapping[str, torch.Tensor], skeleton: PreTrainedModel, stored: StoredWeights, source: Path
) -> dict[str, Place]:
    """Where the tensors are to be found, by the names that they have in `source`."""
    # Some models, mixtures of experts above all, are stored under other names than they have in memory.
    names = {name: torch.empty_like(tensor, device="meta") for name, tensor in skeleton.state_dict().items()}
    renamed = revert_weight_conversion(skeleton, names).keys() != names.keys()
    given = revert_weight_conversion(skeleton, dict(state)) if renamed else state
    tied: Mapping[str, str] = skeleton.all_tied_weights_keys
    places: dict[str, Place] = {}
    for name in stored:
        if name in given:
            places[name] = given, name
        elif tied.get(name) in given:
            places[name] = given, tied[name]
        else:
            places[name] = stored, name
    for name in given.keys() - places.keys():
        if tied.get(name) not in given or not torch.equal(given[name], given[tied[name]]):
            raise SapwoodError(
                f"The weights cannot be stored like those in {source}, which holds no '{name}'"
                + (f": it should equal '{tied[name]}', and does not." if name in tied else ".")
            )
    return places


def _layout(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """A tensor's shape and the dtype to store it in, as a tensor on `meta`."""
    wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    return torch.empty(tensor.shape, dtype=wanted, device="meta")


def _write_weights(places: Mapping[str, Place], layout: dict[str, torch.Tensor], directory: Path) -> None:
    """Writes file after file; no more than one of them is in memory."""
    split = split_torch_state_dict_into_shards(layout, max_shard_size=SHARD_BYTES)
    for file, names in split.filename_to_tensors.items():
        shard = {}
        memory: set[int] = set()
        for name in names:
            tensors, key = places[name]
            tensor = tensors[key].detach().to("cpu", layout[name].dtype).contiguous()
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
    content = read_json(config, "Get the model again.")
    other = [key for key in ("dtype", "torch_dtype") if content.get(key, name) != name]
    if other:
        write_json(config, content | dict.fromkeys(other, name))
