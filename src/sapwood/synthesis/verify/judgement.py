"""What a judge says: yes, no, or that it cannot be told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Word = Literal["yes", "no", "unclear"]

_WORDS: dict[str, Word] = {"yes": "yes", "no": "no", "unclear": "unclear", "是": "yes", "否": "no", "不确定": "unclear"}


def word_of(sections: Mapping[str, str] | None) -> Word | None:
    """The word in the section `verdict` of a reply; None where there is none of the words that are asked for."""
    if sections is None:
        return None
    match = re.match(rf"\W*({'|'.join(_WORDS)})(?![A-Za-z])", sections["verdict"].casefold())
    return None if match is None else _WORDS[match[1]]
