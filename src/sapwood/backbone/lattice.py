"""Control symbols of Unigram tokenizers, which are pieces like others to `tokenizers`, and none to SentencePiece."""

from __future__ import annotations

import orjson

from sapwood.files import fingerprint


def without_controls(content: str) -> str:
    """A tokenizer.json with which no text gives a control symbol, for encoding texts alone; all ids stay.

    In a Unigram vocabulary control symbols (`</s>`) are pieces with a score, often the best there is, so the library
    takes them for text that spells them, whether told to match added tokens or not. SentencePiece keeps them out of the
    lattice, and such text becomes ordinary pieces; so it does here. The unknown piece stays: it is what becomes of
    characters that the vocabulary lacks. Other kinds of tokenizers are given back as they are.
    """
    parsed = orjson.loads(content)
    model = parsed["model"]
    if not isinstance(model.get("vocab"), list):
        return content
    control = {token["content"] for token in parsed.get("added_tokens") or () if token["special"]}
    places = [
        number for number, (piece, _) in enumerate(model["vocab"]) if piece in control and number != model.get("unk_id")
    ]
    if not places:
        return content
    # A piece that no text spells, with the score as it was: the lowest score of all is what unknown characters cost.
    name = fingerprint(content)
    for number in places:
        model["vocab"][number][0] = f"\uffff{name}{number}"
    parsed["added_tokens"] = [token for token in parsed["added_tokens"] if token["content"] not in control]
    return orjson.dumps(parsed | {"post_processor": None}).decode()
