"""`sapwood`: plan, prepare, train, evaluate and report on a run, or all of them."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from sapwood import __version__
from sapwood.errors import SapwoodError, naming_options
from sapwood.progress import console

VERBS: Final = {
    "init": "Write a commented recipe to start from.",
    "schema": "Print the JSON schema of the recipe, so that editors can complete and check it.",
    "plan": "Show what a recipe will train on, and what memory and time it will take; refuse what cannot work.",
    "solve": "Find the best mixture from a table of small runs: fit a law to every loss, then solve under caps.",
    "prepare": "Read, clean, compare, label, score, hold out and tokenise documents. What is done already is not done "
    "again.",
    "score": "Score documents by how likely a model finds them, with one process or, under torchrun, with many.",
    "train": "Train from the last checkpoint, or from the beginning. Ctrl-C saves and stops; the same command "
    "continues.",
    "watch": "Follow a run: progress, losses, speed, what was decided and why. Ends when the run does; reads only.",
    "launch": "Print the script that trains a run with torchrun or Slurm. docs/launching.md has Kubernetes and "
    "SkyPilot.",
    "evaluate": "Measure the base model and, once it is trained, the adapted model on the held-out documents.",
    "compare": "Compare models on benchmarks: what was gained, what was kept, and how sure that is.",
    "account": "Show where every token of a run came from and went to. The exit status is 1 when it does not balance.",
    "audit": "Look up which documents a step trained on, which steps trained on a document, or which steps stood out.",
    "replay": "Read all that a run trained on once more, from its ledger, and prove that it is what was trained on.",
    "merge": "Average a run's weights, or mix them with the base model's, and measure what comes of it.",
    "export": "Write the sequences of a prepared run, in their order. Run again, it continues where it stopped.",
    "report": "Write the report of a run, one HTML page, and the model card beside the adapted model.",
    "run": "Prepare, train, evaluate and report. Run again, it continues where it stopped.",
    "expand": "Insert copies of blocks that change nothing until they are trained, so that the old ones can stay as "
    "they are.",
    "doctor": "Look at this machine: GPU, driver, attention kernels, compiler, sandbox, limits, disk, versions that "
    "misbehave.",
    "checkpoint": "The saved states of a run: which there are, whether they are whole, and their models.",
    "study": "Studies: arms of one recipe with several seeds, compared with intervals.",
    "synthesize": "Write questions with answers from pages, and verify them: `sapwood synthesize JOB`.",
    "topics": "Label documents with topics: a sample by a language model, all by a classifier.",
    "vocabulary": "Measure how well a tokenizer fits some texts; extend a model's vocabulary for them.",
}
"""What `--help` lists, in its order. Each stands in the module of its name, which is imported when it is called: with
all of them `--help` took 2.1 s."""
TABLES: Final = {"plan", "solve", "prepare", "evaluate", "compare", "account", "audit", "merge", "run", "doctor"}
"""The verbs that print tables. Groups say it of each of their own."""


def load(arguments: list[str]) -> None:
    """Imports the modules of the verb that these arguments call, if they call one."""
    if arguments and arguments[0] in VERBS:
        import_module(f"sapwood.cli.{arguments[0]}")


class _Verb(TyperCommand):
    """A verb, or a group of some, of which only the name and a line are known before it is called."""

    @cached_property
    def loaded(self) -> Any:
        """The command itself."""
        from sapwood.cli.output import with_json

        name = str(self.name)
        verb = getattr(import_module(f"sapwood.cli.{name}"), name)
        holder = typer.Typer(callback=lambda: None)
        if isinstance(verb, typer.Typer):
            holder.add_typer(verb, name=name, no_args_is_help=True)
        else:
            holder.command(name)(with_json(verb) if name in TABLES else verb)
        return get_group(holder).commands[name]

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        return self.loaded.make_context(*arguments, **named)


class _Verbs(TyperGroup):
    """All verbs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": {name: _Verb(name, help=line) for name, line in VERBS.items()}})


app = typer.Typer(
    cls=_Verbs,
    help="Continual pre-training that grows new abilities into a language model and proves that the old ones are kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sapwood {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    context.with_resource(naming_options())


def _require_utf8() -> None:
    """Raises SapwoodError for names that recipes, records and pages, which are UTF-8, cannot hold."""
    for name in (*sys.argv[1:], str(Path.cwd())):
        try:
            name.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(name).decode("utf-8", "backslashreplace")
            raise SapwoodError(
                f"The name {shown} is no UTF-8, and the files of a run cannot hold it. Rename it, or make a link."
            ) from None


def main() -> None:
    """Runs the command line. What the user can put right is printed without a traceback."""
    try:
        _require_utf8()
        app()
    except SapwoodError as error:
        console.print(str(error), style="red")
        sys.exit(1)
    except Exception as error:
        from sapwood.corpus.disk import explain
        from sapwood.files import is_disk_full

        if not isinstance(error, OSError) and not is_disk_full(error):
            raise
        console.print(explain(error), style="red")
        sys.exit(1)
