"""Our evaluator and lm-evaluation-harness: the same questions get the same answers, and the same templates the same
questions. Skipped where it is not installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import processors
from transformers import AutoTokenizer

from exams import choice_task, choices, problems, write_rows, writing_task
from sapwood.errors import SapwoodError
from sapwood.recipe.suite import Suite, load_task, shipped
from sapwood.recipe.task import Shots, Task
from sapwood.suites.evaluator import EvaluatedModel, TorchEvaluator
from sapwood.suites.judge import judge_choice
from sapwood.suites.question import Question, put_questions
from sapwood.suites.task_item import load_task_items

lm_eval = pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness: pip install 'sapwood[eval]'")
from lm_eval import simple_evaluate  # noqa: E402
from lm_eval.loggers import EvaluationTracker  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from sapwood.suites.harness import HarnessEvaluator, loglikelihoods_of  # noqa: E402
from sapwood.suites.harness_log import read_harness_log  # noqa: E402
from sapwood.suites.harness_tasks import write_harness_tasks  # noqa: E402

pytestmark = pytest.mark.slow

SHIPPED = Path(lm_eval.__file__).parent / "tasks"


@pytest.fixture(scope="module")
def ours(tiny_backbone: Path) -> TorchEvaluator:
    return TorchEvaluator(EvaluatedModel.open(tiny_backbone, "fp32"))


@pytest.fixture(scope="module")
def theirs(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> HarnessEvaluator:
    arguments = {"dtype": "float32", "device": "cpu"}
    return HarnessEvaluator.open(tiny_backbone, tmp_path_factory.mktemp("harness"), arguments=arguments)


@pytest.fixture
def begun(tiny_backbone: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Writes the tiny base model with a tokenizer that puts something around a text, as that of Gemma does."""

    def write(template: str) -> Path:
        directory = shutil.copytree(tiny_backbone, tmp_path / "begun")
        tokenizer = AutoTokenizer.from_pretrained(directory)
        tokenizer.bos_token = "<|im_start|>"
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[("<|im_start|>", 1), ("<|endoftext|>", 0)]
        )
        tokenizer.save_pretrained(directory)
        return directory

    return write


def put(task: Task, directory: Path) -> list[Question]:
    return put_questions(task, load_task_items(task, directory))


@pytest.mark.parametrize(
    "task",
    [
        choice_task(),
        choice_task(metric="letters", shots=Shots(count=2)),
        choice_task(delimiter="", cloze="问：{{ question }}\n答："),
        writing_task(shots=Shots(count=1), stop=["e", "\n"], max_tokens=12),
    ],
    ids=["choice", "letters", "without-delimiter", "writing"],
)
def test_the_same_questions_get_the_same_answers(
    ours: TorchEvaluator, theirs: HarnessEvaluator, tmp_path: Path, task: Task
) -> None:
    write_rows(tmp_path / "exam.jsonl", choices(9))
    write_rows(tmp_path / "sums.jsonl", problems(6))
    questions = put(task, tmp_path)
    mine, other = ours.answer(task, questions), theirs.answer(task, questions)
    assert mine.texts == other.texts
    for forms, expected in zip(mine.loglikelihoods, other.loglikelihoods, strict=True):
        assert set(forms) == set(expected)
        for form, values in forms.items():
            assert values == pytest.approx(expected[form], abs=1e-4)


