from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_server import Answer, Fake, said
from sapwood.corpus.annotate import annotate
from sapwood.corpus.store import SourceStore
from sapwood.corpus.topics import label as module
from sapwood.corpus.topics.apply import topics_step
from sapwood.corpus.topics.label import (
    SHIPPED,
    Label,
    Taxonomy,
    Topic,
    label_documents,
    load_taxonomy,
    parse_answer,
    prompt,
    read_labels,
    sample,
)
from sapwood.corpus.topics.train import Classifier, LinearClassifier, train_classifier
from sapwood.errors import SapwoodError
from sapwood.files import read_json, write_json
from sapwood.generation import connection
from sapwood.generation.cache import Cache, Completion, Request
from sapwood.generation.client import Failure
from sapwood.recipe.data import Engine, Labeller

pytestmark = pytest.mark.slow

WORDS = {
    "Plants": "tree leaf root sap bark ring branch seed soil forest".split(),
    "Stars": "star planet orbit galaxy telescope light comet moon dust sun".split(),
    "Law": "court judge law contract right party appeal statute trial jury".split(),
    "年轮": list("树木边材心材年轮生长"),
}
TAXONOMY = Taxonomy(
    name="small",
    language="en",
    topics=[Topic(name=name, description=f"All about {name}.") for name in [*WORDS, "Others"]],
    rest="Others",
)
COMMON = "the of and a to in is it that with".split()


def text_of(topic: str, chance: random.Random) -> str:
    words = chance.choices(WORDS[topic], k=12) + chance.choices(COMMON, k=25)
    chance.shuffle(words)
    return ("" if topic == "年轮" else " ").join(words)


