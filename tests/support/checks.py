"""What every kind of causal language model of transformers is put through, on a small one: `checked(kind)`.

Nothing here knows a kind by its name. What a model gives for a text by itself, called as transformers calls it, is what
everything else must come to.
"""

from __future__ import annotations

import copy
import multiprocessing
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import CONFIG_MAPPING, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from sapwood.backbone.causal import TOLERANCE, sees_ahead
from sapwood.backbone.contents import weight_files
from sapwood.backbone.export import export
from sapwood.backbone.load import build_skeleton, load_model
from sapwood.backbone.small import build_small, small_config
from sapwood.errors import SapwoodError
from sapwood.likelihood.score import score
from sapwood.mixture.stream import Sequence
from sapwood.recipe.schema import Adapter
from sapwood.tokens.sequence import Span
from sapwood.training.adapters import MergedWeights, add_adapters, is_adapter
from sapwood.training.attention import attend_by_document
from sapwood.training.batch import Batch, make_batch
from sapwood.training.dry_run import Spread, dry_run
from sapwood.training.isolation import way_of
from sapwood.training.loss import LossHead, next_token_losses
from sapwood.training.probe import experts_of

Record = dict[str, str]
"""What a check found: `word`, for the table, and with some words `why`."""
REFUSED, WRONG, NOT_BUILT, OUT_OF_TIME = "refused", "WRONG", "no", "not run: out of time"
CLOSE = 1e-4
"""How far what should be equal may differ: in nats a token, or as a share of more than one; as a share of logits."""
PACKED = [[12, 1, 9], [2, 13, 7]]
"""Tokens of the documents of packed sequences."""
SCORED = [(17, 1), (5, 3), (23, 11), (2, 1), (23, 22)]
"""Tokens of scored sequences, and how many of these are context."""
SECONDS = 120
"""How long a kind may take."""


def kinds() -> list[str]:
    """The kinds of causal language models that transformers has."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def checked(kind: str) -> dict[str, Record]:
    """What each check finds of a kind of model, built small from the configuration that its class has by itself."""
    logging.set_verbosity_error()
    try:
        config = small_config(CONFIG_MAPPING[kind]())
        _logits(small(config))  # some are built from what their class has by itself, and do not run so
    except Exception as error:  # of many kinds, none of them documented
        return {"built": {"word": NOT_BUILT, "why": f"{type(error).__name__}: {error}"}}
    found = {"built": {"word": "yes"}}
    for name, check in CHECKS.items():
        try:
            found[name] = check(config)
        except SapwoodError as error:
            found[name] = {"word": REFUSED, "why": str(error)}
        except Exception as error:
            found[name] = {"word": WRONG, "why": f"{type(error).__name__}: {error}"}
    return found


def checked_apart(kind: str) -> dict[str, Record]:
    """The same in a process of its own, which is ended when it takes too long."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(kind, there))
    process.start()
    there.close()
    try:
        found: dict[str, Record] = here.recv() if here.poll(SECONDS) else {"built": {"word": OUT_OF_TIME}}
    except EOFError:
        found = {"built": {"word": NOT_BUILT, "why": "its process ended"}}
    process.kill()
    process.join()
    return found


def _send(kind: str, there: Connection) -> None:
    there.send(checked(kind))


def small(config: PretrainedConfig) -> PreTrainedModel:
    """A model of its own, of a small configuration; built once, since that takes longest."""
    if id(config) not in _built:
        _built[id(config)] = config, build_small(config)
    return copy.deepcopy(_built[id(config)][1])


_built: dict[int, tuple[PretrainedConfig, PreTrainedModel]] = {}


def isolation_of(config: PretrainedConfig) -> Record:
    """Packed documents have the losses of each alone."""
    model = small(config)
    attend_by_document(model)
    return _packed_as_alone(model, small(config), None, way_of(model))


def loss_of(config: PretrainedConfig) -> Record:
    """The loss that training takes, by the head in chunks where that is right, is that of the logits."""
    model = small(config)
    attend_by_document(model)
    head = LossHead.of(model)
    return _packed_as_alone(model, small(config), head, "whole" if head is None else "in chunks")


def scoring_of(config: PretrainedConfig) -> Record:
    """Padded batches of sequences with contexts are scored as each sequence is alone."""
    if sees_ahead(config):
        return {"word": "no likelihood", "why": "it sees the tokens that it predicts, and is refused"}
    model = small(config)
    sequences = [_tokens(model, length, seed) for seed, (length, _) in enumerate(SCORED)]
    found = score(model, sequences, context=[context for _, context in SCORED])
    differences = []
    for tokens, (_, context), scored in zip(sequences, SCORED, found, strict=True):
        expected = float(_alone(model, tokens)[context - 1 :].sum())
        differences.append(abs(expected - scored.nats) / max(scored.tokens, expected))
    found = _within(max(differences), CLOSE, "ok", "of the nats")
    changed = _follows(model)
    if found["word"] == WRONG and changed > CLOSE:
        return {
            "word": "unsteady",
            "why": f"what follows changes losses before it by {changed:.1g} nats, in transformers",
        }
    return found


def attention_of(config: PretrainedConfig) -> Record:
    """The attention of transformers that it is loaded with."""
    return {"word": small(config).config.get_text_config()._attn_implementation}


