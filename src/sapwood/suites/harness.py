"""lm-evaluation-harness as an evaluator: it has the models, of hf or vLLM, and asks them our questions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch

from sapwood.backbone.causal import refuse_sight_ahead
from sapwood.backbone.encode import Encoder
from sapwood.backbone.load import load_config
from sapwood.backbone.tokenizer import AUTO, open_tokenizer
from sapwood.errors import SapwoodError, argument
from sapwood.recipe.task import Task
from sapwood.suites.evaluator import Answers
from sapwood.suites.fitting import fit
from sapwood.suites.harness_tasks import write_harness_tasks
from sapwood.suites.question import Form, Question

Backend = Literal["hf", "vllm"]
Sample = Mapping[str, Any]
"""What the harness writes down of an item."""
_PROMPTS = ("a", "The year 2024, in words.", "天地玄黄")
"""Where it reads these as we do, it begins prompts as we do."""


@dataclass(frozen=True, slots=True)
class HarnessEvaluator:
    """A model that lm-evaluation-harness has loaded, in one process. An `Evaluator`, as our own is."""

    model: Any
    """The harness's model."""
    encoder: Encoder
    """It cuts texts as the harness's model does."""
    settings: dict[str, Any]
    """See `Evaluator`."""
    directory: Path
    """Where tasks are written for it."""

    @staticmethod
    def open(
        model: Path,
        directory: Path,
        *,
        backend: Backend = "hf",
        arguments: Mapping[str, Any] | None = None,
        begin: str = AUTO,
        end: str = AUTO,
    ) -> HarnessEvaluator:
        """Loads the model in a directory. `arguments` are passed on to the backend, such as `tensor_parallel_size`.

        Prompts begin as our own evaluator begins them (`ModelTokenizer.delimiters`). Raises SapwoodError where the
        harness cannot do that, where it or the backend is not installed, and for a model that sees the tokens it
        predicts.
        """
        refuse_sight_ahead(load_config(model), f"The model in {model}")
        encoder = Encoder.load(model, begin, end)
        given = {"pretrained": str(model), "batch_size": "auto" if backend == "vllm" else 8, **(arguments or {})}
        if not encoder.delimiters.begin and open_tokenizer(model).begin != ():
            given["add_bos_token"] = False
        if backend == "hf":
            given.setdefault("device", "cuda" if torch.cuda.is_available() else "cpu")
        try:
            from lm_eval.api.registry import get_model

            loaded = get_model(backend).create_from_arg_obj(given)
        except ModuleNotFoundError as error:
            missing = f"sapwood[eval]{' vllm' if backend == 'vllm' else ''}"
            raise SapwoodError(f"lm-evaluation-harness with {backend}: {error}. pip install {missing}") from None
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        _begin_alike(loaded, encoder, model, own_end=end == AUTO)
        named = {name: str(value) for name, value in given.items() if name not in ("pretrained", "device")}
        settings = {"evaluator": f"lm-eval {version('lm-eval')} {backend}", "tokenizer": encoder.fingerprint, **named}
        return HarnessEvaluator(loaded, encoder, settings, directory)

    def answer(self, task: Task, questions: Sequence[Question]) -> Answers:
        """See `Evaluator`. The harness is given no prompt that it would cut (`fitting`)."""
        place = self.directory / task.name
        questions, cuts = fit(questions, self.encoder, self.model.max_length, task.max_tokens)
        names = write_harness_tasks(task, questions, place)
        samples = self.run(list(names.values()), place)
        loglikelihoods: list[dict[Form, list[float]]] = [{} for _ in questions]
        texts = None
        for form, name in names.items():
            found = sorted(samples[name], key=lambda sample: int(sample["doc_id"]))
            if form == "text":
                texts = [str(sample["resps"][0][0]) for sample in found]
                continue
            asked: tuple[Form, ...] = ("cloze", "unconditional") if form == "cloze" else (form,)
            for sample, question, forms in zip(found, questions, loglikelihoods, strict=True):
                values = loglikelihoods_of(sample)
                for known in asked:
                    count = len(question.pairs[known])
                    forms[known], values = values[:count], values[count:]
        return Answers(loglikelihoods, texts, cuts)

    def run(self, tasks: Sequence[str], directory: Path) -> dict[str, list[Sample]]:
        """Has the harness run tasks whose files are in a directory: its samples by task."""
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager

        found = simple_evaluate(
            model=self.model,
            tasks=list(tasks),
            task_manager=TaskManager(include_path=str(directory), include_defaults=False),
            log_samples=True,
            bootstrap_iters=0,
        )
        return dict(found["samples"])


def loglikelihoods_of(sample: Sample) -> list[float]:
    """ln p of everything that was asked for an item, in the harness's order."""
    return [float(answers[0][0]) for answers in sample["resps"]]


def _begin_alike(loaded: Any, encoder: Encoder, model: Path, *, own_end: bool) -> None:
    """Has the harness predict a text without a prompt from what we do, and raises SapwoodError where it begins prompts
    otherwise than we do, or, unless texts have the model's `own_end`, ends texts with another token."""
    prefix, begin = encoder.delimiters.prefix, list(encoder.delimiters.begin)
    if len(prefix) == 1:
        loaded.custom_prefix_token_id = prefix[0]
    ids, offsets = encoder.encode_batch(_PROMPTS)
    ours = [[*begin, *ids[first:last].tolist()] for first, last in pairwise(offsets)]
    theirs = [list(loaded.tok_encode(text)) for text in _PROMPTS]
    if len(prefix) > 1 or ours != theirs:
        begins = encoder.decode(begin) or "nothing"
        raise SapwoodError(
            f"Texts of the model in {model} begin with {begins}, and lm-evaluation-harness would put other tokens "
            f"around its prompts: use {argument('backend', 'torch')}."
        )
    if not own_end and loaded.eot_token_id != encoder.delimiters.end:
        raise SapwoodError(
            f"Texts of the model in {model} end with {encoder.decode([encoder.delimiters.end])}, and "
            f"lm-evaluation-harness goes by what the tokenizer names: use {argument('backend', 'torch')}."
        )
