from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from sapwood.corpus.characters import CODES, IGNORED, IRREGULAR, MARK, SIGN, SINGLE, UNSPACED, WORD, codes_of, table


def test_every_radical_is_its_ideograph() -> None:
    values = table().all
    for code in range(0x2F00, 0x2FD6):
        assert values[code] == values[ord(unicodedata.normalize("NFKC", chr(code)))]
    radicals = [code for code in range(0x2E81, 0x2EF4) if code != 0x2E9A]
    ideographs = np.concatenate([values[0x3400:0xA000], values[0x20000:0x323B0]])
    assert len(radicals) == 114
    assert np.isin(values[radicals], ideographs).all()
    assert values[codes_of("⺁⻅⻈⻳")].tolist() == values[codes_of("厂见讠龟")].tolist()


@pytest.mark.parametrize(
    ("characters", "kind"),
    [
        ("aß9क한", WORD),
        ("年のทខက", SINGLE | UNSPACED),
        ("\u0301िิ゙", MARK),
        ("\u200d\u200c\ufe0f\u0640", IGNORED),
        ("+−<🙂⠿", SIGN),
    ],
)
def test_kinds(characters: str, kind: int) -> None:
    for character in characters:
        assert int(table().kinds[ord(character)]) & ~IRREGULAR == kind, character
    assert table().kinds[codes_of(" \n\x00")].tolist() == [0, 0, 0]


def test_letters_have_values_of_their_own() -> None:
    kinds, letters = table().kinds, table().letters
    plain = [
        code
        for code in range(0x2E80)
        if kinds[code] & (WORD | SINGLE) and unicodedata.normalize("NFKD", chr(code)).casefold() == chr(code)
    ]
    assert len(np.unique(letters[plain])) == len(plain)
    assert (letters[kinds & (WORD | SINGLE | MARK) == 0] == 0).all()


def test_all_code_points_have_a_place() -> None:
    assert codes_of("\U0010ffff\U000e0041").tolist() == [CODES - 1] * 2
