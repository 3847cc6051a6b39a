"""Writes docs/python.md from the docstrings of the public names, so that the manual cannot drift from the code."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path

import sapwood

SOURCE = Path(sapwood.__file__).parent
INTRODUCTION = """\
# From Python

What the verbs of the command line do, functions of `sapwood` do. They take a recipe, or a run that was opened, and
return records; they print nothing but progress. Nothing is imported before it is asked for.

    import sapwood

    recipe = sapwood.load_recipe("recipe.yaml", {"training.learning_rate.peak": 2e-5})
    print(sapwood.plan(recipe))          # a tree of groups, sources and topics; what cannot work is refused
    run = sapwood.run(recipe)            # prepares, trains, evaluates, reports; called again, it continues
    for change in run.changes:           # gain and retention on held-out text
        print(change.name, change.value, change.interval, change.verdict)
    run.metrics().to_pandas()            # a row a logged step
    run.ledger.rounds[0].reasons         # why the mixture is what it is
    run.model                            # the directory of the adapted model

[`examples/python/adapt.py`](../examples/python/adapt.py) is such a script, cell by cell. On several ranks,
prepare on one process first, and call `sapwood.train` in all of them under `torchrun`.

Where a function takes a *recipe*, it may be the path of its file, a recipe that was read, the directory of a run, or a
`Run`. Errors that a user can mend are `sapwood.SapwoodError`: what was found, where, what to write instead.

*This page is made from the code by `make docs`.*
"""
RECORDS = (
    ("pipeline/handle.py", "Run"),
    ("mixture/plan.py", "Plan"),
    ("mixture/plan.py", "DomainPlan"),
    ("mixture/plan.py", "StagePlan"),
    ("pipeline/prepare.py", "Prepared"),
    ("pipeline/prepare.py", "PreparedSource"),
    ("training/loop.py", "Trained"),
    ("pipeline/evaluate.py", "Evaluated"),
    ("statistics/change.py", "Change"),
    ("pipeline/report.py", "Reported"),
    ("studies/plan.py", "StudyPlan"),
    ("studies/run.py", "StudyRun"),
    ("studies/report.py", "StudyReport"),
)
"""What the functions return, and where it is defined."""


def main() -> None:
    """Writes the page."""
    (Path(__file__).parent / "python.md").write_text(render(), encoding="utf-8")


def render() -> str:
    """The page."""
    names = [name for name in sapwood.PUBLIC if inspect.isfunction(getattr(sapwood, name))]
    documented = [(name, _markdown(inspect.getdoc(getattr(sapwood, name)))) for name in names]
    functions = [f"### {name}\n\n{_call(name)}\n\n{text}" for name, text in documented]
    records = [_record(SOURCE / path, name) for path, name in RECORDS]
    return "\n\n".join([INTRODUCTION.rstrip(), "## Functions", *functions, "## Records", *records]) + "\n"


def _call(name: str) -> str:
    signature = str(inspect.signature(getattr(sapwood, name))).replace("'", "")
    signature = re.sub(r"<function .*? at 0x[0-9a-f]+>", "...", signature)
    signature = re.sub(r"PosixPath\((.*?)\)", r'"\1"', signature)
    return textwrap.indent(f"sapwood.{name}{signature}", "    ")


def _record(path: Path, name: str) -> str:
    """A class: what it is, its fields, its properties and methods, each with its docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    [found] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    lines = [f"### {name}", "", _markdown(ast.get_docstring(found)), ""]
    for node, after in zip(found.body, [*found.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            said = f": {_one_line(str(text))}" if text else ""
            lines.append(f"- `{ast.unparse(node.target)}` ({_code(ast.unparse(node.annotation))}){said}")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            marks = [ast.unparse(mark) for mark in node.decorator_list]
            names = [part.arg for part in [*node.args.args, *node.args.kwonlyargs]]
            names = names if "staticmethod" in marks else names[1:]
            shown = node.name if "property" in marks else f"{node.name}({', '.join(names)})"
            returns = f" ({_code(ast.unparse(node.returns))})" if node.returns is not None else ""
            lines.append(f"- `{shown}`{returns}: {_one_line(ast.get_docstring(node) or '')}")
    return "\n".join(lines)


def _code(annotation: str) -> str:
    return f"`{annotation}`"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _markdown(text: str | None) -> str:
    return "\n\n".join(_one_line(part) for part in (text or "").split("\n\n"))


if __name__ == "__main__":
    main()
