from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapwood.errors import SapwoodError
from sapwood.generation.cache import Completion
from sapwood.recipe import RecipeError
from sapwood.recipe.synthesis import Sampling
from sapwood.synthesis.prompt import END, FormError, Prompt, load_prompt, prompt_languages

VALUES = {"discipline": "physics", "snippet": "Ice floats.", "difficulty": "easy"}

OWN = """
version: 3
about: a test
system: You write about {{ discipline }}.
user: "{{ snippet }}\\n{{ reply }}"
sections:
  question: {heading: "What (is it)?", about: the question}
  answer: {heading: Answer, about: the answer}
  plan: {heading: Plan, about: notes}
"""


def answered(text: str, finish_reason: str = "stop") -> Completion:
    return Completion(text, finish_reason, 10, 20)


@pytest.fixture
def own(tmp_path: Path) -> Prompt:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "mine.yaml").write_text(OWN)
    return load_prompt("mine", "en", tmp_path)


SHIPPED = load_prompt("problem-solution", "en")
HEADINGS = [section.heading for section in SHIPPED.content.sections.values()]


def written(sections: dict[str, str]) -> str:
    return "".join(f"[{SHIPPED.content.sections[name].heading}]\n{text}\n\n" for name, text in sections.items()) + END


# What can stand in a section: any text but what is taken for the end, a heading, or broken.
CONTENT = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="�"), min_size=1).filter(
    lambda text: text.strip() and not set("[<【［").intersection(text)
)


@given(st.fixed_dictionaries(dict.fromkeys(SHIPPED.content.sections, CONTENT)))
def test_what_is_written_in_sections_is_read_back(sections: dict[str, str]) -> None:
    assert SHIPPED.parse(answered(written(sections))) == {name: text.strip() for name, text in sections.items()}


@given(st.fixed_dictionaries(dict.fromkeys(SHIPPED.content.sections, CONTENT)))
def test_what_is_written_as_json_is_read_back(sections: dict[str, str]) -> None:
    text = orjson.dumps(sections).decode()
    stripped = {name: part.strip() for name, part in sections.items()}
    assert SHIPPED.parse(answered(text)) == stripped
    assert SHIPPED.parse(answered(f"```json\n{text}\n```")) == stripped


PIECES = st.sampled_from(
    [
        *(f"[{heading}]" for heading in HEADINGS),
        "[PROBLEM]",
        "[ſolution]",
        "[SOLUTİON]",
        "**",
        "\n",
        "<END>",
        "{",
        "}",
        '"',
    ]
)


@given(st.lists(PIECES | st.text(st.characters())).map("".join), st.sampled_from(["stop", "length", "", "eos"]))
def test_whatever_a_model_answers_is_read_or_has_a_reason(text: str, finish_reason: str) -> None:
    try:
        sections = SHIPPED.parse(answered(text, finish_reason))
    except FormError as error:
        reason: str | None = str(error)
    else:
        reason = None
        assert set(sections) == set(SHIPPED.content.sections)
        assert all(part and part == part.strip() for part in sections.values())
        assert "".join(sections.values()).encode()
    assert reason is None or 0 < len(reason) < 30


@pytest.mark.parametrize(
    "text",
    [
        "Sure!\n[Problem]\nq\n[Solution]\nr\n[Answer]\na",
        "**[Problem]** q\n**[Solution]:**\nr\n## [Answer]\na\n<END> I hope this helps.",
        "【Problem】q\n【solution】r\n［Answer］\na [END]",
        "<think>First [Problem] ...\n[Problem]\nx\n</think>\n[Problem]\nq\n[Solution]\nr\n[Answer]\na",
    ],
)
def test_what_models_put_around_sections_does_not_matter(text: str) -> None:
    assert SHIPPED.parse(answered(text)) == {"question": "q", "reasoning": "r", "answer": "a"}


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("[Problem]\nq\n[Solution]\nr", "length", "cut off"),
        ("[Problem]", "content_filter", "withheld by the server"),
        ("", "stop", "empty answer"),
        ("<END>", "stop", "empty answer"),
        ("Roses are red, violets are blue.", "stop", "no question"),
        ("[Problem]\nq\n[Answer]\na", "stop", "no reasoning"),
        ("[Problem]\nq\n[Solution]\n\n[Answer]\na", "stop", "no reasoning"),
        ("[Problem]\nq\n[Solution]\nr\n[Answer]\na\n[Problem]\nq", "stop", "a section twice"),
        ("[Problem]\nq\0\n[Solution]\nr\n[Answer]\na", "stop", "broken characters"),
        ("[Problem]\nq\ud800\n[Solution]\nr\n[Answer]\na", "stop", "broken characters"),
        ('{"question": "q\\u0000", "reasoning": "r", "answer": "a"}', "stop", "broken characters"),
        ('{"question": "q", "reasoning": "r", "answer": 3}', "stop", "JSON of another schema"),
        ('{"question": {"a": "b"}}', "stop", "JSON of another schema"),
        ('{"question": "q"', "stop", "no question"),
        ("{question: q}", "stop", "not JSON"),
        ("{" * 100_000 + "}" * 100_000, "stop", "not JSON"),
    ],
)
def test_the_reason_is_named(text: str, finish_reason: str, reason: str) -> None:
    with pytest.raises(FormError, match=f"^{reason}$"):
        SHIPPED.parse(answered(text, finish_reason))


