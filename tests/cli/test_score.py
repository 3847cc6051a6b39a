"""`sapwood score` between two runs of `sapwood prepare`, with several processes as torchrun would start them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rank_processes import ends, run_verb, started
from sapwood.cli.main import main
from sapwood.corpus.perplexity import Scorer
from sapwood.corpus.store import SourceStore

pytestmark = pytest.mark.slow

TinyRecipe = Callable[..., Path]
PERPLEXITY = {"tokens": 32, "sources": ["zh", "web-en"], "trim": {"head": "5%", "tail": "5%"}}


def sapwood(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Runs a verb in this process and gives its exit status."""
    monkeypatch.setattr("sys.argv", ["sapwood", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(str(ended.value))


def test_two_processes_score_what_prepare_then_finds(
    tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = {"language": None, "duplicates": {"near": False}, "perplexity": PERPLEXITY}
    recipe, runs = tiny_recipe(corpus=corpus), tmp_path / "runs"
    assert sapwood(monkeypatch, "score", recipe, "--runs", runs) == 1  # nothing is prepared yet
    assert sapwood(monkeypatch, "prepare", recipe, "--runs", runs, "--unscored") == 0
    said = [tmp_path / f"said-{rank}.txt" for rank in range(2)]
    command = ("score", str(recipe), "--runs", str(runs))
    places = [{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"} for rank in range(2)]
    assert ends(started(run_verb, [(command, said[rank], place) for rank, place in enumerate(places)]))
    assert "goes on from here" in said[0].read_text()
    assert "perplexity" not in said[1].read_text()
    monkeypatch.setattr(Scorer, "score", None)
    assert sapwood(monkeypatch, "prepare", recipe, "--runs", runs) == 0
    for name, documents in (("web-zh", 60), ("book-zh", 30), ("web-en", 80)):
        store = SourceStore(runs / "tiny" / "corpus" / name)
        assert store.manifest("perplexity").counts["documents"] == documents
        assert store.manifest("trim").reasons == {
            "perplexity among the lowest 5% of its source": documents // 20,
            "perplexity among the highest 5% of its source": documents // 20,
        }
    assert not SourceStore(runs / "tiny" / "corpus" / "news-en").has("perplexity")


def test_a_recipe_that_scores_nothing_is_refused(
    tiny_recipe: TinyRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sapwood(monkeypatch, "score", tiny_recipe(), "--runs", tmp_path) == 1
    assert "Write `perplexity: {}` under `corpus:`" in " ".join(capsys.readouterr().err.split())
