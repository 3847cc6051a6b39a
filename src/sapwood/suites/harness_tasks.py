"""Questions as tasks of lm-evaluation-harness: a YAML file and a file of items each, for its `--include_path`.

Items are Parquet, which says what each column is: of JSON, `datasets` guesses it, and options such as 2024-05-06 become
times.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from sapwood.files import atomic_file, write_json
from sapwood.recipe.task import Task
from sapwood.suites.question import Question

Asked = Literal["cloze", "letters", "solution", "text"]
"""What a task of the harness asks for: log-likelihoods of a form, or texts."""
METRICS: dict[Asked, tuple[str, ...]] = {
    "cloze": ("acc", "acc_norm", "acc_bytes", "acc_mutual_info"),
    "letters": ("acc",),
    "solution": ("acc",),
    "text": ("bypass",),
}
"""What the harness itself computes. `acc_mutual_info` has it ask for the options without a question too. Answers in
texts are judged by us. Of solutions it would compute a perplexity that overflows where a model is weak."""
_COLUMNS = {"prompt": pa.string(), "choices": pa.list_(pa.string())}


def write_harness_tasks(task: Task, questions: Sequence[Question], directory: Path) -> dict[Asked, str]:
    """Writes what is asked in a task, word for word, and returns the names of the tasks by form.

    Everything is in the items: prompts with their shots, so that `num_fewshot` stays 0, and options. A form whose items
    ask for nothing has no task; `unconditional` is asked for together with `cloze`.
    """
    names: dict[Asked, str] = {}
    for form in METRICS:
        items = [_item(question, form, task.delimiter) for question in questions]
        if any(item is None for item in items):
            continue
        name = f"sapwood_{task.name.replace('-', '_')}_{form}"
        file = directory.absolute() / f"{name}.parquet"
        gold = pa.int64() if form in ("cloze", "letters") else pa.string()
        rows = [item for item in items if item is not None]
        columns = [(column, _COLUMNS.get(column, gold)) for column in (rows[0] if rows else ())]
        with atomic_file(file) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(columns)), temporary)
        # JSON is YAML.
        write_json(directory / f"{name}.yaml", _config(task, form, name, file))
        names[form] = name
    return names


def _config(task: Task, form: Asked, name: str, file: Path) -> dict[str, Any]:
    config: dict[str, Any] = {
        "task": name,
        "dataset_path": "parquet",
        "dataset_kwargs": {"data_files": {"test": str(file)}, "cache_dir": str(file.parent / "cache")},
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "prompt",
        "target_delimiter": "",
        "metric_list": [{"metric": metric} for metric in METRICS[form]],
        "metadata": {"version": 1.0},
    }
    if form == "text":
        until = {"until": task.stop, "max_gen_toks": task.max_tokens, "do_sample": False}
        return {**config, "output_type": "generate_until", "doc_to_target": "gold", "generation_kwargs": until}
    if form == "solution":
        return {**config, "output_type": "loglikelihood", "doc_to_target": "gold"}
    return {
        **config,
        "output_type": "multiple_choice",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "target_delimiter": task.delimiter,
    }


def _item(question: Question, form: Asked, delimiter: str) -> dict[str, Any] | None:
    if form == "text":
        return None if question.prompt is None else {"prompt": question.prompt, "gold": question.item.answer}
    if form not in question.pairs:
        return None
    pairs = question.pairs[form]
    if form == "solution":
        return {"prompt": pairs[0].context, "gold": pairs[0].continuation}
    choices = [pair.continuation.removeprefix(delimiter) for pair in pairs]
    return {"prompt": pairs[0].context, "choices": choices, "gold": question.item.gold}