@pytest.mark.parametrize(
    ("begin", "first"), [("auto", ["<|im_start|>"]), ("none", []), ("<|im_start|>", ["<|im_start|>"])]
)
def test_prompts_begin_once_and_alike(
    begun: Callable[[str], Path], tmp_path: Path, begin: str, first: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = begun("<|im_start|> $A")
    mine = TorchEvaluator(EvaluatedModel.open(model, "fp32", begin=begin))
    arguments = {"dtype": "float32", "device": "cpu"}
    other = HarnessEvaluator.open(model, tmp_path / "harness", arguments=arguments, begin=begin)
    read: list[list[str]] = []
    encode = other.model.tok_encode

    def recorded(*given: Any, **named: Any) -> list[int]:
        ids: list[int] = encode(*given, **named)
        read.append(other.model.tokenizer.convert_ids_to_tokens(ids))
        return ids

    monkeypatch.setattr(other.model, "tok_encode", recorded)
    write_rows(tmp_path / "exam.jsonl", choices(4))
    write_rows(tmp_path / "sums.jsonl", problems(3))
    for task in (choice_task(), writing_task(shots=Shots(count=1), stop=["\n"], max_tokens=6)):
        questions = put(task, tmp_path)
        ours, theirs = mine.answer(task, questions), other.answer(task, questions)
        assert ours.texts == theirs.texts
        for forms, expected in zip(ours.loglikelihoods, theirs.loglikelihoods, strict=True):
            for form, values in forms.items():
                assert values == pytest.approx(expected[form], abs=1e-4)
    fronts = {tuple(token for token in tokens if token.startswith("<|")) for tokens in read}
    assert fronts <= {tuple(first), ()}  # of an option without a question, nothing but its tokens
    assert tuple(first) in fronts


def test_too_long_a_prompt_loses_its_own_beginning_alone(
    begun: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = begun("<|im_start|> $A")
    mine = TorchEvaluator(EvaluatedModel.open(model, "fp32"))
    other = HarnessEvaluator.open(model, tmp_path / "harness", arguments={"dtype": "float32", "device": "cpu"})
    read: list[list[int]] = []
    other.model.model.register_forward_pre_hook(
        lambda module, args, given: read.extend((given.get("input_ids") if not args else args[0]).tolist()),
        with_kwargs=True,
    )
    exam = [{**row, "question": "年 " * 200 + row["question"]} for row in choices(2)]
    sums = [{**row, "question": "年 " * 200 + row["question"]} for row in problems(2)]
    write_rows(tmp_path / "exam.jsonl", exam)
    write_rows(tmp_path / "sums.jsonl", sums)
    for task in (choice_task(metric="letters"), writing_task(shots=Shots(count=0), stop=["\n"], max_tokens=6)):
        questions = put(task, tmp_path)
        ours, theirs = mine.answer(task, questions), other.answer(task, questions)
        assert ours.cuts == theirs.cuts == [True] * len(questions)
        assert ours.texts == theirs.texts
        for forms, expected in zip(ours.loglikelihoods, theirs.loglikelihoods, strict=True):
            assert forms["letters" if "letters" in forms else "solution"] == pytest.approx(
                expected["letters" if "letters" in expected else "solution"], abs=1e-4
            )
    assert max(map(len, read)) <= 256
    assert all(1 in row for row in read if len(row) > 200)  # what begins every text


def test_a_beginning_that_the_harness_cannot_put_is_refused(begun: Callable[[str], Path], tmp_path: Path) -> None:
    model = begun("<|im_start|> $A <|endoftext|>")
    assert EvaluatedModel.open(model).encoder.delimiters.begin == (1,)
    with pytest.raises(SapwoodError, match=r"begin with <\|im_start\|>, and .*harness would put other tokens around"):
        HarnessEvaluator.open(model, tmp_path, arguments={"device": "cpu"})
    with pytest.raises(SapwoodError, match=r"end with <\|im_start\|>, and .*harness goes by what the tokenizer names"):
        HarnessEvaluator.open(model, tmp_path, arguments={"device": "cpu"}, begin="none", end="<|im_start|>")


def test_the_harness_scores_options_as_we_do(ours: TorchEvaluator, theirs: HarnessEvaluator, tmp_path: Path) -> None:
    write_rows(tmp_path / "exam.jsonl", choices(24))
    task = choice_task()
    questions = put(task, tmp_path)
    names = write_harness_tasks(task, questions, tmp_path / "tasks")
    samples = theirs.run(list(names.values()), tmp_path / "tasks")
    answers = ours.answer(task, questions)
    metrics = {
        "acc": "cloze",
        "acc_norm": "cloze-characters",
        "acc_bytes": "cloze-bytes",
        "acc_mutual_info": "cloze-pmi",
    }
    found = sorted(samples[names["cloze"]], key=lambda sample: int(sample["doc_id"]))
    for sample, question, likelihoods in zip(found, questions, answers.loglikelihoods, strict=True):
        scores = judge_choice(task, question, likelihoods, cut=False).scores
        assert {metric: sample[metric] for metric in metrics} == {
            metric: scores[measure] for metric, measure in metrics.items()
        }


def own_task(name: str, file: str, directory: Path, **changes: Any) -> str:
    """A task of the harness as it ships, with our items in place of those on the hub."""
    config = {
        "include": str(SHIPPED / file),
        "task": f"local_{name.replace('-', '_')}",
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {"test": str(directory / f"{name}-test.jsonl"), **changes.pop("more", {})},
            "cache_dir": str(directory / "cache"),
        },
        "training_split": None,
        "validation_split": None,
        "test_split": "test",
        **changes,
    }
    (directory / "own").mkdir(exist_ok=True)
    (directory / "own" / f"{name}.yaml").write_text(json.dumps(config))
    return str(config["task"])


def logged(evaluator: HarnessEvaluator, task: str, directory: Path, shots: int = 0) -> dict[str, list[Any]]:
    """Runs a task of `own_task` as `lm_eval --log_samples --output_path DIRECTORY/log` does; gives its samples."""
    manager = TaskManager(include_path=str(directory / "own"), include_defaults=False)
    found = simple_evaluate(
        model=evaluator.model,
        tasks=[task],
        num_fewshot=shots,
        task_manager=manager,
        log_samples=True,
        bootstrap_iters=0,
    )
    samples = found.pop("samples")
    tracker = EvaluationTracker(output_path=str(directory / "log"))
    tracker.general_config_tracker.model_name_sanitized = "tiny"
    tracker.save_results_aggregated(found, samples)
    for name, rows in samples.items():
        tracker.save_results_samples(name, [dict(row) for row in rows])
    return dict(samples)


ARC = [
    {
        "id": f"q{number}",
        "question": row["question"],
        "choices": {"text": row["options"], "label": list("1234")},
        "answerKey": str(row["answer"] + 1),
    }
    for number, row in enumerate(choices(8))
]
SCIQ = [
    {
        "support": " the old heart",
        "question": row["question"],
        **{f"distractor{at}": f"{row['options'][at]} {at}" for at in (1, 2, 3)},
        "correct_answer": row["options"][0],
    }
    for row in choices(8)
]
MMLU = [
    {"question": f" {row['question']} ", "choices": row["options"], "answer": row["answer"], "subject": "old_wood"}
    for row in choices(12)
]


@pytest.mark.parametrize(
    ("name", "file", "rows", "form", "measures"),
    [
        ("arc-easy", "arc/arc_easy.yaml", ARC, "cloze", {"acc": "cloze", "acc_norm": "cloze-characters"}),
        ("sciq", "sciq/sciq.yaml", SCIQ, "cloze", {"acc": "cloze", "acc_norm": "cloze-characters"}),
        ("mmlu", "mmlu/default/_default_template_yaml", MMLU, "letters", {"acc": "letters"}),
    ],
)
def test_our_tasks_ask_and_score_as_the_harnesss_own(
    ours: TorchEvaluator,
    theirs: HarnessEvaluator,
    tmp_path: Path,
    name: str,
    file: str,
    rows: list[dict[str, Any]],
    form: Any,
    measures: dict[str, str],
) -> None:
    shots = 2 if name == "mmlu" else 0
    write_rows(tmp_path / f"{name}-test.jsonl", rows[shots:])
    write_rows(tmp_path / f"{name}-dev.jsonl", rows[:shots])
    changes: dict[str, Any] = {}
    if name == "mmlu":
        changes = {
            "more": {"dev": str(tmp_path / "mmlu-dev.jsonl")},
            # The subjects' own files have nothing but this beside the template.
            "description": "The following are multiple choice questions (with answers) about old wood.\n\n",
        }
    task = load_task(name)
    task = task.model_copy(update={"shots": task.shots.model_copy(update={"count": shots})})
    own = own_task(name, file, tmp_path, **changes)
    samples = logged(theirs, own, tmp_path, shots)
    suite = Suite("test", "", {name: task.model_copy(update={"lm_eval": own})})
    result = read_harness_log(tmp_path / "log", suite)[name]
    assert (result.metric, result.chance) == ("acc", 1 / len(samples[own][0]["resps"]))
    questions = put(task, tmp_path)
    answers = ours.answer(task, questions)
    [found] = samples.values()
    for sample, item, question, likelihoods in zip(found, result.items, questions, answers.loglikelihoods, strict=True):
        context = question.pairs[form][0].context
        assert {arguments[0] for arguments in sample["arguments"]} == {context}
        asked = [arguments[1] for arguments in sample["arguments"]]
        mine = dict(zip([pair.continuation for pair in question.pairs[form]], likelihoods[form], strict=True))
        assert [mine[text] for text in asked] == pytest.approx(loglikelihoods_of(sample), abs=1e-4)
        judged = judge_choice(task, question, likelihoods, cut=False)
        assert {metric: item.scores[metric] for metric in measures} == {
            metric: judged.scores[measure] for metric, measure in measures.items()
        }


def test_word_problems_are_put_and_continued_as_the_harness_does(
    ours: TorchEvaluator, theirs: HarnessEvaluator, tmp_path: Path
) -> None:
    rows = [{"question": row["question"], "answer": f"{row['work']}\n#### {row['answer']}"} for row in problems(7)]
    write_rows(tmp_path / "gsm8k-test.jsonl", rows[2:])
    write_rows(tmp_path / "gsm8k-train.jsonl", rows[:2])
    own = own_task(
        "gsm8k",
        "gsm8k/gsm8k.yaml",
        tmp_path,
        more={"train": str(tmp_path / "gsm8k-train.jsonl")},
        training_split="train",
        fewshot_config={"sampler": "first_n"},
        generation_kwargs={"until": ["Question:"], "do_sample": False, "max_gen_toks": 12},
    )
    task = load_task("gsm8k")
    changes: dict[str, Any] = {"shots": task.shots.model_copy(update={"count": 2}), "max_tokens": 12}
    task = task.model_copy(update=changes)
    samples = logged(theirs, own, tmp_path, shots=2)
    questions = put(task, tmp_path)
    answers = ours.answer(task, questions)
    assert answers.texts is not None
    found = {int(sample["doc_id"]): sample for sample in samples[own]}
    for number, question in enumerate(questions):
        assert found[number]["arguments"][0][0] == question.prompt
        assert found[number]["resps"][0][0] == answers.texts[number]
    suite = Suite("test", "", {"gsm8k": task.model_copy(update={"lm_eval": own})})
    result = read_harness_log(tmp_path / "log" / "tiny", suite)["gsm8k"]
    assert set(result.scores) == {"exact_match,strict-match", "exact_match,flexible-extract"}
    assert len(result.items) == 5


def test_the_harness_knows_its_tasks_by_the_names_that_ours_give() -> None:
    known = TaskManager().all_tasks
    names = [task.lm_eval for task in map(load_task, shipped("task")) if task.lm_eval is not None]
    assert len(names) > 15
    assert set(names) <= set(known)


def test_a_backend_that_is_missing_is_named(tiny_backbone: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vLLM is installed")
    with pytest.raises(SapwoodError, match="vllm"):
        HarnessEvaluator.open(tiny_backbone, tmp_path, backend="vllm")


def test_options_that_look_like_dates_stay_texts(
    ours: TorchEvaluator, theirs: HarnessEvaluator, tmp_path: Path
) -> None:
    rows = choices(4)
    options = [["2024-05-06", "1999-12-31"], ["1", "2"], ["2020-01-01T00:00:00", "12:30"], ["true", "null"]]
    for row, texts in zip(rows, options, strict=True):
        row.update(options=texts, answer=1)
    write_rows(tmp_path / "exam.jsonl", rows)
    questions = put(choice_task(), tmp_path)
    mine, other = (evaluator.answer(choice_task(), questions) for evaluator in (ours, theirs))
    for forms, expected in zip(mine.loglikelihoods, other.loglikelihoods, strict=True):
        for form, values in forms.items():
            assert values == pytest.approx(expected[form], abs=1e-4)


def test_a_model_too_weak_for_a_perplexity_is_measured(
    ours: TorchEvaluator, theirs: HarnessEvaluator, tmp_path: Path
) -> None:
    rows = [{"question": "1 + 1", "answer": "2", "work": "heart " * 150} for _ in range(2)]
    write_rows(tmp_path / "sums.jsonl", rows)
    task = writing_task(max_tokens=4)
    questions = put(task, tmp_path)
    mine, other = ours.answer(task, questions), theirs.answer(task, questions)
    assert [forms["solution"][0] for forms in mine.loglikelihoods] == pytest.approx(
        [forms["solution"][0] for forms in other.loglikelihoods], rel=1e-4
    )
    assert min(forms["solution"][0] for forms in mine.loglikelihoods) < -710  # exp(710) is the largest
