"""What trackers are given, and that they neither stop a run nor hold it up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sapwood.errors import SapwoodError
from sapwood.mixture.measured import Measured, improvement
from sapwood.recipe import Recipe, load_recipe
from sapwood.runs.directory import RunDirectory
from sapwood.training import track, trackers
from sapwood.training.track import measured_values, open_trackers, step_values
from sapwood.training.trackers import Opening

RECORD = {
    "step": 7,
    "position": 56,
    "tokens": 3584,
    "stage": "adaptation",
    "loss": 2.5,
    "losses": {"web-zh/science": 3.0, "web-en": 2.0},
    "learning_rate": 1e-4,
    "gradient_norm": 0.7,
    "tokens_per_second": 800.0,
    "utilisation": 0.4,
    "data_wait": 0.01,
    "seconds": 30.0,
    "memory_bytes": 2**30,
    "skipped": False,
    "digest": "00",
}


def test_names_of_a_step() -> None:
    assert step_values(RECORD) == {
        "train/loss": 2.5,
        "train/loss/web-zh/science": 3.0,
        "train/loss/web-en": 2.0,
        "train/learning_rate": 1e-4,
        "train/gradient_norm": 0.7,
        "train/tokens": 3584.0,
        "train/tokens_per_second": 800.0,
        "train/mfu": 0.4,
        "train/data_wait": 0.01,
        "train/memory_bytes": float(2**30),
        "train/skipped": 0.0,
    }


def test_only_what_may_be_unknown_may_be_missing() -> None:
    assert "train/mfu" not in step_values({**RECORD, "utilisation": None})
    with pytest.raises(KeyError, match="loss"):
        step_values({name: value for name, value in RECORD.items() if name != "loss"})


def test_names_of_what_was_measured() -> None:
    first = Measured(bits_per_byte=0.9, standard_error=0.01, nats_per_token=2.0)
    later = Measured(bits_per_byte=0.8, standard_error=0.01, nats_per_token=1.8, since_base=improvement(0.1, 0.002))
    values = {"eval/en": 0.9, "eval/zh": 0.8, "eval/zh/improvement": 0.1}
    assert measured_values({"en": first, "zh": later}) == values


@dataclass
class Service:
    """A tracker's server: what it holds, and how it behaves."""

    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    openings: list[Opening] = field(default_factory=list)
    closed: list[bool] = field(default_factory=list)
    id: str = "run-1"
    opens: threading.Event = field(default_factory=threading.Event)
    """Whether `open_backend` returns."""
    answers: threading.Event = field(default_factory=threading.Event)
    """Whether `log` returns."""
    opening: str = ""
    """The error with which it refuses to open."""
    logging: str = ""
    """The error with which it refuses rows."""

    def open_backend(self, kind: str, opening: Opening) -> Service:
        self.openings.append(opening)
        self.opens.wait(60)
        if self.opening:
            raise OSError(self.opening)
        return self

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.answers.wait(60)
        if self.logging:
            raise OSError(self.logging)
        self.rows.append((step, dict(values)))

    def close(self, failed: bool) -> None:
        self.closed.append(failed)

    @property
    def steps(self) -> list[int]:
        return [step for step, _ in self.rows]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    found = Service()
    found.opens.set()
    found.answers.set()
    monkeypatch.setattr(track, "require_package", lambda kind: None)
    monkeypatch.setattr(track, "open_backend", found.open_backend)
    yield found
    found.answers.set()  # for a thread that still waits


@pytest.fixture
def recipe(tiny_recipe: Callable[..., Path]) -> Recipe:
    return load_recipe(tiny_recipe(), ["training.trackers=[wandb]"])


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "runs" / "tiny")


def test_a_run_that_goes_on_logs_no_step_twice(service: Service, recipe: Recipe, run: RunDirectory) -> None:
    with open_trackers(recipe, run, 0) as trackers:
        for step in range(1, 6):
            trackers.log(step, {"train/loss": float(step)})
        trackers.log(5, {"eval/en": 0.9})
    with open_trackers(recipe, run, 3) as trackers:  # as if it had been killed after step 5
        trackers.log(3, {"eval/en": 0.8})  # measured now: the process was killed before it could be
        for step in range(4, 8):
            trackers.log(step, {"train/loss": -1.0})
        trackers.log(7, {"eval/en": 0.7})
    assert service.steps == [1, 2, 3, 4, 5, 5, 3, 6, 7, 7]
    assert [opening.known for opening in service.openings] == [None, "run-1"]
    assert service.closed == [False, False]


