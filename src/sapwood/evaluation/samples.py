"""Text that a model generates, for people to read beside the numbers."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from sapwood.backbone.encode import Encoder
from sapwood.evaluation.bits import Texts
from sapwood.evaluation.result import Sample
from sapwood.recipe.check import members
from sapwood.recipe.schema import Recipe

OPENING_TOKENS = 32
"""How much of a held-out document is given as a prompt."""


def generate_samples(model: PreTrainedModel, encoder: Encoder, texts: Texts, recipe: Recipe) -> tuple[Sample, ...]:
    """Continues the recipe's prompts greedily; without any, the opening of one held-out document of every domain."""
    settings = recipe.evaluation.samples
    if not settings.tokens:
        return ()
    prompts = [("", prompt) for prompt in settings.prompts] or _openings(encoder, texts, recipe)
    training = model.training
    model.eval()
    samples = []
    for domain, prompt in prompts:
        ids = [*encoder.delimiters.begin, *encoder.encode_batch([prompt])[0].tolist()]
        inputs = torch.tensor([ids or encoder.delimiters.prefix]).to(model.device)
        with torch.inference_mode():
            output = model.generate(
                inputs,
                attention_mask=torch.ones_like(inputs),
                max_new_tokens=settings.tokens,
                do_sample=False,
                num_beams=1,
            )
        continuation = output[0, inputs.shape[1] :].tolist()
        samples.append(Sample(domain, prompt, encoder.decode(continuation, controls=False)))
    model.train(training)
    return tuple(samples)


def _openings(encoder: Encoder, texts: Texts, recipe: Recipe) -> list[tuple[str, str]]:
    evaluation = recipe.evaluation
    sources = [members(recipe, name)[0] for name in [*evaluation.gain.domains, *evaluation.retention.domains]]
    prompts = []
    for source in sources:
        longest = max(texts[source], key=lambda text: len(text.text))
        ids = encoder.encode_batch([longest.text])[0].tolist()
        prompts.append((source, encoder.decode(ids[:OPENING_TOKENS]).rstrip("\ufffd")))
    return prompts
