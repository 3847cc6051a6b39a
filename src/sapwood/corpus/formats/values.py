"""JSON that is not one object a line: an array of objects, or objects one after another, over any number of lines.

Such a file may be larger than memory: its values are cut out of the bytes one by one, and each is parsed by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from sapwood.corpus.block import Reason
from sapwood.corpus.formats.content import read_blocks
from sapwood.corpus.formats.jsonl import LINE_BYTES, line_rows, narrow, parse_object, unmarked
from sapwood.corpus.formats.row import BrokenFileError, Fields, Rejected, Row

_OUTSIDE = re.compile(rb'[^][{}",]*+')
"""What neither begins nor ends anything, outside of strings."""
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
"""What does not end a string, inside one."""
_QUOTE, _BACKSLASH, _COMMA, _ARRAY, _OBJECT, _ARRAY_END, _OBJECT_END = b'"\\,[{]}'


def value_rows(file: BinaryIO, name: str, fields: Fields, start: int) -> Iterator[Row]:
    """The rows from number `start` on of a `.json` file: an array of objects, objects one after another, or JSON Lines.

    Where the first line is a whole object, it is JSON Lines.
    """
    blocks = narrow(read_blocks(file, name))
    ahead: list[tuple[bytes, int]] = []
    head = b""
    for block in blocks:
        ahead.append(block)
        head = unmarked((head + block[0]).lstrip())
        if (head and not head.startswith(b"{")) or b"\n" in head or len(head) > LINE_BYTES:
            break
    everything = chain(ahead, blocks)
    if head.startswith(b"{") and not _is_broken(head.partition(b"\n")[0], fields):
        yield from line_rows(everything, fields, start)
        return
    for number, (value, read) in enumerate(split_values(everything)):
        if number < start:
            continue
        if value is None:
            yield Row(number, Rejected(Reason.TOO_LONG, f"a value of more than {LINE_BYTES} bytes"), read)
        else:
            text, url = parse_object(value, fields)
            yield Row(number, text, read, url)


def split_values(blocks: Iterable[tuple[bytes, int]], limit: int = LINE_BYTES) -> Iterator[tuple[bytes | None, int]]:
    """The values in a sequence of blocks: the elements of arrays, and values beside each other; None for those of more
    than `limit` bytes. What stands between values and is none comes as if it were one.

    Raises BrokenFileError where the last value, or the array around it, has no end.
    """
    value = _Value(limit)
    depth = read = 0
    quoted = array = False
    rest = b""
    for block, read in blocks:
        content, place, kept, rest = rest + block, 0, 0, b""
        while True:
            plain = (_INSIDE if quoted else _OUTSIDE).match(content, place)
            assert plain is not None  # it matches nothing, too
            place = plain.end()
            if place == len(content):
                break
            sign = content[place]
            if sign == _BACKSLASH and quoted:  # what it stands before is in the next block
                content, rest = content[:place], content[place:]
                break
            place += 1
            if sign == _QUOTE:
                quoted = not quoted
            elif sign == _OBJECT or (sign == _ARRAY and (depth or array)):
                depth += 1
            elif depth and sign in (_OBJECT_END, _ARRAY_END):
                depth -= 1
                if not depth:
                    value.add(content[kept:place])
                    kept = place
                    yield value.take(), read
            elif not depth and (sign in (_COMMA, _ARRAY) or (sign == _ARRAY_END and array)):
                value.add(content[kept : place - 1])
                kept, array = place, sign == _ARRAY or (array and sign == _COMMA)
                if not value.is_blank:
                    yield value.take(), read
        value.add(content[kept:])
    value.add(rest)
    if depth or quoted or array:
        raise BrokenFileError("the file ends before its last value does")
    if not value.is_blank:
        yield value.take(), read


class _Value:
    """A value that is put together of pieces."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.content = bytearray()
        self.is_long = False

    @property
    def is_blank(self) -> bool:
        return not self.is_long and not unmarked(bytes(self.content).strip()).strip()

    def add(self, piece: bytes) -> None:
        self.is_long = self.is_long or len(self.content) + len(piece) > self.limit
        if self.is_long:
            self.content.clear()
        else:
            self.content += piece

    def take(self) -> bytes | None:
        found = None if self.is_long else unmarked(bytes(self.content).strip())
        self.content.clear()
        self.is_long = False
        return found


def _is_broken(line: bytes, fields: Fields) -> bool:
    found, _ = parse_object(line, fields)
    return isinstance(found, Rejected) and found.reason is Reason.BROKEN_JSON
