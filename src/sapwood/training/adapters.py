"""Low-rank adapters beside frozen weights: put into a model, and merged into its weights again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from transformers import PreTrainedModel

from sapwood.backbone.stored import Tensors, shape_of
from sapwood.errors import SapwoodError, closest
from sapwood.recipe.schema import Adapter, Training

ALL = "all-linear"
PASSED_OVER = {2: 0.25, 3: 0.05}
"""The share of a model's matrices that `all-linear` may pass over, by their dimensions. Routers of experts, and what
layers with a state keep besides, come to a twentieth; GPT-2's layers to all. Experts kept as stacked matrices mostly
come to four fifths, but there are models of few, and gates of RecurrentGemma to a fiftieth."""
_BASE = ".base_layer."
_DOWN, _UP, _LENGTH = (f".{part}.default.weight" for part in ("lora_A", "lora_B", "lora_magnitude_vector"))


def is_adapter(name: str) -> bool:
    """Whether this is the name of an adapter's parameter or module, and not one of the base model."""
    return ".lora_" in name


def type_between_steps(settings: Training, name: str) -> torch.dtype:
    """The type in which the parameter of this name is kept between steps. Adapters are fp32, whatever the rest is."""
    return torch.bfloat16 if settings.weights == "bf16" and not is_adapter(name) else torch.float32


def backbone_name(name: str) -> str:
    """What the base model calls one of its parameters that has this name beside an adapter."""
    return name.replace(_BASE, ".")


