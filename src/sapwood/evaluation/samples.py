"""Text that a model generates, for people to read beside the numbers."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sapwood.evaluation.bits import Texts
from sapwood.evaluation.result import Sample
from sapwood.recipe.check import members
from sapwood.recipe.schema import Recipe

OPENING_TOKENS = 32
"""How much of a held-out document is given as a prompt."""


def generate_samples(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Texts, recipe: Recipe
) -> tuple[Sample, ...]:
    """Continues the recipe's prompts greedily; without any, the opening of one held-out document of every domain."""
    settings = recipe.evaluation.samples
    if not settings.tokens:
        return ()
    prompts = [("", prompt) for prompt in settings.prompts] or _openings(tokenizer, texts, recipe)
    training = model.training
    model.eval()
    samples = []
    for domain, prompt in prompts:
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=settings.tokens, do_sample=False, num_beams=1)
        continuation = output[0, inputs["input_ids"].shape[1] :]
        samples.append(Sample(domain, prompt, tokenizer.decode(continuation, skip_special_tokens=True)))
    model.train(training)
    return tuple(samples)


def _openings(tokenizer: PreTrainedTokenizerBase, texts: Texts, recipe: Recipe) -> list[tuple[str, str]]:
    evaluation = recipe.evaluation
    sources = [members(recipe, name)[0] for name in [*evaluation.gain.domains, *evaluation.retention.domains]]
    prompts = []
    for source in sources:
        longest = max(texts[source], key=lambda text: len(text.text))
        ids = tokenizer(longest.text, add_special_tokens=False)["input_ids"]
        prompts.append((source, tokenizer.decode(ids[:OPENING_TOKENS]).rstrip("\ufffd")))
    return prompts
