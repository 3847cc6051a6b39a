"""The engine against the Trainer of transformers, on the same batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

import sapwood
from sapwood.files import read_lines
from small_runs import prepare_and_train

pytestmark = pytest.mark.slow

STEPS, SEQUENCES = 50, 8


def test_fifty_steps_have_the_losses_of_the_trainer(
    tiny_recipe: Callable[..., Path], tiny_backbone: Path, tmp_path: Path
) -> None:
    """fp32 on the CPU, packed and isolated documents, clipped gradients, weight decay."""
    stage = {"name": "only", "tokens": STEPS * SEQUENCES * 64, "mixture": {"zh": 1, "en": 1}}
    optimizer = {"weight_decay": 0.1, "clip": 1.0}
    training = {"batch_tokens": SEQUENCES * 64, "micro_batch": 4, "precision": "fp32", "learning_rate": 1e-3}
    run = prepare_and_train(tiny_recipe(stages=[stage], training={**training, "optimizer": optimizer}))
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "trainer"),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=SEQUENCES // 4,
        max_steps=STEPS,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        adam_beta1=0.9,
        adam_beta2=0.95,
        adam_epsilon=1e-8,
        weight_decay=0.1,
        max_grad_norm=1.0,
        logging_steps=1,
        save_strategy="no",
        accelerator_config={"dispatch_batches": False},
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(
        AutoModelForCausalLM.from_pretrained(tiny_backbone), arguments, train_dataset=sapwood.stream(run.root)
    )
    trainer.train()
    theirs = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    ours = [line["loss"] for line in read_lines(run.metrics)]
    assert len(ours) == len(theirs) == STEPS
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert ours[-1] < ours[0] - 1
