"""Some text of a source, straight from its files: for measuring before anything is prepared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sapwood.corpus.formats import Fields, Rejected
from sapwood.corpus.inputs import InputFile, Part, list_files, open_file
from sapwood.corpus.normalise import normalise
from sapwood.corpus.read import read_part
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Normalise, Source


def sample_texts(name: str, source: Source, settings: Normalise, limit: int) -> list[str]:
    """Documents of a source, normalised as they are when it is prepared: `limit` bytes of UTF-8 at most.

    They are the first of every file, equally much of each as far as there is; the last of a file may be cut short. Rows
    that are no documents are passed over. The same files give the same texts.

    Raises SapwoodError where no file matches, or none holds a text.
    """
    files = list_files(name, source.files)
    script = settings.script if source.language == "zh" else None
    reasons: Counter[str] = Counter()
    texts: list[str] = []
    left = limit
    for number, file in enumerate(files):
        share = left // (len(files) - number)
        for text in _texts(file, Fields(source.text, source.url), reasons):
            content = normalise(text, mojibake=settings.mojibake, script=script).encode()[:share]
            share -= len(content)
            left -= len(content)
            if content:
                texts.append(content.decode(errors="ignore"))
            if not share:
                break
    if not texts:
        found = ", ".join(f"{count} rows: {reason}" for reason, count in reasons.most_common()) or "they are empty"
        raise SapwoodError(f"Source '{name}': there is no text in its {len(files)} files ({found}).")
    return texts


def _texts(file: InputFile, fields: Fields, reasons: Counter[str]) -> Iterator[str]:
    with open_file(file) as stream:
        for row in read_part(stream, Part(file, 0, file.size, 0, file.size), fields, 0):
            if isinstance(row.text, Rejected):
                reasons[row.text.reason] += 1
            else:
                yield row.text
