"""From what the generator answered to an item, or the reason why it is none: before anybody is asked about it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sapwood.answers.find import letter, split_letter
from sapwood.answers.numbers import narrow
from sapwood.generation.cache import Completion
from sapwood.recipe.synthesis import Synthesis
from sapwood.synthesis.attempts import Attempt
from sapwood.synthesis.code import program_in
from sapwood.synthesis.faults import fault
from sapwood.synthesis.item import Item, item_id
from sapwood.synthesis.prompt import FormError, Prompt, has_table

_OPTION = re.compile(r"[-*\s]*\(?([A-J])\)?[.)、．:：*]+\s*(.*)")
_LABEL = re.compile(
    r"(?:the )?(?:final |correct )?answer(?: is)?\s*[:：]\s*|(?:最终|正确)?答案[:：是为]+\s*", re.IGNORECASE
)


def read_item(completion: Completion, prompt: Prompt, attempt: Attempt, job: Synthesis) -> Item:
    """The item that the generator wrote in answer to `prompt`.

    Of the prompt's sections `question` and `answer` must be there; `reasoning`, `choices`, `tests` and `evidence` are
    kept where they are; others are dropped. Raises FormError, with a phrase that can be counted, where the answer is
    no item.
    """
    sections = prompt.parse(completion)
    question = _without_speaker(sections["question"], prompt)
    choices = _choices(sections["choices"], prompt) if "choices" in sections else ()
    tests = program_in(sections["tests"]) if "tests" in sections else ""
    answer = _letter(sections["answer"], choices) if choices else _answer(sections["answer"], bool(tests))
    item = Item(
        id=item_id(question, choices, answer),
        question=question,
        answer=answer,
        reasoning=sections.get("reasoning", ""),
        choices=choices,
        tests=tests,
        evidence=sections.get("evidence", ""),
        discipline=attempt.seed.discipline,
        format=attempt.format,
        language=attempt.language,
        difficulty=attempt.difficulty,
        snippet=attempt.seed.text,
        page=attempt.seed.page,
        prompt=prompt.label,
        model=job.server.model,
        revision=job.server.revision,
        sampling={**job.sampling.model_dump(), "sample": 0},
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
    )
    reason = _misses(sections, prompt) or fault(item, prompt)
    if reason is not None:
        raise FormError(reason)
    return item


def _choices(text: str, prompt: Prompt) -> tuple[str, ...]:
    """The options without their letters. What stands on the lines after an option belongs to it."""
    options: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        found = _OPTION.fullmatch(line)
        if found and found[1] == letter(len(options)):
            options.append(found[2].strip())
        elif found or not options:
            raise FormError("options in another form")
        else:
            options[-1] += f"\n{line}"
    wanted = prompt.content.sections["choices"].options
    if len(options) != wanted if wanted else len(options) < 2:
        raise FormError("another number of options")
    if not all(options):
        raise FormError("an empty option")
    if len(set(map(_plain, options))) < len(options):
        raise FormError("equal options")
    return tuple(options)


def _letter(text: str, choices: tuple[str, ...]) -> str:
    """The letter of the option that an answer names, by its letter or by its text."""
    text = _LABEL.sub("", text).strip().strip("*").strip()
    found = split_letter(text)
    known = found is not None and found.letter in map(letter, range(len(choices)))
    if found is not None and known:
        named = _plain(narrow(choices[ord(found.letter) - ord("A")]))
        if not found.rest or _plain(found.rest).casefold().startswith(named.casefold()):
            return found.letter
    for alike in (_plain, lambda option: _plain(option).casefold()):
        same = [number for number, option in enumerate(choices) if alike(option) == alike(text)]
        if len(same) == 1:
            return letter(same[0])
    raise FormError("letter and text of the answer disagree" if known else "answer is none of the options")


def _answer(text: str, program: bool) -> str:
    """An answer without what models like to put around it."""
    return program_in(text) if program else _LABEL.sub("", text).strip().removeprefix("**").removesuffix("**")


def _without_speaker(question: str, prompt: Prompt) -> str:
    names = "|".join(re.escape(name) for section in prompt.content.sections.values() for name in section.speakers)
    return re.sub(rf"^[*_]*(?:{names})[*_]*[:：][*_]*\s*", "", question) if names else question


def _misses(sections: Mapping[str, str], prompt: Prompt) -> str | None:
    """What the prompt's file wants in a section, and is not there."""
    for name, section in prompt.content.sections.items():
        if section.table and not has_table(sections[name]):
            return "no table"
        if not all(_speaks(speaker, sections[name]) for speaker in section.speakers):
            return "not a dialogue"
    return None


def _speaks(speaker: str, text: str) -> bool:
    return re.search(rf"^[*_ ]*{re.escape(speaker)}[*_ ]*[:：]", text, re.MULTILINE) is not None


def _plain(text: str) -> str:
    """But for white space and the stop at the end. Case counts: mW is not MW."""
    return " ".join(text.split()).rstrip(".。;；")