def add_adapters(model: PreTrainedModel, settings: Adapter, seed: int) -> None:
    """Puts an adapter beside every target, in place (PEFT). The model gives the same as before, to rounding.

    Adapters are fp32, whatever the base model is, and drawn from `seed` alone. Parameters are named as PEFT does:
    `MODULE.lora_A.default.weight` [rank, in], `MODULE.lora_B.default.weight` [out, rank], for DoRA
    `MODULE.lora_magnitude_vector.default.weight` [out]; the target's own become `MODULE.base_layer.weight`. What of all
    this is trained is for `trainable.select` to say.

    Raises SapwoodError for a target that is no linear module of the model, for all of them where those are but a part
    of its matrices, and where PEFT is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise SapwoodError(
            "training.adapter needs PEFT, which is not installed: pip install 'sapwood[adapters]'"
        ) from None
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # PEFT only divides it
        lora_dropout=settings.dropout,
        use_dora=settings.kind == "dora",
        target_modules=_unshared(model, _modules(model, settings.targets)),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, model)
        except ValueError as error:  # such as out_proj of Mamba, whose kernels take the bare weight
            raise SapwoodError(
                f"training.adapter.targets: {type(model).__name__} has modules that PEFT puts no adapter beside. Name "
                f"others, by their last names. PEFT says: {error}"
            ) from error
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            parameter.data = parameter.data.float()
    for module in model.modules():
        # PEFT takes the lengths in the type of the weights. In bf16, merging would change weights never trained.
        lengths = getattr(module, "lora_magnitude_vector", {})
        if "default" in lengths:
            lengths["default"].weight.data = torch.linalg.vector_norm(module.base_layer.weight.data.float(), dim=1)


class MergedWeights(Tensors):
    """What was trained of a model with adapters, under the names of the base model, each made when it is asked for.

    Adapters are added to the weights that they stand beside, which are fp32 then, whatever the base model is. The sum
    is PEFT's: W + alpha / rank * B A, and for DoRA its rows scaled to the learned lengths (LoRA, arXiv 2106.09685,
    section 4.1; DoRA, 2402.09353, equation 5).
    """

    def __init__(
        self, backbone: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor], adapter: Adapter
    ) -> None:
        """`trained` holds parameters of the model with its adapters. Raises SapwoodError where it is of another."""
        self._backbone = backbone
        self._adapter = adapter
        self._trained = trained
        self._names = {backbone_name(name): name for name in trained if not is_adapter(name)}
        adapted = {f"{name.partition('.lora_')[0]}.weight" for name in trained if is_adapter(name)}
        self._places = dict.fromkeys(sorted(adapted | self._names.keys()))
        for name in adapted:
            if name not in backbone:
                raise SapwoodError(f"The trained weights are of another model: the base model has no '{name}'.")

    def __getitem__(self, name: str) -> torch.Tensor:
        own = self._names.get(name)
        weight = self._backbone[name] if own is None else self._trained[own]
        module = name.removesuffix(".weight")
        if module + _DOWN not in self._trained:
            return weight
        down, up = (self._trained[module + part].float() for part in (_DOWN, _UP))
        merged = weight.float() + up @ down * (self._adapter.alpha / self._adapter.rank)
        if module + _LENGTH in self._trained:
            lengths = torch.linalg.vector_norm(merged, dim=1)
            merged *= (self._trained[module + _LENGTH].float() / lengths)[:, None]
        return merged

    def shape(self, name: str) -> torch.Size:
        """The shape of a tensor."""
        own = self._names.get(name)
        return shape_of(self._backbone, name) if own is None else shape_of(self._trained, own)


def _modules(model: PreTrainedModel, targets: list[str]) -> list[str]:
    """The full names of all linear modules that are meant by `targets`."""
    head = model.get_output_embeddings()
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head]
    if ALL in targets:
        _check_all(model, linear)
        return linear
    found: list[str] = []
    for target in targets:
        meant = [name for name in linear if name.endswith(f".{target}")]
        if not meant:
            known = {name.rpartition(".")[2] for name in linear} | {ALL}
            raise SapwoodError(
                f"training.adapter.targets: the layers of {type(model).__name__} have no linear module '{target}'. "
                f"{closest(target, known)}"
            )
        found += meant
    return found


def _unshared(model: PreTrainedModel, names: list[str]) -> list[str]:
    """The same names. Raises SapwoodError for a matrix that several layers share, as in Zamba: each layer would have an
    adapter of its own, and there is one matrix to merge them into."""
    paths: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        paths.setdefault(id(parameter), []).append(name.removesuffix(".weight"))
    for name in names:
        others = [path for path in paths[id(model.get_parameter(f"{name}.weight"))] if path != name]
        if others:
            raise SapwoodError(
                f"training.adapter.targets: '{name}' of {type(model).__name__} is '{others[0]}' too: layers that share "
                "weights have no adapter here. Name other modules, or take `adapter` out, and train the weights."
            )
    return names


def _check_all(model: PreTrainedModel, linear: list[str]) -> None:
    """Raises SapwoodError where the linear modules hold less of the matrices of a model than `all` lets expect.

    transformers keeps experts as stacked matrices. PEFT reaches those by `target_parameters`, which knows no dropout
    and no DoRA, and adds them up anew in every pass.
    """
    other = (nn.Embedding, nn.modules.conv._ConvNd)
    ends = {id(part) for part in (model.get_input_embeddings(), model.get_output_embeddings())}
    matrices = {
        f"{name}.{own}": parameter
        for name, module in model.named_modules()
        if not isinstance(module, other) and id(module) not in ends
        for own, parameter in module.named_parameters(recurse=False)
        if parameter.ndim > 1
    }
    reached = {f"{name}.weight" for name in linear}
    sizes = {name: parameter.numel() for name, parameter in matrices.items()}
    passed = {name: size for name, size in sizes.items() if name not in reached}
    if all(
        sum(size for name, size in passed.items() if matrices[name].ndim >= least) <= share * sum(sizes.values())
        for least, share in PASSED_OVER.items()
    ):
        return
    largest = max(passed, key=lambda name: passed[name])
    kinds = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
    named = f"Name those that are to have one, as in `targets: [{kinds}]`, and the others stay as they are; or take"
    raise SapwoodError(
        f"training.adapter.targets: '{ALL}' passes over {sum(passed.values()) / sum(sizes.values()):.0%} of the "
        f"matrices of {type(model).__name__}: '{largest}' {list(matrices[largest].shape)} and its like are no linear "
        "modules, as the experts of a mixture mostly are, and have no adapter here. "
        f"{named if kinds else 'Take'} `adapter` out, and train the weights themselves."
    )
