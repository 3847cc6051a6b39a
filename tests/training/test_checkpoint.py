"""What is saved is what is read, whole or not at all, on any number of ranks."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from rank_processes import save_steps
from sapwood.device.ranks import Ranks
from sapwood.errors import SapwoodError
from sapwood.files import remove_leftovers
from sapwood.mixture.decided import open_run
from sapwood.recipe import Recipe
from sapwood.runs.directory import RunDirectory
from sapwood.training import saving
from sapwood.training.checkpoint import STATE, CheckpointTensors, State, checkpoints, read_state, verify
from sapwood.training.engine import Engine
from sapwood.training.mirror import Mirror
from sapwood.training.saving import Saver, kept

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]


@pytest.fixture
def opened(tiny_recipe: TinyRecipe) -> tuple[Recipe, RunDirectory]:
    path = tiny_recipe()
    return open_run(path, (), path.parent / "runs")


def with_checkpoints(recipe: Recipe, **settings: object) -> Recipe:
    """The recipe with other settings of its checkpoints."""
    record = recipe.model_dump(mode="json")
    record["training"]["checkpoints"] |= settings
    return Recipe.model_validate(record)


def save(recipe: Recipe, run: RunDirectory, *states: State) -> None:
    saver = Saver(recipe, run, Ranks.join())
    for state in states:
        saver.save(state, {"weight": torch.full((3, 2), float(state.step)), "optimizer/weight/step": torch.ones(1)})
    saver.finish()


def names(run: RunDirectory) -> list[str]:
    return [path.name for path in checkpoints(run.checkpoints)]


def at(step: int) -> State:
    return State(step, step * 8, step * 512, float(step), 1e-3)


def test_what_was_saved_is_read(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    save(recipe, run, at(3))
    path = run.checkpoints / "step-00000003"
    assert read_state(path) == at(3)
    tensors = CheckpointTensors(path)
    assert set(tensors) == {"weight", "optimizer/weight/step"}
    assert list(tensors.weights) == ["weight"]
    assert torch.equal(tensors["weight"], torch.full((3, 2), 3.0))
    assert tensors.empty("weight").shape == (3, 2)


def test_the_newest_are_kept(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    save(recipe, run, at(1), at(2), at(10))
    assert names(run) == ["step-00000002", "step-00000010"]


def test_landmarks_and_the_best_are_kept_too(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    recipe = with_checkpoints(recipe, keep=1, keep_every="4 steps")  # 2,048 tokens
    save(recipe, run, *map(at, range(1, 11)))
    assert names(run) == ["step-00000004", "step-00000008", "step-00000010"]


def test_the_best_by_held_out_loss_are_kept(
    opened: tuple[Recipe, RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, run = opened
    recipe = with_checkpoints(recipe, keep=1, best={"by": "zh"})
    losses = {1: (2.0, 2.0), 2: (1.0, 2.5), 3: (1.9, 2.2)}
    for step in losses:
        (run.evaluation / f"step-{step:08d}.json").parent.mkdir(parents=True, exist_ok=True)
        (run.evaluation / f"step-{step:08d}.json").touch()

    class Score:
        def __init__(self, value: float) -> None:
            self.bits_per_byte = type("Estimate", (), {"value": value})

    def read(path: Path) -> object:
        web, book = losses[int(path.stem[-8:])]
        return type("Evaluation", (), {"domains": {"web-zh": Score(web), "book-zh": Score(book)}})

    monkeypatch.setattr(saving, "read_evaluation", read)
    paths = []
    for step in (1, 2, 3, 4):
        path = run.checkpoints / f"step-{step:08d}"
        path.mkdir(parents=True)
        (path / STATE).write_text(json.dumps({"tokens": step}))
        paths.append(path)
    assert {path.name for path in kept(recipe, run, paths)} == {"step-00000002", "step-00000004"}


def test_half_a_checkpoint_is_none(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    save(recipe, run, at(1))
    half = run.checkpoints / ".step-00000002.tmp"
    half.mkdir()
    (half / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"half")
    assert names(run) == ["step-00000001"]
    save(recipe, run, at(2))
    remove_leftovers(run.checkpoints)
    assert not list(run.checkpoints.glob(".*"))
    assert names(run) == ["step-00000001", "step-00000002"]


def test_damage_is_noticed(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    save(recipe, run, at(1))
    path = next((run.checkpoints / "step-00000001").glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(SapwoodError, match="checksum"):
        CheckpointTensors(run.checkpoints / "step-00000001")
    path.unlink()
    with pytest.raises(SapwoodError, match="is missing"):
        verify(run.checkpoints / "step-00000001")


def test_nothing_in_it_is_pickle(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    save(recipe, run, at(1))
    files = sorted(path.name for path in (run.checkpoints / "step-00000001").iterdir())
    assert files == ["shard-00001-model-00001-of-00001.safetensors", STATE]


def test_a_full_disk_costs_a_checkpoint_and_no_more(
    opened: tuple[Recipe, RunDirectory], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = opened
    whole = saving.save

    def full(*arguments: object, **others: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    saver = Saver(recipe, run, Ranks.join())
    saver.save(at(1), {"weight": torch.ones(2)})
    monkeypatch.setattr(saving, "save", full)
    saver.save(at(2), {"weight": torch.ones(2)})
    monkeypatch.setattr(saving, "save", whole)
    saver.save(at(3), {"weight": torch.ones(2)})
    saver.finish()
    assert names(run) == ["step-00000001", "step-00000003"]
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.setattr(saving, "save", full)
    saver.save(at(4), {"weight": torch.ones(2)})
    with pytest.raises(SapwoodError, match=r"step 4 was not saved in .*step-00000004: .*No space left"):
        saver.finish()
    assert names(run) == ["step-00000001", "step-00000003"]
    assert not list(run.checkpoints.glob(".*"))


def test_what_changes_after_saving_has_begun_is_not_saved(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    saver = Saver(with_checkpoints(recipe, asynchronous="yes"), run, Ranks.join())
    weight = torch.ones(1000, 1000)
    saver.save(at(1), {"weight": weight})
    weight.zero_()
    saver.finish()
    assert CheckpointTensors(run.checkpoints / "step-00000001")["weight"].all()


def test_a_mirror_has_what_is_kept_and_gives_it_back(opened: tuple[Recipe, RunDirectory], tmp_path: Path) -> None:
    recipe, run = opened
    run.ledger.parent.mkdir(parents=True, exist_ok=True)
    run.ledger.write_text('{"event": "begin", "identity": {}}\n')
    measured = [Path("evaluation/base.json"), Path("evaluation/suites/small/base/gsm8k/items.jsonl")]
    for file in measured:
        (run.root / file).parent.mkdir(parents=True, exist_ok=True)
        (run.root / file).write_text("measured")
    address = "memory://bucket/runs"
    save(with_checkpoints(recipe, mirror=address), run, at(1), at(2), at(3))
    import fsspec

    files, root = fsspec.url_to_fs(f"{address}/{run.root.name}")
    there = sorted(Path(path).name for path in files.ls(f"{root}/checkpoints", detail=False))
    assert there == ["step-00000002", "step-00000003"]
    elsewhere = RunDirectory(tmp_path / "elsewhere" / run.root.name)
    Mirror(address, elsewhere).fetch()
    assert names(elsewhere) == ["step-00000003"]
    assert torch.equal(CheckpointTensors(elsewhere.checkpoints / "step-00000003")["weight"], torch.full((3, 2), 3.0))
    assert elsewhere.ledger.read_text() == run.ledger.read_text()
    assert all((elsewhere.root / file).read_text() == "measured" for file in measured)


def test_a_mirror_that_fails_stops_nothing(
    opened: tuple[Recipe, RunDirectory], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run = opened
    (tmp_path / "file").touch()
    save(with_checkpoints(recipe, mirror=str(tmp_path / "file")), run, at(1))
    assert names(run) == ["step-00000001"]
    assert "is not complete" in capsys.readouterr().err


def test_any_number_of_ranks_reads_what_any_number_has_written(tiny_recipe: TinyRecipe, tmp_path: Path) -> None:
    path = tiny_recipe()
    found = {}
    for sequence in ((1, 1, 1), (2, 4, 1)):
        run = RunDirectory(tmp_path / "-".join(map(str, sequence)))
        for ranks in sequence:
            save_steps(path, run.root, ranks)
        found[sequence] = dict(CheckpointTensors(run.checkpoints / "step-00000003"))
    one, other = found.values()
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], msg=name)
    with safe_open(next((tmp_path / "2-4-1" / "checkpoints" / "step-00000002").glob("shard-00003-*")), "pt") as file:
        assert list(file.keys())


def test_training_goes_on_to_the_bit(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    ranks = Ranks.join()
    engines = [Engine(recipe, Path(recipe.model), ["web-zh"], ranks) for _ in range(2)]

    def learn(engine: Engine, seed: int) -> None:
        for parameter in engine.model.parameters():
            torch.manual_seed(seed)
            parameter.grad = torch.randn_like(parameter)
        for group in engine._optimizer.param_groups:
            group["lr"] = 1e-2
        engine._optimizer.step()

    learn(engines[0], 1)
    saver = Saver(recipe, run, ranks)
    saver.save(at(1), engines[0].tensors())
    saver.finish()
    assert engines[1].load_latest(run.checkpoints) == at(1)
    for engine in engines:
        learn(engine, 2)
    one, other = (engine.tensors() for engine in engines)
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(
            one[name].full_tensor() if hasattr(one[name], "full_tensor") else one[name],
            other[name].full_tensor() if hasattr(other[name], "full_tensor") else other[name],
        ), name


def test_nothing_is_a_fresh_start(opened: tuple[Recipe, RunDirectory]) -> None:
    recipe, run = opened
    engine = Engine(recipe, Path(recipe.model), ["web-zh"], Ranks.join())
    assert engine.load_latest(run.checkpoints) is None
