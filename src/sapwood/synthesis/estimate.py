"""What a job will take, before it is begun: requests, tokens and price of every stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sapwood.recipe import Synthesis
from sapwood.recipe.server import ModelServer
from sapwood.synthesis.account import FORM
from sapwood.synthesis.run import Work

CHARACTERS_PER_TOKEN = {"en": 4.0, "zh": 1.5}
"""Assumed of the generator's tokenizer."""
_ASSUMED = {
    FORM: (0, 500),
    "self_consistency": (200, 300),
    "option_permutation": (300, 10),
    "entailment": (700, 10),
    "pass_rate": (200, 300),
    "cross_lingual": (600, 10),
}
"""Tokens of the prompt and the answer of one request, where nothing has been measured. The generator's prompts are
known."""


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What one stage asks of one model."""

    stage: str
    server: ModelServer
    requests: int
    prompt_tokens: int
    completion_tokens: int

    @property
    def price(self) -> float | None:
        """In the server's currency; None where it states no price."""
        return price(self.server, self.prompt_tokens, self.completion_tokens)


def price(server: ModelServer, prompt_tokens: int, completion_tokens: int) -> float | None:
    """What tokens cost on a server, in its currency; None where it states no price."""
    if server.price is None:
        return None
    return (prompt_tokens * server.price.prompt + completion_tokens * server.price.completion) / 1e6


def estimate(job: Synthesis, work: Work, account: Mapping[str, Any] | None) -> list[StageEstimate]:
    """What every stage that asks a model will take.

    With the `account` of an earlier, smaller run, as many items reach each stage, and take as many tokens, as they did
    there; without one, all items are assumed to reach all stages that their format allows, and tokens are assumed.
    """
    attempts = len(work.attempts)
    found = []
    for stage, (server, per_item) in asking(job).items():
        measured = account["stages"].get(stage) if account is not None else None
        if account is not None and account["attempts"]:
            seen = round(attempts * (measured["seen"] if measured else 0) / account["attempts"])
        else:
            seen = sum(_concerns(stage, attempt.format) for attempt in work.attempts)
        if measured is not None and measured["seen"]:
            prompt, completion = (
                seen * measured[f"{kind}_tokens"] // measured["seen"] for kind in ("prompt", "completion")
            )
        else:
            prompt, completion = (seen * per_item * tokens for tokens in _ASSUMED[stage])
        if stage == FORM:
            prompt = _prompt_tokens(job, work)
        found.append(StageEstimate(stage, server, seen * per_item, prompt, completion))
    return found


def asking(job: Synthesis) -> dict[str, tuple[ModelServer, int]]:
    """The stages that ask a model: which one, and how often for each item."""
    verify, server = job.verify, job.server
    found = {FORM: (server, 1)}
    if verify.cross_lingual is not None:
        found["cross_lingual"] = (verify.cross_lingual.judge, verify.cross_lingual.candidates)
    if verify.option_permutation is not None:
        found["option_permutation"] = (
            verify.option_permutation.server or server,
            verify.option_permutation.permutations,
        )
    if verify.self_consistency is not None:
        found["self_consistency"] = (verify.self_consistency.server or server, verify.self_consistency.samples)
    if verify.entailment is not None:
        found["entailment"] = (verify.entailment.server, verify.entailment.samples)
    if verify.pass_rate is not None:
        found["pass_rate"] = (verify.pass_rate.server, verify.pass_rate.samples)
    return found


def _concerns(stage: str, kind: str) -> bool:
    if stage == "option_permutation":
        return kind == "multiple-choice"
    if stage in ("self_consistency", "entailment"):
        return kind not in ("multiple-choice", "code-problem")
    return True


def _prompt_tokens(job: Synthesis, work: Work) -> int:
    tokens = 0.0
    for attempt in work.attempts:
        request = work.prompts[attempt.format, attempt.language].request(attempt.values(), job.sampling)
        per_token = CHARACTERS_PER_TOKEN.get(attempt.language, CHARACTERS_PER_TOKEN["en"])
        tokens += sum(len(message["content"]) for message in request.messages) / per_token
    return round(tokens)