def labels(count: int, seed: int = 0, topics: list[str] | None = None) -> list[Label]:
    chance = random.Random(seed)
    chosen = [chance.choice(topics or list(WORDS)) for _ in range(count)]
    return [Label(text_of(topic, chance), topic) for topic in chosen]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_taxonomies_of_the_paper_have_eleven_topics(name: str) -> None:
    taxonomy = load_taxonomy(name)
    assert len(taxonomy.topics) == 11
    assert taxonomy.language == name[-2:]
    assert all(len(topic.description) > 20 for topic in taxonomy.topics)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name: x\nlanguage: en\nrest: A\ntopics: [{name: A}, {name: B, description: b}]", "topics.0.description"),
        ("name: x\nlanguage: en\nrest: C\ntopics: [{name: A, description: a}, {name: B, description: b}]", "'C' is no"),
        (
            "name: x\nlanguage: en\nrest: A\ntopics: [{name: A, description: a}, {name: A, description: b}]",
            "two topics",
        ),
        ("name: x\nlanguage: en\nrest: A\nkind: y\ntopics: [{name: A, description: a}]", "kind"),
        ("- [", "not YAML"),
        ("text", "taxonomy"),
    ],
)
def test_broken_taxonomies_are_explained(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(SapwoodError, match=message):
        load_taxonomy(str(tmp_path / "own.yaml"))


def test_a_taxonomy_that_is_not_there() -> None:
    with pytest.raises(SapwoodError, match="Did you mean 'syne-en'"):
        load_taxonomy("syn-en")


@pytest.mark.parametrize(
    ("answer", "topic"),
    [
        ("Plants", "Plants"),
        (" plants.\n", "Plants"),
        ("**Plants**", "Plants"),
        ("2. Stars", "Stars"),
        ('The topic is "Law".', "Law"),
        ("Law\nBecause stars and plants do not fit.", "Law"),
        ("Plants or Stars", None),
        ("Lawful", None),
        ("", None),
        ("年轮。", "年轮"),
    ],
)
def test_answers_are_read_and_never_guessed(answer: str, topic: str | None) -> None:
    assert parse_answer(TAXONOMY, answer) == topic


def test_marks_are_part_of_an_answer() -> None:
    topics = [Topic(name=name, description=f"All about {name}.") for name in ("किताब", "कताब", "Others")]
    taxonomy = Taxonomy(name="marks", language="hi", topics=topics, rest="Others")
    assert parse_answer(taxonomy, "**किताब**।") == "किताब"
    assert parse_answer(taxonomy, "कताब") == "कताब"


def test_chinese_answers_need_no_spaces() -> None:
    taxonomy = load_taxonomy("syne-zh")
    assert parse_answer(taxonomy, "这篇文章的主题是医学与健康。") == "医学与健康"
    assert parse_answer(taxonomy, "医学与健康，或者其他") is None


def test_the_prompt_names_all_topics_in_the_language_of_the_taxonomy() -> None:
    english, chinese = (prompt(load_taxonomy(name), "{text} of a page") for name in SHIPPED)
    assert "Mathematics and Physics: " in english
    assert "{text} of a page" in english
    assert "11个主题" in chinese


def test_the_sample_is_even_and_grows(make_store: Callable[..., SourceStore]) -> None:
    stores = {
        "web": make_store([f"web {number}" for number in range(50)]),
        "book": make_store([f"book {number}" for number in range(3)], name="book"),
    }
    after: dict[str, tuple[str, ...]] = {"web": (), "book": ()}
    small, large = (sample(stores, after, count) for count in (10, 20))
    assert {row["id"] for row in small} < {row["id"] for row in large}
    assert [row["source"] for row in small].count("web") == 5
    assert [row["source"] for row in large].count("book") == 3
    assert sample(stores, after, 10) == small


def test_labels_are_what_the_model_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(server: Any, requests: list[Request], cache: Cache, advance: Any) -> list[Completion | Failure]:
        assert "tree" in requests[0].messages[0]["content"]
        assert "xxxxx" not in requests[0].messages[0]["content"]
        texts = ["Plants", "no idea", None]
        return [Failure("busy") if text is None else Completion(text, "stop", 10, 1) for text in texts]

    monkeypatch.setattr(module, "complete", answer)
    documents = [{"id": str(n), "source": "web", "text": "tree" + " " * 50 + "xxxxx"} for n in range(3)]
    found = label_documents(documents, TAXONOMY, Labeller(url="u", model="m", characters=50), tmp_path)
    assert found == (1, 1, 1, 22)
    assert read_labels(tmp_path / "labels.jsonl", TAXONOMY) == [Label("tree" + " " * 46, "Plants")]


def test_a_document_that_is_never_answered_is_given_up(
    serve: Callable[[Answer], Fake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_SECONDS", 0.001)
    fake = serve(lambda body, _: (500, {}) if "beetle" in str(body) else (200, said("Plants")))
    labeller = Labeller(url=fake.url, model="m", parallel=1)
    documents = [{"id": word, "source": "web", "text": word} for word in ("tree", "beetle", "leaf")]
    found = [label_documents(documents, TAXONOMY, labeller, tmp_path) for _ in range(4)]
    assert {(labelled.labels, labelled.failed) for labelled in found} == {(2, 1)}
    asked = len(fake.bodies)
    label_documents(documents, TAXONOMY, labeller, tmp_path)
    assert len(fake.bodies) == asked


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a"}', ":2: expected an object"),
        ('{"text": "a", "topic": "Law?"}', "no topic of small"),
        ("x", ":2:"),
    ],
)
def test_broken_labels_are_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "l.jsonl").write_text(json.dumps({"text": "a", "topic": "Law"}) + "\n" + line)
    with pytest.raises(SapwoodError, match=message):
        read_labels(tmp_path / "l.jsonl", TAXONOMY)
    with pytest.raises(SapwoodError, match="no labels in"):
        read_labels(tmp_path / "none.jsonl", TAXONOMY)


