"""Block expansion: copies of blocks that pass on what they get, so that the model computes the same (2401.02415)."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from sapwood import __version__
from sapwood.backbone.contents import CONFIG, copy_other_files
from sapwood.backbone.load import build_skeleton, load_config
from sapwood.backbone.resolve import fingerprint_model
from sapwood.backbone.rewrite import finished_model, rewrite_weights, stored_shapes
from sapwood.errors import SapwoodError
from sapwood.files import atomic_directory, read_json, write_json
from sapwood.runs.manifest import Manifest

STEP = "expansion"
OUTPUTS = frozenset({"o_proj", "down_proj"})
"""The last modules of attention and of the feed-forward part, whose outputs are added to what goes through a block. In
mixtures of experts there are several."""
_PROBE_TOKENS = 8


def expand(source: Path, target: Path, blocks: int) -> tuple[Manifest, list[str]]:
    """Writes the model in `source` with `blocks` more blocks as the directory `target`; returns their names, too.

    The blocks are put into as many groups as there are new ones, equal to within one block, and a copy of the last of
    each follows it. In a copy the weights of attention's and the feed-forward part's output (`OUTPUTS`) are zero, and
    their biases. All other numbers stay as they are. Lists in config.json with an entry for every block get one for
    each copy.

    Done before with the same model and number, it is not done again. In the manifest, `counts` has `blocks_before`,
    `blocks`, `parameters_before` and `parameters`.

    Raises SapwoodError where the blocks are not of a kind that can be made to change nothing, or not stored one by one.
    """
    config = load_config(source)
    count = int(config.get_text_config().num_hidden_layers)
    if not 1 <= blocks <= count:
        raise SapwoodError(f"The model has {count} blocks: write a number of new ones from 1 to {count}, not {blocks}.")
    shapes = stored_shapes(source)
    prefix = _find_blocks(source, config, shapes)
    order = block_order(count, blocks)
    origins = [origin for origin, _ in order]
    names = [f"{prefix}.{number}" for number, (_, is_new) in enumerate(order) if is_new]
    planned = Manifest(step=STEP, inputs={"model": fingerprint_model(source)}, settings={"blocks": blocks})
    done = finished_model(target, planned)
    if done is not None:
        return done, names
    started = time.monotonic()

    def place(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
        if not name.startswith(f"{prefix}."):
            return {name: tensor}
        block, _, rest = name.removeprefix(f"{prefix}.").partition(".")
        zero = not OUTPUTS.isdisjoint(rest.split("."))
        return {
            # safetensors does not write the same memory twice
            f"{prefix}.{number}.{rest}": (torch.zeros_like if zero else torch.clone)(tensor) if is_new else tensor
            for number, (origin, is_new) in enumerate(order)
            if origin == int(block)
        }

    with atomic_directory(target) as directory:
        copy_other_files(source, directory)
        _lengthen(directory / CONFIG, config, origins)
        _check_settings(directory, config, prefix, origins)
        rewrite_weights(source, directory, place)
        done = Manifest(
            step=STEP,
            inputs=planned.inputs,
            settings=planned.settings,
            counts={
                "blocks_before": count,
                "blocks": len(order),
                "parameters_before": sum(map(math.prod, shapes.values())),
                "parameters": sum(map(math.prod, stored_shapes(directory).values())),
            },
            versions={"sapwood": __version__},
            seconds=round(time.monotonic() - started, 1),
        )
        done.write(directory)
    return done, names


def block_order(count: int, more: int) -> list[tuple[int, bool]]:
    """The blocks of the expanded model: which old one each is, and whether it is a new copy of it.

    >>> block_order(4, 2)
    [(0, False), (1, False), (1, True), (2, False), (3, False), (3, True)]
    """
    copied = {count * number // more - 1 for number in range(1, more + 1)}
    return [(block, is_new) for block in range(count) for is_new in ((False, True) if block in copied else (False,))]


def _find_blocks(source: Path, config: Any, stored: Iterable[str]) -> str:
    """The name of the list of blocks. Raises SapwoodError where its blocks are not such as can be copied."""
    count = int(config.get_text_config().num_hidden_layers)
    skeleton = build_skeleton(config)
    found: list[str] = [
        name
        for name, module in skeleton.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count and all(map(_outputs, module))
    ]
    if len(found) != 1:
        raise SapwoodError(
            f"The model in {source} ({type(skeleton).__name__}) cannot be expanded: every block must end its attention "
            f"and its feed-forward part with {' and '.join(sorted(OUTPUTS, reverse=True))}, as in Llama, Qwen, Mistral."
        )
    blocks = skeleton.get_submodule(found[0])
    kinds = {tuple(name for name, _ in block.named_parameters()) for block in blocks.children()}
    if len(kinds) > 1:
        raise SapwoodError(f"The model in {source} has blocks of {len(kinds)} kinds, and cannot be expanded.")
    names = {name.removeprefix(f"{found[0]}.").partition(".")[0] for name in stored if name.startswith(f"{found[0]}.")}
    if names != {str(number) for number in range(count)}:
        raise SapwoodError(f"The weights in {source} are not stored by blocks under the name {found[0]}.")
    if not _passes_on(config, found[0]):
        raise SapwoodError(
            f"A block of the model in {source} ({type(skeleton).__name__}) changes what goes through it even where all "
            f"{' and '.join(sorted(OUTPUTS))} are zero: such a model cannot be expanded."
        )
    return found[0]


def _outputs(block: nn.Module) -> list[nn.Parameter]:
    """The parameters that are zero in a copy; none where some kind of `OUTPUTS` is not there."""
    found = {name: OUTPUTS.intersection(name.split(".")) for name, _ in block.named_parameters()}
    whole = frozenset().union(*found.values()) == OUTPUTS
    return [parameter for name, parameter in block.named_parameters() if found[name]] if whole else []


@torch.no_grad()
def _passes_on(config: Any, prefix: str) -> bool:
    """Whether a block of random weights whose outputs are zero gives what it gets, to the bit."""
    small = copy.deepcopy(config)
    text = small.get_text_config()
    for name, values in _by_block(config).items():
        setattr(text, name, values[:1])
    text.num_hidden_layers, text.vocab_size, text.pad_token_id = 1, _PROBE_TOKENS, None
    model = AutoModelForCausalLM.from_config(small, dtype=torch.bfloat16, trust_remote_code=False).eval()
    block = model.get_submodule(prefix)[0]
    rng = torch.Generator().manual_seed(0)
    for parameter in block.parameters():
        parameter.normal_(std=0.1, generator=rng)
    for parameter in _outputs(block):
        parameter.zero_()
    passed: list[bool] = []

    def compare(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any], answer: Any) -> None:
        before = given[0] if given else named["hidden_states"]
        passed.append(torch.equal(before, answer[0] if isinstance(answer, tuple) else answer))

    block.register_forward_hook(compare, with_kwargs=True)
    model(input_ids=torch.arange(_PROBE_TOKENS)[None], use_cache=False)
    return passed == [True]


def _by_block(config: Any) -> dict[str, list[Any]]:
    """The settings with an entry for every block, such as `layer_types`, whether config.json says them or not."""
    text = config.get_text_config()
    return {
        name: value
        for name, value in text.to_dict().items()
        if "layer" in name and isinstance(value, list) and len(value) == text.num_hidden_layers
    }


def _lengthen(path: Path, config: Any, origins: Sequence[int]) -> None:
    content = read_json(path, "Get the model again.")
    settings = content["text_config"] if "num_hidden_layers" in content.get("text_config", {}) else content
    settings["num_hidden_layers"] = len(origins)
    settings.update({name: [values[origin] for origin in origins] for name, values in _by_block(config).items()})
    write_json(path, content)


def _check_settings(directory: Path, config: Any, prefix: str, origins: Sequence[int]) -> None:
    """Raises SapwoodError where a block of the new configuration is not like the old one that it stands for."""
    expanded = load_config(directory)
    before, after = _by_block(config), _by_block(expanded)
    old, new = build_skeleton(config).get_submodule(prefix), build_skeleton(expanded).get_submodule(prefix)
    shapes = [
        [{name: parameter.shape for name, parameter in block.named_parameters()} for block in blocks.children()]
        for blocks in (old, new)
    ]
    same = all(after.get(name) == [values[origin] for origin in origins] for name, values in before.items())
    if not same or shapes[1] != [shapes[0][origin] for origin in origins]:
        raise SapwoodError(
            f"The settings of {type(config).__name__} make other blocks when there are more: it cannot be expanded."
        )
