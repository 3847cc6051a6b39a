"""Prompts: files that anybody can copy and change. One renders to a request, and reads the answer's parts back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import orjson
import xxhash
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import Field

from sapwood.errors import SapwoodError, closest
from sapwood.generation.cache import Completion, Request
from sapwood.recipe.document import read_document
from sapwood.recipe.fields import Strict
from sapwood.recipe.synthesis import Sampling

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


SHIPPED = Path(__file__).with_name("prompts")
END = "<END>"
"""What the model is asked to finish with, and where its answer is cut."""

_GREEDY = Sampling(temperature=0.0)
_END = re.compile(r"[<\[]/?END[>\]]", re.IGNORECASE)
_STOPPED = {"length": "cut off", "content_filter": "withheld by the server"}
_BROKEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffd]")
"""What no text has: control characters, halves of characters, and the sign for what could not be decoded."""
_FILLED_IN = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_JSON = re.compile(r"(?:```(?:json)?\s*)?(\{.*\})(?:\s*```)?", re.DOTALL)


class FormError(ValueError):
    """Why an answer cannot be read, as a phrase that can be counted."""


class Section(Strict):
    """A part of the answer."""

    heading: str
    """What it is called in the answer, as `[Heading]`; the key in JSON is the field's own name."""
    about: str
    """What belongs in it."""
    options: Annotated[int | None, Field(ge=2, le=10)] = None
    """Of `choices`: how many there must be. Without it, any number from two on."""
    table: bool = False
    """Whether a Markdown table must stand in it."""
    speakers: list[str] = Field(default_factory=list)
    """Who must speak in it, each at the beginning of a line and before a colon."""


class PromptFile(Strict):
    """What stands in a prompt's file."""

    version: Annotated[int, Field(gt=0)]
    """Goes up with every change."""
    about: str
    """What it is for."""
    difficulty: dict[str, str] = Field(default_factory=dict)
    """What the difficulties mean here, by their names in the job. Without any, the templates get the bare name."""
    system: str | None = None
    """A system message, as a Jinja template."""
    user: str
    """The user's message, as a Jinja template. `reply` says how the answer must look."""
    sections: Annotated[dict[str, Section], Field(min_length=1)]
    """What the answer consists of, in order, by the name under which it is read back."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt in one language."""

    name: str
    language: str
    content: PromptFile
    reply: str
    """The template of `reply`."""
    hash: str
    """Of the file."""

    @property
    def wording(self) -> str:
        """All that the prompt itself says, without what is filled in."""
        sections = "\n".join(section.about for section in self.content.sections.values())
        parts = [self.content.system or "", self.content.user, self.reply, sections]
        return _FILLED_IN.sub("\n", "\n".join(parts))

    @property
    def label(self) -> str:
        """How records name it."""
        return f"{self.language}/{self.name}@{self.content.version}#{self.hash}"

    def request(
        self, values: Mapping[str, Any], sampling: Sampling = _GREEDY, *, structured: bool = False, sample: int = 0
    ) -> Request:
        """The request with `values` in the template. Raises SapwoodError where the template wants others."""
        if "difficulty" in values:
            values = {**values, "difficulty": self._difficulty(values["difficulty"])}
        reply = self._render(self.reply, {"sections": self.content.sections, "structured": structured, "end": END})
        roles = {"system": self.content.system, "user": self.content.user}
        messages = tuple(
            {"role": role, "content": self._render(template, {**values, "reply": reply})}
            for role, template in roles.items()
            if template is not None
        )
        return Request(
            messages,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            stop=() if structured else (END,),
            schema=self._schema() if structured else None,
            prompt=self.label,
            sample=sample,
        )

    def parse(self, completion: Completion) -> dict[str, str]:
        """The sections of the answer, stripped, by name. Raises FormError where one is missing, or it was cut off."""
        if completion.finish_reason in _STOPPED:
            raise FormError(_STOPPED[completion.finish_reason])
        # Reasoning models may think aloud first, and name the sections as they do.
        text = _END.split(completion.text.rpartition("</think>")[2])[0].strip()
        if not text:
            raise FormError("empty answer")
        json = _JSON.fullmatch(text)
        return self._from_json(json[1]) if json else self._from_sections(text)

    def _from_sections(self, text: str) -> dict[str, str]:
        names = list(self.content.sections)
        headings = "|".join(f"({re.escape(section.heading)})" for section in self.content.sections.values())
        # Models like to set headings in bold, to put a colon behind them, and in Chinese to write wide brackets.
        heading = re.compile(rf"^[#* \t]*[\[【［](?:{headings})[\]】］][*:：]*", re.IGNORECASE | re.MULTILINE)
        marks = list(heading.finditer(text))
        found: dict[str, str] = {}
        for mark, following in itertools.zip_longest(marks, marks[1:]):
            name = names[(mark.lastindex or 1) - 1]
            if name in found:
                raise FormError("a section twice")
            found[name] = text[mark.end() : following.start() if following else None].strip()
        return self._complete(found)

    def _from_json(self, text: str) -> dict[str, str]:
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise FormError("not JSON") from None
        if not isinstance(value, dict):
            raise FormError("JSON of another schema")
        found = {name: _text(value[name]) for name in self.content.sections if name in value}
        return self._complete(found)

    def _complete(self, found: dict[str, str]) -> dict[str, str]:
        for name in self.content.sections:
            if not found.get(name):
                raise FormError(f"no {name}")
        if any(map(_BROKEN.search, found.values())):
            raise FormError("broken characters")
        return found

    def _difficulty(self, name: str) -> str:
        meanings = self.content.difficulty
        if meanings and name not in meanings:
            raise SapwoodError(
                f"The prompt {self.label} does not say what the difficulty '{name}' means. {closest(name, meanings)} "
                "Or say it in a prompt of your own, under `difficulty:`."
            )
        return meanings.get(name, name)

    def _schema(self) -> dict[str, Any]:
        properties = {
            name: {**_kind(section), "description": section.about} for name, section in self.content.sections.items()
        }
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def _render(self, template: str, values: Mapping[str, Any]) -> str:
        try:
            return _environment().from_string(template).render(values).strip()
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise SapwoodError(f"The prompt {self.label} cannot be filled in: {error}") from None


