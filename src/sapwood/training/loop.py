"""The loop: what happens from the first token of a run to the last."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from sapwood.backbone.load import load_model
from sapwood.directory import RunDirectory
from sapwood.errors import SapwoodError
from sapwood.likelihood.precision import autocast_type
from sapwood.memory import peak_memory
from sapwood.metrics import StepMetrics, forget_after
from sapwood.mixture.ledger import Ledger, Round
from sapwood.mixture.measured import Losses
from sapwood.mixture.open import open_stream
from sapwood.mixture.plan import Plan
from sapwood.mixture.rounds import is_measured, is_over, next_round
from sapwood.mixture.stream import Stream, digest
from sapwood.progress import console, track
from sapwood.recipe.schema import Checkpoints, Recipe
from sapwood.training.batch import make_batch
from sapwood.training.checkpoint import State, load_latest, save_checkpoint
from sapwood.training.loss import next_token_loss
from sapwood.training.optimizer import build_optimizer
from sapwood.training.parallel import Ranks
from sapwood.training.schedule import learning_rate
from sapwood.training.stop import StopRequest

Measure = Callable[[PreTrainedModel, State, int, int | None], Losses]
"""Measures the live model between rounds. The numbers are the tokens it has been trained on, and those after which it
was measured before (None at first)."""


@dataclass(frozen=True, slots=True)
class Trained:
    """How a call of `train` ended."""

    state: State
    finished: bool
    """False when it was asked to stop before the end."""
    model: PreTrainedModel


def train(
    recipe: Recipe, plan: Plan, model_directory: Path, run: RunDirectory, ranks: Ranks, measure: Measure
) -> Trained:
    """Trains from the newest checkpoint of `run`, or from the backbone, to the end of the plan.

    Every round is written to the ledger before its first token is trained. A round that the ledger already holds is
    taken as it was decided, so that a resumed run follows the same stream.
    """
    settings = recipe.training
    model = load_model(model_directory, dtype=torch.float32).to(ranks.device).train()
    optimizer = build_optimizer(model, settings.optimizer)
    state = load_latest(run.checkpoints, model, optimizer)
    autocast = autocast_type(settings.precision, ranks.device)
    ledger = Ledger(run.ledger, writable=ranks.first)
    stream = open_stream(recipe, run, ledger, [part.domain for part in plan.domains])
    if ranks.first:
        forget_after(run.metrics, state.step)
    done = ledger.tokens_until(state.position)
    if state.step:
        console.print(f"Continuing after step {state.step}, {done:,} tokens.")

    due = CheckpointClock(settings.checkpoints, settings.batch_tokens, done)
    finished = False
    with StopRequest() as stop, track("Training", plan.tokens, done=done) as advance:
        current = None
        while True:
            entry = ledger.at(state.position)
            if entry is None and not is_over(plan, ledger):
                last = ledger.rounds[-1].start_tokens if ledger.rounds else None
                losses = measure(model, state, done, last) if state.position or is_measured(recipe) else {}
                decided = next_round(recipe, plan, ledger, losses) if ranks.first else None
                line = ranks.tell(decided.to_json() if decided else None)
                entry = Round.from_json(line) if line else None
                if entry is not None:
                    ledger.append(entry)
            if entry is None:
                finished = True
                break
            if entry is not current:
                current = entry
                if ranks.first:
                    stream.make_passes(entry)
                ranks.wait()

            started = time.monotonic()
            stage = plan.stage(entry.stage)
            positions = range(state.position, min(state.position + stage.batch_sequences, entry.stop))
            tokens = len(positions) * entry.sequence_length
            rate = learning_rate(recipe, plan, entry.stage, done - ledger.stage_start(entry.stage) + tokens / 2)
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(hash((recipe.seed, state.step, ranks.rank)))  # dropout, in models that have it
            loss, norm, read = step(model, optimizer, stream, positions, recipe, ranks, autocast)
            if not math.isfinite(loss):
                raise SapwoodError(
                    f"The loss of step {state.step + 1} is {loss}. The last checkpoint is intact; lower the learning "
                    f"rate, or look at sequences {positions.start} to {positions.stop - 1}."
                )

            seconds = time.monotonic() - started
            state = State(state.step + 1, positions.stop, state.seconds + seconds)
            done += tokens
            if ranks.first:
                StepMetrics(
                    step=state.step,
                    position=state.position,
                    tokens=done,
                    stage=entry.stage,
                    loss=loss,
                    learning_rate=rate,
                    gradient_norm=norm,
                    tokens_per_second=tokens / seconds,
                    seconds=state.seconds,
                    memory_bytes=peak_memory(ranks.device),
                    digest=read,
                ).write(run.metrics)
            advance(tokens, f"loss {loss:.3f}, {tokens / seconds:,.0f} tokens/s")

            stopping = ranks.any(stop.requested)
            if stopping or state.position == entry.stop or ranks.any(due(done)):
                if ranks.first:
                    save_checkpoint(run.checkpoints, state, model, optimizer, settings.checkpoints.keep)
                due = CheckpointClock(settings.checkpoints, settings.batch_tokens, done)
                ranks.wait()
            if stopping:
                break

    if finished:
        ledger.finish(state.position)
    return Trained(state, finished, model)


def step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    stream: Stream,
    positions: range,
    recipe: Recipe,
    ranks: Ranks,
    autocast: torch.dtype | None,
) -> tuple[float, float, str]:
    """One optimizer step on the sequences at `positions`.

    Gives the loss per predicted token, the gradient's norm, and a digest of what was trained on (`stream.digest`). The
    loss is divided by the predicted tokens of the whole batch, over all micro-batches and ranks, so that neither
    changes the step.
    """
    settings = recipe.training
    mine = [stream[position] for position in ranks.share(positions)]
    batches = [
        make_batch(mine[start : start + settings.micro_batch], isolate_documents=settings.isolate_documents)
        for start in range(0, len(mine), settings.micro_batch)
    ]
    predicted = ranks.sum(sum(batch.predicted for batch in batches))
    total = 0.0
    for batch in batches:
        loss = next_token_loss(model, batch.to(ranks.device), autocast) / max(predicted, 1)
        loss.backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    ranks.sum_gradients(model.parameters())
    norm = nn.utils.clip_grad_norm_(model.parameters(), settings.optimizer.clip or math.inf)
    optimizer.step()
    optimizer.zero_grad()
    return ranks.sum(total), float(norm), digest(ranks.sum_modulo(sequence.digest for sequence in mine))


class CheckpointClock:
    """Tells when the next checkpoint is due, counted from `done` tokens of the run."""

    def __init__(self, settings: Checkpoints, batch_tokens: int, done: int) -> None:
        self._every = settings.every
        self._batch_tokens = batch_tokens
        self._since = done
        self._started = time.monotonic()

    def __call__(self, done: int) -> bool:
        """Whether a checkpoint is due now, after `done` tokens of the run."""
        if self._every.unit == "seconds":
            return time.monotonic() - self._started >= self._every.amount
        return done - self._since >= self._every.tokens(self._batch_tokens)
