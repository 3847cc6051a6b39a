"""The stream in other trainers' hands: the same sequences in the same order, for any ranks, workers and restarts."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, Trainer, TrainerState, TrainingArguments

import sapwood
from sapwood.corpus.store import stores_of
from sapwood.errors import SapwoodError
from sapwood.evaluation.evaluator import HeldOutEvaluator
from sapwood.evaluation.in_loop import losses as between
from sapwood.mixture.decided import open_run, plan_or_refuse
from sapwood.mixture.ledger import Ledger
from sapwood.mixture.measured import Measured
from sapwood.pipeline.prepare import prepare_run
from sapwood.pipeline.train import train_run
from sapwood.runs.directory import RunDirectory
from sapwood.training.batch import make_batch
from sapwood.training.dataset import StreamDataset
from sapwood.training.loss import next_token_losses

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]
Tokens = list[tuple[int, ...]]
SEQUENCES = 7000 // 64


def prepare(path: Path) -> RunDirectory:
    torch.set_num_threads(1)
    recipe, run = open_run(path, (), path.parent / "runs")
    prepare_run(recipe, run)
    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared") / "tiny"


@pytest.fixture
def recipe(tiny_recipe: TinyRecipe, kept: Path) -> Path:
    """The tiny recipe, with its sources prepared in `runs` beside it; nothing is decided yet."""
    path = tiny_recipe()
    if not kept.exists():
        shutil.copytree(prepare(path).root, kept)
    shutil.copytree(kept, path.parent / "runs" / "tiny", dirs_exist_ok=True)
    return path


@pytest.fixture
def run(recipe: Path) -> RunDirectory:
    return sapwood.stream(recipe, runs=recipe.parent / "runs").run.run


def ids(items: Any) -> Tokens:
    return [tuple(item["input_ids"].tolist()) for item in items]


def batches(loader: Any) -> list[Tokens]:
    return [[tuple(row) for row in batch["input_ids"].tolist()] for batch in loader]


def all_of(run: RunDirectory) -> Tokens:
    """The tokens of the whole run, straight from the stream."""
    stream = sapwood.stream(run.root).run.stream
    return [tuple(stream[position].tokens.tolist()) for position in range(SEQUENCES)]


def cut(sequences: Tokens, size: int) -> list[Tokens]:
    return [sequences[start : start + size] for start in range(0, len(sequences), size)]


def test_items_are_those_of_our_own_batches(run: RunDirectory) -> None:
    dataset = sapwood.stream(run.root)
    stream = dataset.run.stream
    items = list(dataset)
    assert len(items) == dataset.decided == dataset.planned == SEQUENCES
    assert dataset.finished
    for position in (0, 50, 108):
        batch = make_batch([stream[position]], isolate_documents=True)
        assert torch.equal(items[position]["input_ids"], batch.tokens[0])
        assert torch.equal(items[position]["labels"], batch.labels[0])
        assert torch.equal(items[position]["position_ids"], batch.positions[0])
        assert (items[position]["labels"] == -100).sum() == len(stream[position].spans)


def test_it_is_what_our_own_training_reads(run: RunDirectory) -> None:
    before = [entry.to_json() for entry in Ledger(run.ledger).rounds]
    assert [entry["stage"] for entry in before] == ["adaptation", "enhancement"]
    expected = all_of(run)
    recipe, _ = open_run(run.root, (), Path())
    train_run(recipe, plan_or_refuse(recipe, run, run.root), run)
    assert [entry.to_json() for entry in Ledger(run.ledger).rounds] == before
    assert ids(sapwood.stream(run.root)) == expected


def test_a_run_in_training_is_not_disturbed(recipe: Path) -> None:
    """Training decides its second round when it gets there; that another process has decided it too is no matter."""
    loaded, run = open_run(recipe, (), recipe.parent / "runs")
    plan = plan_or_refuse(loaded, run, recipe)
    trained = Ledger(run.ledger)
    sapwood.stream(recipe, runs=recipe.parent / "runs")
    trained.append(Ledger(run.ledger).rounds[0])
    assert len(Ledger(run.ledger).rounds) == 2
    with pytest.raises(SapwoodError, match=r"decided round 1 of .* otherwise"):
        trained.append(replace(Ledger(run.ledger).rounds[1], sequences=3))
    train_run(loaded, plan, run)
    assert Ledger(run.ledger).finished_at == SEQUENCES


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=st.integers(1, 5), workers=st.integers(1, 4), batch=st.integers(1, 7), start=st.integers(0, SEQUENCES))
def test_ranks_and_workers_share_out_every_position_once(
    run: RunDirectory, world: int, workers: int, batch: int, start: int
) -> None:
    found = []
    for rank in range(world):
        dataset = sapwood.stream(run.root, rank, world, batch_size=batch)
        dataset.seek(start)
        parts = [positions_of(dataset, number, workers) for number in range(workers)]
        turns: list[int] = []  # the DataLoader takes a batch of each worker in turn
        while any(parts):
            for part in parts:
                turns += part[:batch]
                del part[:batch]
        assert turns == list(range(start + rank, SEQUENCES, world))
        found += turns
    assert sorted(found) == list(range(start, SEQUENCES))


def positions_of(dataset: StreamDataset, number: int, workers: int) -> list[int]:
    found = []
    place = dataset._begin
    while (position := dataset._position(place, number, workers)) < dataset.decided:
        found.append(position)
        place = type(place)(place.start, place.taken + 1)
    return found


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_do_not_change_batches(run: RunDirectory, workers: int) -> None:
    dataset = sapwood.stream(run.root, batch_size=4)
    assert batches(DataLoader(dataset, batch_size=4, num_workers=workers)) == cut(all_of(run), 4)


def test_workers_that_are_started_and_not_forked_open_the_run_again(run: RunDirectory) -> None:
    dataset = sapwood.stream(run.root)
    dataset.seek(100)
    copied = pickle.dumps(dataset)
    assert len(copied) < 2000
    assert ids(pickle.loads(copied)) == all_of(run)[100:]  # noqa: S301


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (1, 3)])
def test_any_place_is_reached_again(run: RunDirectory, rank: int, world: int) -> None:
    expected = all_of(run)[rank::world]
    dataset = sapwood.stream(run.root, rank, world)
    assert ids(islice(dataset, 5)) == expected[:5]
    state = json.loads(json.dumps(dataset.state_dict()))
    assert state["position"] == 5 * world
    assert ids(dataset) == expected  # an iteration begins at the beginning until told otherwise
    again = sapwood.stream(run.root, rank, world)
    again.load_state_dict(state)
    assert again.state_dict() == state
    assert ids(again) == expected[5:]
    assert again.state_dict()["position"] == SEQUENCES
    elsewhere = sapwood.stream(run.root, 1, 2)  # ranks may be more or fewer after a restart
    elsewhere.load_state_dict(state)
    assert ids(elsewhere) == all_of(run)[5 * world + 1 :: 2]


@pytest.mark.parametrize("workers", [0, 2])
def test_stateful_data_loader(run: RunDirectory, workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader")

    def loader() -> Any:
        return stateful.StatefulDataLoader(sapwood.stream(run.root, batch_size=4), batch_size=4, num_workers=workers)

    expected = cut(all_of(run), 4)
    first = loader()
    assert batches(islice(first, 7)) == expected[:7]
    state = json.loads(json.dumps(first.state_dict())) if workers == 0 else first.state_dict()
    second = loader()
    second.load_state_dict(state)
    assert batches(second) == expected[7:]


def test_a_worker_s_state_is_for_the_same_number_of_workers(run: RunDirectory) -> None:
    dataset = sapwood.stream(run.root)
    state = dataset.state_dict() | {"taken": 3, "workers": 2}
    with pytest.raises(SapwoodError, match="one of 2 workers with batches of 1 on 1 ranks, and here are 1, 1 and 1"):
        dataset.load_state_dict(state)


@pytest.mark.parametrize(("rank", "world"), [(2, 2), (-1, 2), (0, 0), (True, 2), ("1", 2)])
def test_impossible_ranks_are_refused(run: RunDirectory, rank: Any, world: Any) -> None:
    with pytest.raises(SapwoodError, match=r"rank is|world_size is"):
        sapwood.stream(run.root, rank, world)


def test_states_that_do_not_fit_are_refused(run: RunDirectory, tiny_recipe: TinyRecipe) -> None:
    dataset = sapwood.stream(run.root)
    next(iter(dataset))
    state = dataset.state_dict()
    with pytest.raises(SapwoodError, match="not the state of a stream"):
        dataset.load_state_dict({"position": 3})
    with pytest.raises(SapwoodError, match="outside what is decided: 0 to 109"):
        dataset.seek(110)
    shutil.copytree(run.root, run.root.with_name("other"))
    (run.root.with_name("other") / "ledger.jsonl").unlink()
    recipe = tiny_recipe(name="other", seed=1)
    other = sapwood.stream(recipe, runs=run.root.parent)
    with pytest.raises(SapwoodError, match="that of another run than"):
        other.load_state_dict(state)


def test_sources_must_be_prepared(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="'web-zh' is not prepared yet: `sapwood prepare`"):
        sapwood.stream(tiny_recipe(), runs=tmp_path / "runs")
    with pytest.raises(SapwoodError, match="There is no recipe"):
        sapwood.stream(tmp_path / "runs" / "nothing")


def test_many_processes_may_open_a_run_at_once(recipe: Path) -> None:
    runs = recipe.parent / "runs"
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        found = pool.starmap(decided_and_first, [(recipe, runs, rank, 4) for rank in range(4)])
    assert {decided for decided, _ in found} == {SEQUENCES}
    assert [first for _, first in found] == all_of(RunDirectory(runs / "tiny"))[:4]
    assert len(Ledger(runs / "tiny" / "ledger.jsonl").rounds) == 2


def decided_and_first(recipe: Path, runs: Path, rank: int, world: int) -> tuple[int, tuple[int, ...]]:
    dataset = sapwood.stream(recipe, rank, world, runs=runs)
    return dataset.decided, ids(islice(dataset, 1))[0]


# Rounds that depend on losses.

MOVED = [
    {
        "name": "adaptation",
        "tokens": 5000,
        "mixture": {"zh": 8, "en": 2},
        "controller": {"kind": "perplexity-change", "over": "sources", "every": "3 steps"},
        "replay": {"groups": ["en"], "least": "10%", "most": "50%"},
    }
]


def losses(bits: float, **changed: float) -> dict[str, Measured]:
    names = ("web-zh", "book-zh", "web-en", "news-en", "zh", "en")
    return {
        name: Measured(
            bits_per_byte=changed.get(name.replace("-", "_"), bits),
            standard_error=0.001,
            nats_per_token=changed.get(name.replace("-", "_"), bits),
        )
        for name in names
    }


@pytest.fixture
def moved(recipe: Path) -> Path:
    written = json.loads(recipe.read_text())
    written["stages"] = MOVED
    recipe.write_text(json.dumps(written))
    return recipe


def test_rounds_are_decided_by_what_is_reported(moved: Path) -> None:
    runs = moved.parent / "runs"
    one, two = (sapwood.stream(moved, rank, 2, runs=runs) for rank in range(2))
    assert one.decided == 0
    assert list(one) == []
    with pytest.raises(SapwoodError, match=r"depends on losses, and none were given.*of the base model"):
        one.report({})
    assert one.report(losses(2.0))
    assert two.report(losses(9.0))  # too late: the other rank has decided
    assert one.decided == two.decided == 24
    seen = [*one, *two]
    with pytest.raises(SapwoodError, match="looks at the losses of 'en', 'news-en', and none was given"):
        one.report({"web-zh": losses(2.0)["web-zh"]})
    while one.report(losses(1.9, web_zh=1.5, web_en=2.2, en=2.2)):
        assert two.report(losses(1.9))
        seen += [*one, *two]
    assert not two.report({})
    assert one.finished
    assert len(seen) == one.decided == 5000 // 64
    rounds = Ledger(one.run.run.ledger).rounds
    assert len(rounds) == 4
    assert rounds[0].losses == losses(2.0)
    change = rounds[1].losses["web-zh"].since_last
    assert change is not None
    assert (change.value, change.standard_error) == (pytest.approx(0.5), pytest.approx(0.001 * np.sqrt(2)))
    assert rounds[1].mixture.totals(0)["en"] > rounds[0].mixture.totals(0)["en"]
    again = sapwood.stream(runs / "tiny")
    assert sorted(ids(again)) == sorted(ids(seen))


# The Trainer of Hugging Face.


class Watched(Trainer):
    """Keeps the tokens of every forward pass."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.seen: Tokens = []

    def compute_loss(self, model: Any, inputs: dict[str, torch.Tensor], *arguments: Any, **named: Any) -> Any:
        assert set(inputs) == {"input_ids", "labels", "position_ids"}
        self.seen += [tuple(row) for row in inputs["input_ids"].tolist()]
        return super().compute_loss(model, inputs, *arguments, **named)


