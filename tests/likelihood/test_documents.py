from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sapwood.backbone.tokenizer import Delimiters
from sapwood.likelihood.documents import DocumentModel
from sapwood.likelihood.score import document_windows, score

PLAIN, BEGUN = Delimiters((), 0, (0,)), Delimiters((1,), 0, (1,))
LENGTHS = [40, 3, 0, 17, 90, 1, 40, 255, 256, 31]


@pytest.fixture(scope="module")
def reader(tiny_backbone: Path) -> DocumentModel:
    return replace(DocumentModel.open(tiny_backbone, PLAIN), batch_tokens=100, autocast=None)  # exact on every machine


def documents(*lengths: int) -> list[np.ndarray]:
    numbers = np.random.default_rng(0)
    return [numbers.integers(2, 300, size=length) for length in lengths]


def test_each_document_is_answered_once(reader: DocumentModel) -> None:
    texts = documents(*LENGTHS)
    answers = list(reader.score(texts))
    assert len(answers) > 3
    assert sorted(number for answer in answers for number in answer) == list(range(len(texts)))
    for answer in answers:
        for number, nats in answer.items():
            windows = document_windows(texts[number], PLAIN, 256)
            parts = score(reader.model, [window for window, _ in windows])
            assert nats == pytest.approx(sum(part.nats for part in parts), rel=1e-5)


def test_a_document_longer_than_the_context_counts_all_its_windows(reader: DocumentModel) -> None:
    texts = documents(600, 20, 300)
    answers = [number for answer in reader.score(texts) for number in answer.items()]
    assert reader.window == 256
    for number, nats in answers:
        windows = [window for window, _ in document_windows(texts[number], PLAIN, 256)]
        assert nats == pytest.approx(sum(item.nats for item in score(reader.model, windows)), rel=1e-5)
    assert len(answers) == 3


def test_who_stops_and_goes_on_gets_the_same_numbers(reader: DocumentModel) -> None:
    texts = documents(*LENGTHS)
    whole = {number: nats for answer in reader.score(texts) for number, nats in answer.items()}
    for stop in range(1, 5):
        answers = reader.score(texts)
        found = {number: nats for _ in range(stop) for number, nats in next(answers).items()}
        rest = [number for number in range(len(texts)) if number not in found]
        for answer in reader.score([texts[number] for number in rest]):
            found |= {rest[number]: nats for number, nats in answer.items()}
        assert found == whole


def test_nothing_gives_nothing(reader: DocumentModel) -> None:
    assert list(reader.score([])) == []
    assert list(reader.score(documents(0, 0))) == [{0: 0.0, 1: 0.0}]


def test_windows_begin_as_texts_do(reader: DocumentModel) -> None:
    texts = documents(600, 20)
    begun = replace(reader, delimiters=BEGUN)
    answers = {number: nats for answer in begun.score(texts) for number, nats in answer.items()}
    for number, text in enumerate(texts):
        windows = document_windows(text, BEGUN, 256)
        assert all(window[0] == 1 for window, _ in windows)
        scored = score(reader.model, [window for window, _ in windows], context=[at for _, at in windows])
        assert sum(item.tokens for item in scored) == len(text)
        assert answers[number] == pytest.approx(sum(item.nats for item in scored), rel=1e-5)
