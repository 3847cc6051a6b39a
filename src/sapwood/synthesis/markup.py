"""What in a text is no prose: formulas, code and tables, in LaTeX and Markdown."""

from __future__ import annotations

import re

FORMULA = re.compile(
    r"\$\$.{1,2000}?\$\$|\\\[.{1,2000}?\\\]|\\\(.{1,500}?\\\)|\\begin\{(\w+\*?)\}.{1,2000}?\\end\{\1\}"
    r"|(?<![\\$])\$(?!\s)[^$\n]{1,300}?(?<![\s\\])\$(?!\d)",
    re.DOTALL,
)
"""A formula of LaTeX with its delimiters. `$5 and $10` is none."""
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
"""Code in Markdown, fenced or in a line."""

_DELIMITER_ROW = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)+\|?")


def without_code(text: str) -> str:
    """The text with blanks in place of code."""
    return CODE.sub(" ", text)


def prose(text: str) -> str:
    """The text with blanks in place of code and formulas."""
    return FORMULA.sub(" ", without_code(text))


def has_table(text: str) -> bool:
    """Whether a table stands in the text: of Markdown, with two rows of as many cells as the header; LaTeX or HTML."""
    if "\\begin{tabular}" in text or "</table>" in text.lower():
        return True
    lines = [line.strip() for line in text.splitlines()]
    for number in range(1, len(lines) - 2):
        if _DELIMITER_ROW.fullmatch(lines[number]):
            header, _, first, second = map(_cells, lines[number - 1 : number + 3])
            if header == _cells(lines[number]) == first == second:
                return True
    return False


def _cells(line: str) -> int:
    """How many cells a row has; 0 for what is no row."""
    return len(re.split(r"(?<!\\)\|", line.strip().strip("|"))) if "|" in line else 0
