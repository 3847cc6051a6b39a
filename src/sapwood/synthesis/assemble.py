"""From items to documents: plain text that is trained on like any other, with the item's record beside it."""

from __future__ import annotations

from functools import cache

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from sapwood.answers.find import letter
from sapwood.errors import SapwoodError
from sapwood.recipe.data import Assembly
from sapwood.synthesis.item import Item

_ANSWER = {"en": "Answer: ", "zh": "答案："}


def assemble(item: Item, settings: Assembly) -> str:
    """The item as text: question, options, reasoning and answer, and where it is wished the snippet beside them.

    The paper joins problem and solution as plain text (2407.18743); by what, it does not say. Raises SapwoodError where
    the recipe's own template cannot be filled in.
    """
    text = _default(item, settings.joiner) if settings.template is None else _own(item, settings)
    if settings.page != "none" and item.snippet:
        parts = [item.snippet, text] if settings.page == "before" else [text, item.snippet]
        text = settings.joiner.join(parts)
    return text


def _default(item: Item, joiner: str) -> str:
    parts = ["\n".join([item.question, *_options(item)]), item.reasoning]
    if item.tests:
        parts.append(f"```python\n{item.answer}\n```")
    elif not item.reasoning.rstrip("。.").endswith(item.answer.rstrip("。.")):
        parts.append(_ANSWER.get(item.language, _ANSWER["en"]) + item.answer)
    return joiner.join(part for part in parts if part)


def _own(item: Item, settings: Assembly) -> str:
    values = {
        **{name: value for name, value in item.to_json().items() if name != "page"},
        "choices": _options(item),
        "joiner": settings.joiner,
    }
    try:
        return _environment().from_string(settings.template or "").render(values)
    except TemplateError as error:
        raise SapwoodError(f"The template of `assembly` cannot be filled in: {error}") from None


def _options(item: Item) -> list[str]:
    return [f"{letter(number)}. {choice}" for number, choice in enumerate(item.choices)]


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(undefined=StrictUndefined)
