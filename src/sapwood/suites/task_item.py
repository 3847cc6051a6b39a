"""The items of a task: what its file says is read from every row of the benchmark, checked once for all models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import xxhash
from jinja2 import StrictUndefined, TemplateError, Undefined
from jinja2.sandbox import SandboxedEnvironment

from sapwood.answers.find import behind_hashes, boxed, find_letter, first_line, last_number, letter
from sapwood.errors import SapwoodError
from sapwood.files import fingerprint
from sapwood.recipe.task import Take, Task
from sapwood.suites.benchmark import Row, find_files, read_rows
from sapwood.suites.probes import make_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskItem:
    """A question with its right answer."""

    id: str
    """Unique in the task."""
    subject: str | None
    cluster: str | None
    question: str
    options: tuple[str, ...]
    """Of a choice; else empty."""
    gold: int
    """The number of the right option; else 0."""
    answer: str
    """The right answer; of a choice, the right option."""
    solution: str
    """What stands behind the prompt in a shot."""
    fields: Mapping[str, Any]
    """Everything in the row."""

    @property
    def content(self) -> dict[str, Any]:
        """What is in the row, without where it stands."""
        return _content(self.fields)

    @property
    def letter(self) -> str:
        """What the right option is called."""
        return letter(self.gold)


@dataclass(frozen=True, slots=True)
class TaskItems:
    """The items of a task, and those that are shown as shots."""

    items: tuple[TaskItem, ...]
    shots: tuple[TaskItem, ...]
    """In the order in which they are taken."""

    @property
    def fingerprint(self) -> str:
        """Identifies the items and all that is known of them, wherever their files lie."""
        return fingerprint([[item.id, item.subject, item.cluster, item.answer, item.content] for item in self.items])


def load_task_items(task: Task, directory: Path | None) -> TaskItems:
    """The items of a task from the files below `directory`, or from its generator.

    Raises SapwoodError where a file is missing, or an item in it is not what the task's file says.
    """
    if task.generator is not None:
        rows: Iterable[Row] = make_rows(task.generator)
    else:
        rows = _rows(task, find_files(task.name, task.files, directory, task.package))
    kept = list(_items(task, rows))
    if not kept:
        raise SapwoodError(f"Task '{task.name}' has no items: its files are empty, or `keep` leaves none.")
    chosen = kept
    if task.limit is not None:
        first = sorted(range(len(kept)), key=lambda number: _hash(kept[number].id))[: task.limit]
        chosen = [kept[number] for number in sorted(first)]
    if not task.shots.count:
        return TaskItems(tuple(chosen), ())
    if task.shots.files:
        files = find_files(task.name, task.shots.files, directory)
        return TaskItems(tuple(chosen), tuple(_items(task, _rows(task, files))))
    return TaskItems(tuple(chosen), tuple(_first_shots(task, kept)))


def _rows(task: Task, files: Sequence[Path]) -> Iterator[Row]:
    for file in files:
        yield from read_rows(task.name, file)


def _first_shots(task: Task, items: Sequence[TaskItem]) -> Iterator[TaskItem]:
    """The first items of every subject where shots are by subject, else of all: one more than are shown."""
    counts: Counter[str | None] = Counter()
    for item in items:
        subject = item.subject if task.shots.same_subject else None
        counts[subject] += 1
        if counts[subject] <= task.shots.count + 1:
            yield item


def _items(task: Task, rows: Iterable[Row]) -> Iterator[TaskItem]:
    seen: Counter[str] = Counter()
    for row in rows:
        try:
            if task.keep is not None and not read(task.keep, row):
                continue
            item = _item(task, row)
        except ValueError as error:
            there = ", ".join(_content(row))
            raise SapwoodError(
                f"Task '{task.name}', item {row['row']} of {row['file']}: {error}. The item has the fields {there}."
            ) from None
        seen[item.id] += 1
        # What stands in a file twice is asked twice, under two names.
        yield item if seen[item.id] == 1 else replace(item, id=f"{item.id}-{seen[item.id]}")


def _item(task: Task, row: Row) -> TaskItem:
    options: tuple[str, ...] = ()
    gold = 0
    answer = read(task.answer, row)
    if task.options is not None:
        listed = read(task.options, row)
        if not isinstance(listed, list | tuple) or len(listed) < 2:
            raise ValueError(f"`{task.options}`: found {listed!r}, which is no list of two or more options")
        options = tuple(str(option) for option in listed)
        gold = _gold(answer, options)
        answer = options[gold]
    return TaskItem(
        id=_text(task.id, row) or _hash(_content(row)),
        subject=_text(task.subject, row),
        cluster=_text(task.cluster, row),
        question=str(read(task.question, row)),
        options=options,
        gold=gold,
        answer=str(answer),
        solution=_text(task.solution, row) or str(answer),
        fields=row,
    )


def _gold(answer: Any, options: Sequence[str]) -> int:
    """The number of the right option. A single capital letter is always the name of an option, and not its text."""
    names = [letter(number) for number in range(len(options))]
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return answer
    for known in (names, list(options)):
        if isinstance(answer, str) and answer.strip() in known:
            return known.index(answer.strip())
    raise ValueError(
        f"the answer {answer!r} is no number from 0 to {len(options) - 1}, no letter, and none of the options"
    )


def _text(expression: str | None, row: Row) -> str | None:
    value = None if expression is None else read(expression, row)
    return None if value is None else str(value)


def _content(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("file", "row")}


def _hash(content: Any) -> str:
    return xxhash.xxh3_64_hexdigest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


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


def take_answer(text: str, ways: Sequence[Take]) -> str | None:
    """What the first of the ways finds; None where none finds anything.

    `boxed` is the content of the last `\\boxed{}`, `hashes` what follows the last `####` on its line, `number`
    the last number, `letter` the option that is said to be the answer or else stands alone last, `line` the first line
    that is not empty, `all` the whole text.

    >>> take_answer("So 3 + 4 = 7 apples.", ["boxed", "number"])
    '7'
    """
    for way in ways:
        found = _TAKE[way](text)
        if found is not None and found.strip():
            return found.strip()
    return None


_TAKE: dict[Take, Callable[[str], str | None]] = {
    "boxed": boxed,
    "hashes": behind_hashes,
    "number": last_number,
    "letter": find_letter,
    "line": first_line,
    "all": lambda text: text,
}
