"""Whether a model expects each token from those before it alone: only then do its texts have likelihoods."""

from __future__ import annotations

import torch
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel

from sapwood.backbone.observe import observed
from sapwood.errors import SapwoodError

TOLERANCE = 0.03
"""Nats a token. Of 150 kinds of model, rounding in fp32 comes to 2e-4, and to 0.01 in one that goes through its layers
many times; another token that is seen comes to 0.8 at least."""
LENGTHS = 6, 12
"""Tokens of a text's beginning, and of the text."""
SEES_AHEAD = (
    "sees the tokens that it predicts: what comes later changes what it makes of the tokens before. So it gives texts "
    "no likelihood, writes none, and cannot be trained to here. Where its config.json has `is_decoder`, write true; "
    "otherwise name a causal language model."
)


def sees_ahead(config: PretrainedConfig) -> bool:
    """Whether the models of a configuration see the tokens that they predict, observed on a small one.

    False where none can be looked at.
    """
    return observed(config, "causal", look_ahead) is True


def refuse_sight_ahead(config: PretrainedConfig, name: str) -> None:
    """Raises SapwoodError where the models of a configuration, called `name`, see the tokens that they predict."""
    if sees_ahead(config):
        raise SapwoodError(f"{name} {SEES_AHEAD}")


@torch.no_grad()
def look_ahead(model: PreTrainedModel) -> bool | dict[str, str]:
    """Whether the losses of a text's beginning change with what follows it."""
    begun, whole = LENGTHS
    config = model.config.get_text_config(decoder=True)
    tokens = torch.randint(config.vocab_size, (1, whole), generator=torch.Generator().manual_seed(0))
    try:
        alone, followed = (_losses(model, part)[: begun - 1] for part in (tokens[:, :begun], tokens))
    except Exception as error:  # of many kinds, none of them documented
        return {"unknown": f"{type(error).__name__}: {error}"[:300]}
    return not bool(((alone - followed).abs() <= TOLERANCE).all())


def _losses(model: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    """-log p of every token but the first, of one sequence."""
    logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
    return functional.cross_entropy(logits, tokens[0, 1:], reduction="none")
