from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from sapwood.corpus.document import START, new_document
from sapwood.corpus.holdout import HoldOut, is_held_out
from sapwood.corpus.quarantine import set_aside

HASHES = [f"{number:016x}" for number in range(4000)]
SHARES = st.fractions(0, 1, max_denominator=1000)


@given(SHARES, SHARES, st.text(max_size=5))
def test_a_larger_share_holds_out_the_same_and_more(a: Fraction, b: Fraction, salt: str) -> None:
    small, large = sorted((a, b))
    for text_hash in HASHES[:50]:
        assert is_held_out(text_hash, large, salt) or not is_held_out(text_hash, small, salt)


def test_the_share_is_met() -> None:
    found = sum(is_held_out(text_hash, Fraction(1, 10), "salt") for text_hash in HASHES)
    assert 340 < found < 460  # three standard deviations


def test_nothing_and_everything() -> None:
    assert not any(is_held_out(text_hash, Fraction(0), "salt") for text_hash in HASHES)
    assert all(is_held_out(text_hash, Fraction(1), "salt") for text_hash in HASHES)


def test_another_salt_gives_another_choice() -> None:
    choices = [[is_held_out(text_hash, Fraction(1, 2), salt) for text_hash in HASHES[:99]] for salt in ("a", "b")]
    assert choices[0] != choices[1]


def test_copies_share_their_fate_in_all_sources_and_wrappings() -> None:
    texts = [f"text {number // 2}" + (" \n over" if number % 2 else " over ") for number in range(200)]
    documents = [new_document(f"source {n % 3}", text, f"f#{n}", START) for n, text in enumerate(texts)]
    splits = [document.metadata["split"] for document in HoldOut(Fraction(1, 2), "s").run(documents)]
    assert splits[::2] == splits[1::2]
    assert set(splits) == {"train", "holdout"}


def test_what_is_set_aside_passes_untouched() -> None:
    document = new_document("source", "text", "f#0", START)
    set_aside(document, "a reason")
    assert list(HoldOut(Fraction(1), "s").run([document])) == [document]
    assert "split" not in document.metadata
