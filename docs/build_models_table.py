"""Writes docs/models.md: what every kind of model of transformers does here, by trying all of them: `make models`.

It takes the better part of half an hour on two cores. A kind that is not come to in `--minutes` is named on the page.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from checks import CHECKS, NOT_BUILT, OUT_OF_TIME, Record, checked_apart, kinds

INTRODUCTION = """\
# Kinds of models, as they were tried

Every kind of causal language model of transformers {transformers} (with torch {torch}, PEFT {peft}, on a CPU), by its
`model_type`. Each is tried on a small model, of the configuration that its class has by itself: every kind of layer,
few and narrow ones. Yours may set what that leaves off; `sapwood plan` looks at a small model of yours, in the same
way, and says what it found.

- **documents apart by**: what keeps packed documents apart. `bounds`: an attention that is told where they begin, the
  fastest. `positions`: a mask that transformers makes of positions that begin again. `rows`: a row for each, padded.
  Their losses are then those of each document by itself.
- **loss**: `in chunks`, without the logits of a batch in memory at once, or of `whole` logits, which the model scales
  or caps after its head. Both are that of the logits.
- **scoring**: perplexities and answers of padded batches agree with each sequence by itself within 1e-4 nats a token,
  or that share of more than one nat. `unsteady`: in transformers itself, what follows a text changes losses before it.
  `no likelihood`: a model that sees the tokens that it predicts has none. It is refused wherever texts are
  scored, continued or trained on.
- **attention**: the one of transformers that the class supports, and that it is loaded with.
- **export**: saved, loaded and exported, it has the same tensors to the bit, and the same logits. `not tried`:
  transformers does not save the small model, or does not load it.
- **adapters**: LoRA beside all linear modules, then merged into the weights, gives the same logits, but for rounding.
  `refused`: experts kept as stacked matrices, or layers that are no linear modules, have no adapter; the error names
  modules for `training.adapter.targets`, or take `adapter` out and train weights (`trainable`).
- **memory**: `sapwood plan` can run a step dry, on the meta device. `not estimated`: it says so, and
  checks no memory; try a step.
- **experts**: mixtures of experts are trained by the loss of the next token alone, `without auxiliary loss`, whatever
  their config.json says of one (`router_aux_loss_coef`): nothing keeps their experts evenly used. On text unlike what
  such a model was trained on, watch held-out losses, or train all but the routers (`trainable`).

How texts begin follows from the tokenizer, not from the kind of model; `plan` says it. What is `refused` is so in
`plan`, with what to write. **WRONG** means a fault of ours that is known and not mended: do not rely on that column
for that kind.

*This page is made by trying, with `make models`.*
"""


def main() -> None:
    """Tries all kinds and writes the page beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0, help="begin no further kind after so long")
    until = time.monotonic() + 60 * parser.parse_args().minutes

    def tried(kind: str) -> dict[str, Record]:
        found = checked_apart(kind) if time.monotonic() < until else {"built": {"word": OUT_OF_TIME}}
        print(kind, found, flush=True)
        return found

    names = kinds()
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(names, pool.map(tried, names), strict=True))
    Path(__file__).with_name("models.md").write_text(render(found), encoding="utf-8")


def render(found: dict[str, dict[str, Record]]) -> str:
    """The page: kinds that were built, in a table; why others were not; what was refused or went wrong, and why."""
    built = {kind: records for kind, records in found.items() if records["built"]["word"] == "yes"}
    late = [kind for kind, records in found.items() if records["built"]["word"] == OUT_OF_TIME]
    unbuilt = {kind: records["built"] for kind, records in found.items() if records["built"]["word"] == NOT_BUILT}
    lines = [
        INTRODUCTION.format(**{library: version(library) for library in ("transformers", "torch", "peft")}),
        f"{len(found)} kinds, of which {len(built)} were built and tried"
        + (f", and {len(late)} not come to in time: {', '.join(map(_code, late))}." if late else "."),
        "",
        f"| kind | {' | '.join(CHECKS)} |",
        f"|---|{'---|' * len(CHECKS)}",
        *(
            f"| {_code(kind)} | {' | '.join(records[name]['word'] for name in CHECKS)} |"
            for kind, records in built.items()
        ),
        "",
        "## Why",
        "",
        *_reasons(built),
        "",
        "## Not built",
        "",
        "Their classes have no configuration that builds by itself, or none that gets small. Where that is so of",
        "yours, `plan` takes a row for each document, which is right in all causal models, and says so.",
        "",
        *(f"- {_code(kind)}: {_short(record)}" for kind, record in unbuilt.items()),
    ]
    return "\n".join(lines) + "\n"


def _reasons(built: dict[str, dict[str, Record]]) -> Iterator[str]:
    for kind, records in built.items():
        for name, record in records.items():
            if record.get("why"):
                yield f"- {_code(kind)}, {name}, {record['word']}: {_short(record)}"


def _short(record: Record) -> str:
    text = re.sub(r"\S*/\S*/\S*", "PATH", " ".join(record["why"].split()))
    text = text if len(text) <= 240 else text[:240].rsplit(" ", 1)[0] + " ..."
    return f"`{text.replace('`', chr(39))}`"


def _code(kind: str) -> str:
    return f"`{kind}`"


if __name__ == "__main__":
    main()
