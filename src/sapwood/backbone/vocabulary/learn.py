"""New merges for a byte-level BPE tokenizer, learned on texts that its old merges have been applied to.

In BPE the merge that was learned first is applied first. Merges that stand after all old ones, and join only old pieces
or new ones, are therefore applied to what the old tokenizer would give. So they can join old tokens, and do nothing
else: where no new piece fits, a text keeps its old tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import orjson
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from sapwood.backbone.vocabulary.pieces import Content, is_byte_level
from sapwood.errors import SapwoodError

Merge = tuple[str, str]
"""Two pieces that become one, in the spelling of tokenizer.json."""

MIN_OCCURRENCES = 10
"""A pair of tokens that occurs less often in the texts is not merged: no embedding could be learned for it."""

_FIRST_LETTER = 0x10000
"""Where the characters begin that stand for old tokens: above the surrogates, which no text may hold."""
_WORD_END = "\n"


def check_kind(content: Content) -> None:
    """Raises SapwoodError where the tokenizer is not byte-level BPE, the only kind whose merges can be continued."""
    model = content["model"]
    kind = model.get("type")
    if kind == "BPE" and model.get("byte_fallback"):
        found = "BPE with byte fall-back, made from SentencePiece"
    elif kind != "BPE" or not is_byte_level(content):
        found = f"{kind}, and not on bytes" if kind == "BPE" else str(kind)
    elif model.get("dropout") or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        found = "BPE with dropout, prefixes or suffixes"
    else:
        return
    raise SapwoodError(
        f"The tokenizer is of the kind {found}. Only byte-level BPE, as in Llama 3, Qwen and SmolLM, can be extended: "
        "its merges can be continued without changing what the old ones do."
    )


def learn(content: Content, texts: Sequence[str], kept: Sequence[str], size: int) -> list[Merge]:
    """Merges that make up to `size` new pieces of the most frequent pairs of tokens in `texts`, in their order.

    Fewer come out where no more pairs occur `MIN_OCCURRENCES` times. None of the pieces occurs in the texts of `kept`,
    so these keep their tokens. Every piece is one that the extended tokenizer produces. The same texts give the same
    merges.

    Raises SapwoodError where the tokenizer is of another kind, or there is nothing to learn.
    """
    check_kind(content)
    tokenizer = as_tokenizer(content)
    words = _words(tokenizer, texts)
    kept_words = list(_words(tokenizer, kept))
    wanted = size
    while True:
        # Some candidates are not taken, and how many is known only afterwards.
        wanted *= 2
        candidates = _candidates(tokenizer, words, wanted)
        merges = _select(content, candidates, kept_words, size)
        if len(merges) == size or len(candidates) < wanted:
            break
    if not merges:
        raise SapwoodError(
            f"There is nothing to learn from these texts: no two tokens stand together {MIN_OCCURRENCES} times, "
            "or only where the texts to keep have them too. Give more text."
        )
    return merges


def extended(content: Content, merges: Iterable[Merge]) -> Content:
    """The tokenizer.json with these merges after its own, and their pieces with ids above all that exist."""
    model = content["model"]
    vocabulary = _vocabulary(content)
    for number, piece in enumerate(new_pieces(merges), 1 + max(vocabulary.values())):
        vocabulary[piece] = number
    # Older files have a merge as one string.
    joined = bool(model["merges"]) and isinstance(model["merges"][0], str)
    more = [" ".join(merge) if joined else list(merge) for merge in merges]
    return content | {"model": model | {"vocab": vocabulary, "merges": [*model["merges"], *more]}}


def new_pieces(merges: Iterable[Merge]) -> list[str]:
    """The pieces that the merges make, in the order of their ids."""
    return [left + right for left, right in merges]


def as_tokenizer(content: Content) -> Tokenizer:
    """The tokenizer in memory; text that spells a control token is text to it."""
    tokenizer = Tokenizer.from_str(orjson.dumps(content).decode())
    tokenizer.encode_special_tokens = True
    return tokenizer


def _vocabulary(content: Content) -> dict[str, int]:
    """All pieces and added tokens with their ids.

    Added tokens above the vocabulary get their ids by its size when a tokenizer is read, whatever the file says of
    them. They keep them only as part of it.
    """
    vocabulary: dict[str, int] = dict(content["model"]["vocab"])
    for token in content["added_tokens"]:
        vocabulary.setdefault(token["content"], token["id"])
    return vocabulary


def _words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """The words into which the tokenizer cuts texts before it looks for pieces, and how often each occurs."""
    words: Counter[str] = Counter()
    for text in texts:
        normal = text if tokenizer.normalizer is None else tokenizer.normalizer.normalize_str(text)
        words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    return words


def _candidates(tokenizer: Tokenizer, words: Counter[str], wanted: int) -> list[Merge]:
    """Merges by frequency, as BPE learns them on words whose letters are the old tokens."""
    pieces: dict[str, str] = {}
    spelled: list[tuple[str, int]] = []
    for word, count in words.items():
        tokens = tokenizer.model.tokenize(word)
        if len(tokens) > 1:
            letters = [chr(_FIRST_LETTER + token.id) for token in tokens]
            pieces.update(zip(letters, (token.value for token in tokens), strict=True))
            spelled.append(("".join(letters) + _WORD_END, count))
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(_WORD_END)
    trainer = trainers.BpeTrainer(vocab_size=len(pieces) + wanted, min_frequency=MIN_OCCURRENCES, show_progress=False)
    learner.train_from_iterator((word * count for word, count in spelled), trainer=trainer)
    learned: list[Merge] = orjson.loads(learner.to_str())["model"]["merges"]
    return [
        ("".join(map(pieces.__getitem__, left)), "".join(map(pieces.__getitem__, right))) for left, right in learned
    ]


def _select(content: Content, candidates: Sequence[Merge], kept: Sequence[str], size: int) -> list[Merge]:
    """The first candidates that make `size` new pieces, without those that never come up or occur in words of `kept`.

    When a piece is left out, so are those made of it, and others move up; until there is none to be left out.
    """
    left_out: set[str] = set()
    while True:
        merges = _first(content, candidates, left_out, size)
        pieces = set(new_pieces(merges))
        # A piece comes up in some word if, and only if, it does where it is the whole word: what is merged inside of it
        # does not depend on what stands beside it. That it is found whole (`ignore_merges`) would say nothing.
        merging = content | {"model": content["model"] | {"ignore_merges": False}}
        model = as_tokenizer(extended(merging, merges)).model
        fault = {piece for piece in pieces if len(model.tokenize(piece)) > 1}
        model = as_tokenizer(extended(content, merges)).model
        fault.update(token.value for word in kept for token in model.tokenize(word) if token.value in pieces)
        if not fault:
            return merges
        left_out |= fault


def _first(content: Content, candidates: Iterable[Merge], left_out: set[str], size: int) -> list[Merge]:
    """The first candidates that make `size` pieces, all new, of pieces that are old or made before."""
    old = _vocabulary(content)
    made: set[str] = set()
    merges = []
    for left, right in candidates:
        piece = left + right
        # A vocabulary may have pieces that its own merges do not lead to. They stay as they are.
        if piece not in old and piece not in left_out and all(part in old or part in made for part in (left, right)):
            made.add(piece)
            merges.append((left, right))
        if len(merges) == size:
            break
    return merges