def test_a_run_that_went_back_logs_no_step_twice(service: Service, recipe: Recipe, run: RunDirectory) -> None:
    with open_trackers(recipe, run, 0) as trackers:
        for step in (1, 2, 3, 4):
            trackers.log(step, {})
        trackers.rewind(2)
        for step in (3, 4, 5):
            trackers.log(step, {})
    assert service.steps == [1, 2, 3, 4, 5]


def test_another_run_in_the_tracker_is_given_every_step(service: Service, recipe: Recipe, run: RunDirectory) -> None:
    with open_trackers(recipe, run, 0) as trackers:
        trackers.log(1, {})
    service.id = "run-2"  # the first is not there any more
    with open_trackers(recipe, run, 0) as trackers:
        trackers.log(1, {})
    assert service.steps == [1, 1]


def test_the_recipe_is_the_configuration(service: Service, run: RunDirectory, tiny_recipe: Callable[..., Path]) -> None:
    sources = {name: {"files": f"{name}.jsonl"} for name in ("web-zh", "book-zh", "web-en")}
    sources["news-en"] = {"files": "https://me:hunter2@example.org/news.jsonl"}
    recipe = load_recipe(tiny_recipe(sources=sources), ["training.trackers=[wandb]"])
    with open_trackers(recipe, run, 0):
        pass
    (opening,) = service.openings
    assert opening.name == "tiny"
    assert opening.config["training"]["batch_tokens"] == "512"
    assert opening.config["sources"]["news-en"]["files"] == ["https://***@example.org/news.jsonl"]


def test_a_tracker_that_fails_is_told_once_and_stops_nothing(
    service: Service,
    recipe: Recipe,
    run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TRACKER_API_KEY", "0123456789abcdef")
    service.logging = "403 for key 0123456789abcdef"
    with open_trackers(recipe, run, 0) as trackers:
        trackers.log(1, {})
        trackers.log(2, {})
    assert capsys.readouterr().err == "The tracker 'wandb' fails, and training goes on: 403 for key ***\n"
    assert service.rows == []


def test_a_tracker_that_hangs_holds_nothing_up(
    service: Service,
    recipe: Recipe,
    run: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(track, "CLOSING_SECONDS", 0.1)
    monkeypatch.setattr(track, "WAITING", 10)
    service.answers.clear()
    with open_trackers(recipe, run, 0) as trackers:
        for step in range(1, 31):
            trackers.log(step, {})
    (line,) = capsys.readouterr().err.splitlines()
    assert "is 10 steps behind" in line
    assert service.rows == []


def test_a_run_does_not_begin_when_a_tracker_does_not_open(service: Service, recipe: Recipe, run: RunDirectory) -> None:
    service.opening = "no API key"
    with (
        pytest.raises(SapwoodError, match="The tracker 'wandb' does not open: no API key"),
        open_trackers(recipe, run, 0),
    ):
        pass


def test_a_run_goes_on_when_a_tracker_does_not_open(
    service: Service, recipe: Recipe, run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    service.opening = "no route to host"
    with open_trackers(recipe, run, 3) as trackers:
        trackers.log(4, {})
        trackers.log(5, {})
    said = capsys.readouterr().err
    assert said == "The tracker 'wandb' does not open, and training goes on without it: no route to host\n"


def test_a_tracker_that_opens_late_is_given_everything(
    service: Service, recipe: Recipe, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track, "OPENING_SECONDS", 0.01)
    service.opens.clear()
    with open_trackers(recipe, run, 0) as trackers:
        trackers.log(1, {})
        assert service.rows == []
        service.opens.set()
        trackers.log(2, {})
    assert service.steps == [1, 2]


def test_a_run_that_fails_is_closed_as_failed(service: Service, recipe: Recipe, run: RunDirectory) -> None:
    with pytest.raises(ZeroDivisionError), open_trackers(recipe, run, 0):
        raise ZeroDivisionError
    assert service.closed == [True]


def test_a_missing_package_is_named(recipe: Recipe, run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'wandb'", name="wandb")

    monkeypatch.setattr(trackers, "import_module", missing)
    with pytest.raises(SapwoodError, match=r"pip install sapwood\[wandb\]"):
        open_trackers(recipe, run, 0)