def test_a_classifier_is_worth_what_its_report_says(tmp_path: Path) -> None:
    report = train_classifier(labels(300), TAXONOMY, tmp_path / "c", confidence=0.5)
    assert report["held_out"] == pytest.approx(60, abs=3)
    assert report["accuracy"] > 0.95
    assert report["accuracy_interval"][0] < report["accuracy"] <= report["accuracy_interval"][1]
    assert sum(map(sum, report["confusion"])) == report["held_out"]
    assert [line["topic"] for line in report["topics"]] == TAXONOMY.names
    assert read_json(tmp_path / "c" / "report.json") == report
    classifier = Classifier.load(tmp_path / "c")
    fresh = labels(100, seed=9)
    shares = classifier.probabilities([label.text for label in fresh])
    assert shares.sum(axis=1) == pytest.approx(np.ones(100))
    right = [TAXONOMY.names[best] == label.topic for best, label in zip(shares.argmax(axis=1), fresh, strict=True)]
    assert np.mean(right) > 0.95
    again = train_classifier(labels(300), TAXONOMY, tmp_path / "d", confidence=0.5)
    varying = ("seconds_per_document", "training_seconds")
    assert {k: v for k, v in again.items() if k not in varying} == {k: v for k, v in report.items() if k not in varying}
    assert np.array_equal(
        Classifier.load(tmp_path / "d").probabilities(["tree star"]), classifier.probabilities(["tree star"])
    )
    assert not list(tmp_path.rglob("*.pkl"))


def test_few_labels_and_two_topics(tmp_path: Path) -> None:
    report = train_classifier(
        labels(40, topics=["Plants", "Stars"]) + labels(1, topics=["Law"]), TAXONOMY, tmp_path / "c", confidence=0
    )
    assert report["labels"] == 41
    train_classifier(labels(40, topics=["Plants", "Stars"]), TAXONOMY, tmp_path / "two", confidence=0)
    assert (
        Classifier.load(tmp_path / "two").probabilities(["tree leaf root sap bark ring branch seed"])[0].argmax() == 0
    )
    with pytest.raises(SapwoodError, match="two are the least"):
        train_classifier(labels(9, topics=["Law"]), TAXONOMY, tmp_path / "one", confidence=0)


def test_odd_texts_have_a_topic_too() -> None:
    found = [label.text for label in labels(40)]
    model = LinearClassifier.fit(found, np.arange(40) % 2, 2)
    assert np.isfinite(model.logits(["", "。", "x" * 100_000, "\x00"])).all()
    assert model.logits([]).shape == (0, 2)


def test_documents_get_their_topic_or_the_rest(make_store: Callable[..., SourceStore], tmp_path: Path) -> None:
    train_classifier(labels(300), TAXONOMY, tmp_path / "c", confidence=0.5)
    store = make_store([label.text for label in labels(20, seed=3)] + [" ".join(COMMON)])
    annotate(store, topics_step(tmp_path / "c", 0.9, ()), Engine(workers=1))
    found = [value for batch in store.read_all({"topics": ["topic"]}) for value in batch["topics.topic"].to_pylist()]
    assert found[:20] == [label.topic for label in labels(20, seed=3)]
    assert found[20] == "Others"
    with pytest.raises(SapwoodError, match="no classifier in"):
        topics_step(tmp_path / "none", 0.5, ())
    description = tmp_path / "c" / "classifier.json"
    write_json(description, {**read_json(description), "words": 1}, sealed=True)
    with pytest.raises(SapwoodError, match="cut words otherwise"):
        topics_step(tmp_path / "c", 0.9, ())


def test_an_encoder_may_classify(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", *dict.fromkeys(word for words in [*WORDS.values(), COMMON] for word in words)]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path / "bert")
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    found = labels(60, topics=["Plants", "Stars"])
    report = train_classifier(found, TAXONOMY, tmp_path / "c", confidence=0.3, encoder=tmp_path / "bert")
    assert report["kind"] == "encoder"
    classifier = Classifier.load(tmp_path / "c")
    texts = [label.text for label in found[:5]]
    assert classifier.probabilities(texts).shape == (5, 5)
    assert classifier.probabilities(texts)[2] == pytest.approx(classifier.probabilities(texts[2:3])[0], abs=1e-5)
    with pytest.raises(SapwoodError, match="cannot be loaded"):
        train_classifier(found, TAXONOMY, tmp_path / "d", confidence=0, encoder=tmp_path)
