"""The Trainer of Hugging Face on a stream of ours: half of it, a stop, and the rest from the checkpoint.

    sapwood prepare examples/other-trainers/recipe.yaml
    python examples/other-trainers/hf_trainer.py

The model is a small one with random weights, so that this takes seconds; put `AutoModelForCausalLM.from_pretrained` in
its place.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, Trainer, TrainerState, TrainingArguments

import sapwood
from sapwood.backbone.resolve import default_cache, resolve

RECIPE = Path(__file__).with_name("recipe.yaml")
BATCH, ACCUMULATION = 4, 2
PER_STEP = BATCH * ACCUMULATION  # times the number of processes


def small_model(reference: str) -> PreTrainedModel:
    """Two layers with the vocabulary of the recipe's model."""
    config = AutoConfig.from_pretrained(resolve(reference, default_cache()))
    config.update({"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "layer_types": None})
    config.update({"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16})
    return AutoModelForCausalLM.from_config(config)


def train(output: Path, steps: int, checkpoint: Path | None = None) -> None:
    dataset = sapwood.stream(RECIPE)
    if checkpoint is not None:
        done = TrainerState.load_from_json(str(checkpoint / "trainer_state.json")).global_step
        dataset.seek(done * PER_STEP)
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATION,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        save_steps=5,
        logging_steps=5,
        ignore_data_skip=True,  # `seek` has done it, in no time
        accelerator_config={"dispatch_batches": False},
        report_to="none",
    )
    trainer = Trainer(small_model(dataset.run.recipe.model), arguments, train_dataset=dataset)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


if __name__ == "__main__":
    planned = sapwood.stream(RECIPE).planned
    steps = planned // PER_STEP
    print(f"{planned} sequences: {steps} steps of {PER_STEP}")
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), 10)
        print("Stopped after step 10; going on.")
        train(Path(folder), steps, checkpoint=Path(folder) / "checkpoint-10")