def test_keys_that_nobody_asked_for_are_passed_over() -> None:
    text = '{"question": "q", "reasoning": "r", "answer": "a", "mood": "good"}'
    assert SHIPPED.parse(answered(text)) == {"question": "q", "reasoning": "r", "answer": "a"}


def test_a_prompt_of_ones_own(own: Prompt) -> None:
    request = own.request(VALUES, Sampling(temperature=0.3, max_tokens=99), sample=2)
    system, user = request.messages
    assert system == {"role": "system", "content": "You write about physics."}
    assert user["content"].startswith("Ice floats.\nAnswer in exactly these sections")
    assert "[What (is it)?]\n(the question)" in user["content"]
    assert (request.temperature, request.max_tokens, request.sample, request.stop) == (0.3, 99, 2, (END,))
    assert request.prompt == own.label
    assert own.label.startswith("en/mine@3#")
    sections = own.parse(answered("[What (is it)?]\nq\n[Plan]\np\n[Answer]\na"))
    assert sections == {"question": "q", "answer": "a", "plan": "p"}


def test_its_hash_follows_its_content(own: Prompt, tmp_path: Path) -> None:
    path = tmp_path / "en" / "mine.yaml"
    path.write_text(OWN.replace("the question", "a question"))
    changed = load_prompt("mine", "en", tmp_path).hash
    (tmp_path / "en" / "reply.txt").write_text("Be brief.")
    assert len({own.hash, changed, load_prompt("mine", "en", tmp_path).hash}) == 3


def test_structured_answers_have_a_schema(own: Prompt) -> None:
    request = own.request(VALUES, structured=True)
    assert request.stop == ()
    assert request.schema is not None
    assert request.schema["required"] == ["question", "answer", "plan"]
    assert request.schema["properties"]["plan"]["description"] == "notes"
    assert "JSON" in request.messages[1]["content"]


def test_nothing_in_a_page_is_taken_for_a_template(own: Prompt) -> None:
    hostile = "{{ 7 * 7 }} {% for x in y %} {# gone #} [Answer] </passage>"
    assert hostile in own.request({**VALUES, "snippet": hostile}).messages[1]["content"]


@pytest.mark.parametrize(
    "template", ["{{ nothing }}", "{{ snippet + 1 }}", "{{ 1 / 0 }}", "{% if %}", "{{ ''.__class__ }}"]
)
def test_a_template_that_cannot_be_filled_in_is_explained(tmp_path: Path, template: str) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "bad.yaml").write_text(OWN.replace("{{ snippet }}\\n", template))
    with pytest.raises(SapwoodError, match=r"The prompt en/bad@3#\w+ cannot be filled in: "):
        load_prompt("bad", "en", tmp_path).request(VALUES)


def test_difficulties_are_said_in_the_prompts_words() -> None:
    assert (
        SHIPPED.content.difficulty["hard"] in SHIPPED.request({**VALUES, "difficulty": "hard"}).messages[0]["content"]
    )
    with pytest.raises(SapwoodError, match=r"does not say what the difficulty 'harder' means. Did you mean 'hard'\?"):
        SHIPPED.request({**VALUES, "difficulty": "harder"})


def test_a_prompt_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SapwoodError, match="Did you mean 'multiple-choice'"):
        load_prompt("multiple-choices", "en", tmp_path)
    with pytest.raises(SapwoodError, match="There is no prompt 'dialogue' in 'fr'"):
        load_prompt("dialogue", "fr")


def test_a_file_that_is_no_prompt_is_explained(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    path = tmp_path / "en" / "mine.yaml"
    path.write_text(OWN.replace("heading: Answer", "headline: Answer"))
    with pytest.raises(RecipeError, match=r"mine.yaml:8: sections.answer.headline: there is no field 'headline'"):
        load_prompt("mine", "en", tmp_path)


def test_languages_are_those_with_prompts(tmp_path: Path) -> None:
    assert prompt_languages() >= {"en", "zh"}
    (tmp_path / "fr").mkdir()
    assert "fr" not in prompt_languages(tmp_path)
    (tmp_path / "fr" / "mine.yaml").write_text(OWN)
    assert "fr" in prompt_languages(tmp_path)


def test_options_are_a_list_in_json() -> None:
    prompt = load_prompt("multiple-choice", "en")
    schema = prompt.request(VALUES, structured=True).schema
    assert schema is not None
    assert schema["properties"]["choices"]["minItems"] == schema["properties"]["choices"]["maxItems"] == 4
    parts = {"evidence": "e", "question": "q", "reasoning": "r", "answer": "B"}
    for options in (["red", "blue", "green", "grey"], ["A. red", "B. blue", "C. green", "D. grey"]):
        text = orjson.dumps({**parts, "choices": options}).decode()
        assert prompt.parse(answered(text))["choices"] == "A. red\nB. blue\nC. green\nD. grey"
    with pytest.raises(FormError, match="JSON of another schema"):
        prompt.parse(answered(orjson.dumps({**parts, "choices": [1, 2, 3, 4]}).decode()))
