"""`sapwood`: plan, prepare, train, evaluate and report on a run, or all of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import typer

from sapwood import __version__
from sapwood.cli import (
    account,
    audit,
    checkpoint,
    compare,
    evaluate,
    expand,
    export,
    init,
    launch,
    merge,
    plan,
    prepare,
    replay,
    report,
    run,
    schema,
    score,
    solve,
    study,
    synthesize,
    topics,
    train,
    vocabulary,
    watch,
)
from sapwood.cli.output import with_json
from sapwood.errors import SapwoodError, naming_options
from sapwood.files import is_disk_full
from sapwood.progress import console

app = typer.Typer(
    help="Continual pre-training that grows new abilities into a language model and proves that the old ones are kept.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
TABLES: Final = (
    *(plan.plan, solve.solve, prepare.prepare, evaluate.evaluate, compare.compare),
    *(account.account, audit.audit, merge.merge, run.run),
)
"""The verbs that print tables."""
for verb in (
    init.init,
    schema.schema,
    plan.plan,
    solve.solve,
    prepare.prepare,
    score.score,
    train.train,
    watch.watch,
    launch.launch,
    evaluate.evaluate,
    compare.compare,
    account.account,
    audit.audit,
    replay.replay,
    merge.merge,
    export.export,
    report.report,
    run.run,
    expand.expand,
):
    app.command()(with_json(verb) if verb in TABLES else verb)
app.add_typer(checkpoint.checkpoint, name="checkpoint", no_args_is_help=True)
app.add_typer(study.study, name="study", no_args_is_help=True)
app.add_typer(synthesize.synthesize, name="synthesize", no_args_is_help=True)
app.add_typer(topics.topics, name="topics", no_args_is_help=True)
app.add_typer(vocabulary.vocabulary, name="vocabulary", no_args_is_help=True)


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

        if not isinstance(error, OSError) and not is_disk_full(error):
            raise
        console.print(explain(error), style="red")
        sys.exit(1)