PER_STEP = 2 * 3


def trainer(run: RunDirectory, backbone: Path, output: Path, dataset: StreamDataset, **changed: Any) -> Watched:
    arguments = TrainingArguments(
        output_dir=str(output),
        **{
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 3,
            "max_steps": 4,
            "learning_rate": 1e-3,
            "lr_scheduler_type": "constant",
            "max_grad_norm": 1.0,
            "save_steps": 2,
            "logging_steps": 1,
            "ignore_data_skip": True,
            "accelerator_config": {"dispatch_batches": False},
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
            **changed,
        },
    )
    return Watched(AutoModelForCausalLM.from_pretrained(backbone), arguments, train_dataset=dataset)


def test_the_trainer_consumes_the_stream_and_resumes(run: RunDirectory, tiny_backbone: Path, tmp_path: Path) -> None:
    expected = all_of(run)
    whole = trainer(run, tiny_backbone, tmp_path / "whole", sapwood.stream(run.root))
    whole.train()
    assert whole.seen == expected[: 4 * PER_STEP]
    checkpoint = tmp_path / "whole" / "checkpoint-2"
    done = TrainerState.load_from_json(str(checkpoint / "trainer_state.json")).global_step
    dataset = sapwood.stream(run.root)
    dataset.seek(done * PER_STEP)
    resumed = trainer(run, tiny_backbone, tmp_path / "resumed", dataset)
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert resumed.seen == expected[2 * PER_STEP : 4 * PER_STEP]  # not one more was read to get there
    one, two = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_trainer_s_loss_is_ours(run: RunDirectory, tiny_backbone: Path, tmp_path: Path) -> None:
    """Documents do not see each other there either, and a step divides by the tokens that are predicted."""
    model = AutoModelForCausalLM.from_pretrained(tiny_backbone)
    stream = sapwood.stream(run.root).run.stream
    batch = make_batch([stream[position] for position in range(PER_STEP)], isolate_documents=True)
    expected = float(next_token_losses(model, batch, None)[0].detach()) / sum(batch.predicted)
    watched = trainer(run, tiny_backbone, tmp_path, sapwood.stream(run.root), max_steps=1, save_strategy="no")
    watched.train()
    assert watched.state.log_history[0]["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_trainer_stops_where_the_stream_ends(
    run: RunDirectory, tiny_backbone: Path, tmp_path: Path, workers: int
) -> None:
    dataset = sapwood.stream(run.root, batch_size=2)
    dataset.seek(100)
    watched = trainer(
        run, tiny_backbone, tmp_path, dataset, max_steps=50, save_strategy="no", dataloader_num_workers=workers
    )
    watched.train()
    assert watched.seen == all_of(run)[100:]
    assert watched.state.global_step == 1  # of 9 sequences; the Trainer makes no step of the 3 that are left


def test_losses_may_be_measured_with_our_evaluator(moved: Path, tiny_backbone: Path) -> None:
    """As `docs/other-trainers.md` shows it."""
    dataset = sapwood.stream(moved, runs=moved.parent / "runs")
    recipe, run = dataset.run.recipe, dataset.run.run
    model = AutoModelForCausalLM.from_pretrained(tiny_backbone)
    evaluator = HeldOutEvaluator.open(recipe, stores_of(run, recipe), tiny_backbone, autocast=None)
    base = last = None
    for round_ in range(2):
        now = evaluator.measure(model, label=f"round {round_}", model_fingerprint="", tokens=dataset.decided * 64)
        base = base or now
        assert dataset.report(between(recipe, now, last, base))
        last = now
    change = dataset.run.ledger.rounds[1].losses["web-zh"].since_last
    assert change is not None
    assert (change.value, change.standard_error) == (0, 0)  # paired, and the model is the same
