"""Jinja in tasks: expressions that read something of an item, and templates that put it into words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError, Undefined
from jinja2.sandbox import SandboxedEnvironment

from sapwood.suites.extract import take_answer

_LETTERED = re.compile(r"^\s*\(?[A-J][)）.．、:：]\s*", re.MULTILINE)


def read(expression: str, fields: Mapping[str, Any]) -> Any:
    """The value of an expression over the fields of an item.

    Raises ValueError, with the reason, where it has none.
    """
    try:
        value = _expression(expression)(**fields)
        if isinstance(value, Undefined):
            str(value)  # a strict one says here what it lacks
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"`{expression}`: {error}") from None
    return value


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The text of a template. Raises ValueError, with the reason, where it wants other values."""
    try:
        return str(_template(template).render(values))
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(str(error)) from None


def split_options(text: str) -> list[str]:
    """The options in a text that holds them in lines of their own, each behind its letter.

    >>> split_options("Which?\\n\\nA. water\\nB. ice\\n\\nAnswer:")
    ['water', 'ice']
    """
    body = re.sub(r"\n\s*\n[^\n]*:\s*\Z", "", text)
    return [part.strip() for part in _LETTERED.split(body)[1:]]


def without_letter(options: list[str]) -> list[str]:
    """Options without the letters in front of them.

    >>> without_letter(["(A)9", "B. ten"])
    ['9', 'ten']
    """
    return [_LETTERED.sub("", option, count=1).strip() for option in options]


def _boxed(text: str) -> str:
    answer = take_answer(text, ["boxed"])
    if answer is None:
        raise ValueError(f"there is no \\boxed{{}} in {text[:60]!r}")
    return answer


@cache
def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"boxed": _boxed, "split_options": split_options, "without_letter": without_letter}
    return environment


@cache
def _expression(source: str) -> Any:
    return _environment().compile_expression(source, undefined_to_none=False)


@cache
def _template(source: str) -> Any:
    return _environment().from_string(source)
