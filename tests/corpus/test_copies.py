from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from made_up_texts import CHANCE, chinese, edited, english, jaccard
from sapwood.corpus.characters import Hashes
from sapwood.corpus.duplicates import RECALL, VALUES, CopyIndex, band_rows, find_copies, sign

pytestmark = pytest.mark.slow


def hashed(texts: list[str]) -> Hashes:
    return np.array([hash(text) & (2**63 - 1) for text in texts], np.uint64)


def copies(texts: list[str], similarity: float = 0.8) -> np.ndarray:
    return find_copies(hashed(texts), sign(texts), similarity).keepers


@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.7, 0.8, 0.9])
def test_bands_find_what_is_as_similar_as_asked_for(similarity: float) -> None:
    rows = band_rows(similarity)
    assert 1 - (1 - similarity**rows) ** (VALUES // rows) >= RECALL
    assert 1 - (1 - similarity ** (rows + 1)) ** (VALUES // (rows + 1)) < RECALL


@pytest.mark.parametrize("make", [english, chinese])
def test_planted_copies_are_found_and_nothing_else(make: Callable[[], str]) -> None:
    originals = [make() for _ in range(150)]
    planted = [(number, edited(text, count)) for count in (1, 3, 5) for number, text in enumerate(originals[:50])]
    others = [edited(text, 40) for text in originals[50:100]]
    keepers = copies([*originals, *others, *(text for _, text in planted)])
    assert keepers[:200].tolist() == list(range(200))
    wanted = [number for number, _ in planted]
    for place, (keeper, number) in enumerate(zip(keepers[200:], wanted, strict=True)):
        assert keeper in (number, 200 + place)
    found = sum(keeper == number for keeper, number in zip(keepers[200:], wanted, strict=True))
    similar = sum(jaccard(originals[number], text) >= 0.85 for number, text in planted)
    assert found >= 0.97 * similar > 90


def test_a_chain_of_similar_texts_does_not_drop_what_is_unlike_the_first() -> None:
    chain = [english(200)]
    for _ in range(8):
        chain.append(edited(chain[-1], 3))
    keepers = copies(chain)
    for number, keeper in enumerate(keepers.tolist()):
        assert keeper == number or jaccard(chain[number], chain[keeper]) > 0.65
    assert keepers[0] == 0
    assert keepers[8] != 0


def test_many_equal_bands_stay_quick_and_right() -> None:
    text = english(60)
    keepers = copies([text + f" {number}" for number in range(3000)])
    assert (keepers == 0).sum() > 2900


def chunked(texts: list[str], size: int, similarity: float = 0.8) -> tuple[list[int], CopyIndex]:
    """What stays in the place of each text, by number of the text, when they come in chunks."""
    index, kept, keepers = CopyIndex(similarity), [], []
    for start in range(0, len(texts), size):
        chunk = texts[start : start + size]
        found = index.find(hashed(chunk), sign(chunk))
        numbers = [*kept, *range(start, start + len(chunk))]
        keepers += [numbers[keeper] for keeper in found.keepers]
        new = [row for row in range(len(chunk)) if keepers[start + row] == start + row]
        index.keep(hashed([chunk[row] for row in new]), sign([chunk[row] for row in new]))
        kept += [start + row for row in new]
    assert len(index) == len(kept)
    return keepers, index


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
@pytest.mark.parametrize("make", [english, chinese])
def test_chunks_find_what_the_whole_finds(make: Callable[[], str], size: int) -> None:
    originals = [make() for _ in range(60)]
    texts = [*originals, *(edited(CHANCE.choice(originals), count) for count in (0, 1, 2, 100) for _ in range(15))]
    CHANCE.shuffle(texts)
    keepers, _ = chunked(texts, size)
    assert keepers == copies(texts).tolist()


def test_what_was_dropped_is_not_compared_with() -> None:
    chain = [english(200)]
    for _ in range(8):
        chain.append(edited(chain[-1], 3))
    keepers, _ = chunked(chain, 1)
    for number, keeper in enumerate(keepers):
        assert keeper == number or (keepers[keeper] == keeper and jaccard(chain[number], chain[keeper]) > 0.65)
    assert keepers[8] != 0


def test_an_index_that_was_filled_again_is_the_same() -> None:
    texts = [english(100) for _ in range(50)]
    _, index = chunked(texts, 10)
    again = CopyIndex(0.8)
    again.keep(hashed(texts), sign(texts))
    later = [edited(text, 1) for text in texts] + [english(30)]
    one, two = (found.find(hashed(later), sign(later)) for found in (index, again))
    assert one.keepers.tolist() == two.keepers.tolist()
    assert one.similarities.tolist() == two.similarities.tolist()
    assert (one.keepers < len(index)).sum() >= 45


def test_an_empty_chunk_and_an_empty_index() -> None:
    index = CopyIndex(0.7)
    assert len(index.find(hashed([]), sign([])).keepers) == 0
    assert index.find(hashed(["a", "a"]), sign(["a", "a"])).keepers.tolist() == [0, 0]