def _kind(section: Section) -> dict[str, Any]:
    """What a section is in JSON: a text, or a list of so many options."""
    if not section.options:
        return {"type": "string"}
    count = section.options
    return {"type": "array", "items": {"type": "string"}, "minItems": count, "maxItems": count}


def _text(part: object) -> str:
    """A section that came as JSON, as it would stand under its heading; options get their letters, if they have none.

    Raises FormError for what is neither a text nor a list of them.
    """
    if isinstance(part, str):
        return part.strip()
    if not isinstance(part, list) or not all(isinstance(option, str) for option in part):
        raise FormError("JSON of another schema")
    letters = [f"{chr(ord('A') + number)}. " for number in range(len(part))]
    return "\n".join(mark + option.strip().removeprefix(mark) for mark, option in zip(letters, part, strict=True))


def prompt_languages(own: Path | None = None) -> set[str]:
    """The languages in which there are prompts, in the directory `own` or shipped."""
    return {path.parent.name for root in (own, SHIPPED) if root is not None for path in root.glob("*/*.yaml")}


def load_prompt(name: str, language: str, own: Path | None = None) -> Prompt:
    """The prompt `LANGUAGE/NAME.yaml` in the directory `own`, or else the one that ships.

    Raises SapwoodError where there is none, and RecipeError where the file is not what it should be.
    """
    path = _find(name, language, own)
    content = read_document(path, (), PromptFile, lambda _: ())
    reply = _find("reply", language, own).with_suffix(".txt").read_text(encoding="utf-8")
    digest = xxhash.xxh3_64_hexdigest(path.read_bytes() + reply.encode())[:8]
    return Prompt(name, language, content, reply, digest)


def prompts_fingerprint(own: Path | None) -> str:
    """Identifies all prompts there are, with those in the directory `own`."""
    digest = xxhash.xxh3_128()
    for directory in [SHIPPED, *([] if own is None else [own])]:
        for path in sorted(directory.rglob("*.*")):
            digest.update(f"{path.relative_to(directory)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _find(name: str, language: str, own: Path | None) -> Path:
    ending = ".txt" if name == "reply" else ".yaml"
    for directory in (own, SHIPPED):
        if directory is not None and (path := directory / language / f"{name}{ending}").is_file():
            return path
    places = [directory / language for directory in (own, SHIPPED) if directory is not None]
    there = {path.stem for place in places for path in place.glob(f"*{ending}")}
    raise SapwoodError(
        f"There is no prompt '{name}' in '{language}'. {closest(name, there)} Own ones go into `prompts: DIRECTORY`, "
        f"as {language}/{name}{ending}."
    )


@cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
