"""Suites that are put to the live model: where, at what price for the training, and what is left of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rank_processes import ends, start
from sapwood.cli.plan import plan
from sapwood.errors import SapwoodError
from sapwood.evaluation.run_comparison import compare_run
from sapwood.files import read_lines
from sapwood.mixture.decided import open_run, plan_or_refuse
from sapwood.pipeline.prepare import prepare_run
from sapwood.pipeline.train import train_run
from sapwood.runs.directory import RunDirectory
from sapwood.runs.metrics import read_metrics
from sapwood.suites import suite
from sapwood.suites.item_result import TaskResult, read_task_result
from sapwood.training import log
from sapwood.training.engine import Engine
from sapwood.training.guard import Watch
from sapwood.training.loader import StepInput
from sapwood.training.saving import Saver
from sapwood.training.track import Trackers
from small_runs import prepare_and_train

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]
Written = Callable[..., Path]

SUITE = {"name": "small-exam", "tasks": {"exam.yaml": None, "sums.yaml": None}}
EXAM = {
    "name": "exam",
    "kind": "choice",
    "language": "en",
    "files": "exam.jsonl",
    "options": "options",
    "answer": "answer",
    "cloze": "{{ question }}",
    "metric": "cloze",
}
SUMS = {
    "name": "sums",
    "kind": "generate",
    "language": "en",
    "files": "sums.jsonl",
    "answer": "answer",
    "prompt": "{{ question }}",
    "take": ["number"],
    "equal": "number",
    "max_tokens": 4,
}
WORDS = ["ring", "heart", "wood", "year", "living", "old"]
CHOICES = [
    {"question": f"the tree adds a {word} of", "options": WORDS[number:] + WORDS[:number], "answer": number}
    for number, word in enumerate(WORDS)
]
PROBLEMS = [{"question": f"{number} + {number}", "answer": str(2 * number)} for number in range(3)]
STEPS = 14
"""Of the whole run: ten of the first stage, the last of them short, and four of the second."""


@pytest.fixture
def examined(tiny_recipe: TinyRecipe, tmp_path: Path) -> Written:
    """Writes a recipe with a suite of a choice and of texts that is put to the live model `every` so often."""

    def write(every: str | None = "3 steps", **fields: object) -> Path:
        (tmp_path / "items").mkdir(exist_ok=True)
        for name, content in (("suite", SUITE), ("exam", EXAM), ("sums", SUMS)):
            (tmp_path / f"{name}.yaml").write_text(json.dumps(content))
        for name, rows in (("exam", CHOICES), ("sums", PROBLEMS)):
            (tmp_path / "items" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        evaluation = {
            "gain": {"domains": ["zh"]},
            "retention": {"domains": ["en", "news-en"]},
            "suites": ["suite.yaml"],
            "items": "items",
            "during": every and {"suites": ["suite.yaml"], "every": every},
        }
        return tiny_recipe(evaluation=evaluation, **fields)

    return write


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that are put to a model, in order."""
    whole, tasks = suite.run_task, []

    def run_task(evaluator: object, task: object, *others: object) -> TaskResult:
        tasks.append(task.name)  # type: ignore[attr-defined]
        return whole(evaluator, task, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(suite, "run_task", run_task)
    return tasks


def measured(run: RunDirectory) -> list[int]:
    """The steps after which the suite was put."""
    return sorted(int(path.name.removeprefix("step-")) for path in run.suites.glob("small-exam/step-*"))


def result(run: RunDirectory, step: int, task: str = "exam") -> TaskResult:
    return read_task_result(run.suite("small-exam", f"step-{step:08d}") / task)


def bits(run: RunDirectory, step: int) -> list[float | None]:
    return [item.bits for item in result(run, step).items]


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def trained(run: RunDirectory) -> list[dict]:
    """What the log says of the training itself."""
    varying = ("time", "seconds", "tokens_per_second", "data_wait", "memory_bytes")
    return [{key: value for key, value in line.items() if key not in varying} for line in read_lines(run.metrics)]


def test_training_is_the_same_to_the_bit(examined: Written) -> None:
    """And the suites are put where the first stretches of tokens end, but not to the last state."""
    quiet = prepare_and_train(examined(None, name="quiet"))
    run = prepare_and_train(examined("1500"))
    # 512 tokens a step; the tenth, which ends a stage, has 384.
    tokens = {line.step: line.tokens for line in read_metrics(run.metrics)}
    expected = [step for step in range(1, STEPS) if tokens.get(step - 1, 0) // 1500 < tokens[step] // 1500]
    assert measured(run) == expected == [3, 6, 9, 12]
    assert measured(quiet) == []
    assert trained(run) == trained(quiet)
    one, other = weights(run), weights(quiet)
    assert all(torch.equal(one[name], other[name]) for name in one | other)


def test_the_live_model_is_the_one_that_is_asked(examined: Written) -> None:
    """Every state answers as it does when it is loaded from its checkpoint, and otherwise than the one before."""
    from sapwood.pipeline.evaluate import evaluate_checkpoint

    path = examined("4 steps", training={"batch_tokens": 512, "precision": "fp32", "learning_rate": 3e-3})
    run = prepare_and_train(path, ("training.checkpoints.keep=9",))
    live = {step: bits(run, step) for step in measured(run)}
    assert list(live) == [4, 8, 13]
    assert live[4] != live[8] != live[13]
    for step in live:
        evaluate_checkpoint(open_run(path, (), path.parent / "runs")[0], run, f"step-{step:08d}")
        assert bits(run, step) == pytest.approx(live[step], rel=1e-5)


def test_results_are_compared_and_logged(examined: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    from sapwood.pipeline.evaluate import evaluate_base

    logged: dict[int, dict[str, float]] = {}
    monkeypatch.setattr(Trackers, "log", lambda _, step, values: logged.setdefault(step, {}).update(values))
    path = examined("6 steps")
    run = prepare_and_train(path)
    recipe, _ = open_run(path, (), path.parent / "runs")
    evaluate_base(recipe, run)
    assert [comparison.model for comparison in compare_run(recipe, run)] == ["step-00000006", "step-00000013"]
    for step in (6, 13):
        values = {f"suites/small-exam/{task}": result(run, step, task).value for task in ("exam", "sums")}
        assert {name: value for name, value in logged[step].items() if name.startswith("suites/")} == values
        assert logged[step]["train/tokens"] > 0


class Killed(BaseException):
    """Stands for `kill -9`."""


def test_a_suite_that_was_cut_short_goes_on_where_it_was(
    examined: Written, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state was saved before, and finished tasks are not put again; nor are those of states before."""
    path = examined("4 steps")
    whole = TaskResult.write

    def write(task: TaskResult, directory: Path) -> None:
        if task.task == "sums" and directory.parent.name == "step-00000008":
            raise Killed
        whole(task, directory)

    monkeypatch.setattr(TaskResult, "write", write)
    with pytest.raises(Killed):
        prepare_and_train(path)
    run = RunDirectory(path.parent / "runs" / "tiny")
    assert asked == ["exam", "sums", "exam", "sums"]
    assert (run.checkpoints / "step-00000008" / "state.json").exists()
    monkeypatch.setattr(TaskResult, "write", whole)
    prepare_and_train(path)
    assert asked == ["exam", "sums", "exam", "sums", "sums", "exam", "sums"]
    assert measured(run) == [4, 8, 13]


def test_ctrl_c_while_a_suite_is_put(examined: Written, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is put to its end, no further step is done, and the run goes on from there."""
    path = examined("6 steps")
    whole = TaskResult.write

    def write(task: TaskResult, directory: Path) -> None:
        if task.task == "exam":
            os.kill(os.getpid(), signal.SIGINT)
        whole(task, directory)

    monkeypatch.setattr(TaskResult, "write", write)
    prepare_and_train(path)
    run = RunDirectory(path.parent / "runs" / "tiny")
    assert asked == ["exam", "sums"]
    assert len(read_lines(run.metrics)) == 6
    assert not run.model.exists()
    monkeypatch.setattr(TaskResult, "write", whole)
    prepare_and_train(path)
    assert asked == ["exam", "sums", "exam", "sums"]
    assert measured(run) == [6, 13]


def test_steps_that_are_taken_back_leave_no_results(
    examined: Written, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad step is found before the model is asked; what later states answered goes when the run goes back."""
    step_of, current = Engine.step, [0]

    def step(engine: Engine, inputs: StepInput, *others: object) -> torch.Tensor:
        current[:] = [inputs.positions.start]
        return step_of(engine, inputs, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "step", step)
    monkeypatch.setattr(Watch, "judge", lambda *_: torch.tensor(float(current[0] == 40)))
    monkeypatch.setattr(log, "READING", 1e9)  # the log is read where it must be
    save = Saver.save  # the state after step 4 cannot be saved at first, so the run goes back further than it was asked
    failures = [4]

    def full(saver: Saver, state: object, tensors: dict[str, torch.Tensor]) -> None:
        if state.step in failures:  # type: ignore[attr-defined]
            failures.remove(state.step)  # type: ignore[attr-defined]
        else:
            save(saver, state, tensors)  # type: ignore[arg-type]

    monkeypatch.setattr(Saver, "save", full)
    run = prepare_and_train(examined("2 steps"), ("training.guard.action=roll-back", "training.checkpoints.every=1h"))
    # After steps 2 and 4; and, since it goes back from step 6 to step 2, after 4 again, and the others.
    assert asked == ["exam", "sums"] * 7
    assert measured(run) == [2, 4, 6, 8, 11, 13]
    assert bits(run, 4) != bits(run, 6) != bits(run, 8)


def test_results_of_a_run_that_begins_anew_are_gone(examined: Written) -> None:
    path = examined("6 steps")
    run = prepare_and_train(path)
    before = bits(run, 6)
    for place in (run.checkpoints, run.model):
        shutil.rmtree(place)
    for file in (run.ledger, run.metrics):
        file.unlink()
    prepare_and_train(path, ("training.learning_rate.peak=1e-5", "evaluation.during.every=7 steps"))
    assert measured(run) == [7]
    assert bits(run, 7) != before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda path: (path.parent / "items" / "exam.jsonl").unlink(), r"Task 'exam' needs exam\.jsonl"),
        (lambda path: (path.parent / "suite.yaml").unlink(), r"There is no suite .*suite\.yaml"),
        (lambda path: (path.parent / "items" / "sums.jsonl").write_text('{"question": "1 + 1"}'), "Task 'sums', item"),
    ],
)
def test_what_cannot_be_asked_is_refused_before(
    examined: Written, change: Callable[[Path], object], expected: str
) -> None:
    path = examined()
    recipe, run = open_run(path, (), path.parent / "runs")
    prepare_run(recipe, run)
    change(path)
    with pytest.raises(SapwoodError, match=expected):
        plan(path, runs=path.parent / "runs")
    with pytest.raises(SapwoodError, match=expected):
        train_run(recipe, plan_or_refuse(recipe, run, path), run)
    assert not run.ledger.exists()


def test_the_plan_says_how_often(examined: Written, capsys: pytest.CaptureFixture[str]) -> None:
    plan(examined("1500"), runs=Path("absent"))
    assert "Suites during training: suite, about 4 times, every 1.5K" in capsys.readouterr().out


def test_two_ranks_find_what_one_finds(examined: Written) -> None:
    alone = prepare_and_train(examined("4 steps", name="alone"))
    path = examined("4 steps", name="two")
    recipe, run = open_run(path, (), path.parent / "runs")
    prepare_run(recipe, run)
    assert ends(start(path, 2))
    assert measured(run) == measured(alone) == [4, 8, 13]
    for step in measured(run):
        assert bits(run, step) == pytest.approx(bits(alone, step), rel=1e-4)
        for task in ("exam", "sums"):
            one, other = result(alone, step, task), result(run, step, task)
            assert [(item.id, item.prompt) for item in one.items] == [(item.id, item.prompt) for item in other.items]
            assert one.scores == pytest.approx(other.scores)