def export_of(config: PretrainedConfig) -> Record:
    """Saved, loaded and exported, it has the same tensors to the bit, and the same logits."""
    model = small(config)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source", Path(folder) / "target"
        try:
            model.save_pretrained(source)
            loaded = load_model(source)
        except Exception as error:  # of many kinds; nothing of ours has touched it yet
            return {
                "word": "not tried",
                "why": f"transformers saves or loads none: {type(error).__name__}: {error}",
            }
        export(loaded.state_dict(), source, target)
        stored, exported = (
            {name: tensor for file in weight_files(path) for name, tensor in load_file(file).items()}
            for path in (source, target)
        )
        same = stored.keys() == exported.keys() and all(torch.equal(stored[name], exported[name]) for name in stored)
        if not same:
            return {"word": WRONG, "why": "other tensors"}
        return _same_logits(load_model(target), loaded)


def adapters_of(config: PretrainedConfig) -> Record:
    """Adapters of all linear modules, merged into the weights, give what they give beside them."""
    model, plain, adapter = small(config), small(config), Adapter(rank=2)
    add_adapters(model, adapter, seed=0)
    torch.manual_seed(1)
    trained = {name: parameter.data for name, parameter in model.named_parameters() if is_adapter(name)}
    for parameter in trained.values():
        parameter += 0.05 * torch.randn_like(parameter)
    before = _logits(plain)
    plain.load_state_dict(dict(MergedWeights(plain.state_dict(), trained, adapter)), strict=False)
    if torch.equal(before, _logits(plain)):
        return {"word": WRONG, "why": "adapters change nothing"}
    return _same_logits(plain, model)


def memory_of(config: PretrainedConfig) -> Record:
    """A step on a GPU can be gone through without numbers, which the estimate of memory does."""
    spread = Spread(shards=1, master=4, arithmetic=2, sums="none", offload=False)
    met = []
    for masked in (True, False):
        try:
            model = build_skeleton(config, torch.bfloat16).train()
            dry_run(model, spread, device="cuda", sequences=2, length=32, chunked=True, masked=masked)
            return {"word": "ok"}
        except Exception as error:
            met.append(f"{type(error).__name__}: {error}")
    return {"word": "not estimated", "why": met[0]}


def experts(config: PretrainedConfig) -> Record:
    """How many experts the layers choose from, of the small model."""
    number = experts_of(build_skeleton(config))
    return {"word": "without auxiliary loss" if number else "none"}


CHECKS: dict[str, Callable[[PretrainedConfig], Record]] = {
    "documents apart by": isolation_of,
    "loss": loss_of,
    "scoring": scoring_of,
    "attention": attention_of,
    "export": export_of,
    "adapters": adapters_of,
    "memory": memory_of,
    "experts": experts,
}


def _tokens(model: PreTrainedModel, length: int, seed: int) -> np.ndarray:
    known = model.config.get_text_config(decoder=True).vocab_size
    return np.random.default_rng(seed).integers(3, known - 3, length)


@torch.no_grad()
def _alone(model: PreTrainedModel, tokens: np.ndarray) -> torch.Tensor:
    """-log p of every token but the first, of a sequence by itself."""
    logits = model(input_ids=torch.from_numpy(tokens)[None], use_cache=False).logits[0, :-1].float()
    return functional.cross_entropy(logits, torch.from_numpy(tokens[1:]), reduction="none")


@torch.no_grad()
def _packed_as_alone(model: PreTrainedModel, plain: PreTrainedModel, head: LossHead | None, word: str) -> Record:
    documents = [[_tokens(model, length, 10 + length) for length in lengths] for lengths in PACKED]
    _, found = next_token_losses(model, _batch(documents), head)
    expected = torch.stack([sum(_alone(plain, tokens).sum() for tokens in row) for row in documents])
    return _within(float((found - expected).abs().max()) / sum(PACKED[0]), TOLERANCE, word, "nats a token")


def _batch(documents: list[list[np.ndarray]]) -> Batch:
    sequences = []
    for row in documents:
        offsets = np.cumsum([0, *map(len, row)]).tolist()
        spans = tuple(Span(0, 0, len(tokens), offset) for tokens, offset in zip(row, offsets, strict=False))
        sequences.append(Sequence(0, "", 0, np.concatenate(row), spans))
    return make_batch(sequences, isolate_documents=True)


@torch.no_grad()
def _logits(model: PreTrainedModel) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=torch.from_numpy(_tokens(model, 24, 7))[None], use_cache=False).logits
    return logits


def _follows(model: PreTrainedModel) -> float:
    """How much the losses of a text's beginning change with what follows it, called as transformers calls it."""
    tokens = _tokens(model, 23, 2)
    whole = _alone(model, tokens)
    begun = [length for length, _ in SCORED if 2 < length < len(tokens)]
    return max(float((_alone(model, tokens[:length]) - whole[: length - 1]).abs().max()) for length in begun)


def _same_logits(model: PreTrainedModel, other: PreTrainedModel) -> Record:
    """Equal, or as near as weights are that are rounded once."""
    one, two = _logits(model), _logits(other)
    found = _within(_apart(one, two), CLOSE, "ok", "of the largest logit")
    if found["word"] == WRONG and _apart(one, two) < 4 * _rounding(model):
        return {"word": "ok"}
    return found


def _rounding(model: PreTrainedModel) -> float:
    """How far the logits move when every weight does by the last bit of its fp32, as a share of the largest."""
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.copy_(torch.nextafter(parameter, torch.full_like(parameter, torch.inf)))
        return _apart(_logits(moved), _logits(model))


def _apart(one: torch.Tensor, two: torch.Tensor) -> float:
    return float((one - two).abs().max() / two.abs().max())


def _within(difference: float, tolerance: float, word: str, unit: str) -> Record:
    if difference <= tolerance:
        return {"word": word}
    return {"word": WRONG, "why": f"{difference:.1g} {unit} away"}
