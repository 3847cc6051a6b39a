"""Programs that a model wrote: finding them in its answer, and running them against tests that are tested too."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator, Sequence

import xxhash

from sapwood.generation.client import Failure
from sapwood.recipe.synthesis import CodeTests
from sapwood.sandbox.execute import Outcome, Sandbox, in_parallel
from sapwood.synthesis.item import Item
from sapwood.synthesis.stage import Ask, Stage, Verdict

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.USub: ast.UAdd,
}
_NEVER_RUN = {"annotation", "returns", "type_comment"}
"""Fields of nodes in which a change changes nothing."""


def mutants(program: str, count: int, seed: str) -> list[str]:
    """Up to `count` variants of a program that is Python, chosen by the seed: operators, comparisons and conditions
    turned around, numbers and ends of ranges off by one, other constants, nothing returned.

    A variant may still do the same as the program: nobody can tell in general.
    """
    plain = ast.unparse(ast.parse(program))
    number = sum(1 for _ in _changes(ast.parse(program)))
    chosen: dict[str, None] = {}
    for place in sorted(range(number), key=lambda place: xxhash.xxh3_64_intdigest(f"{seed}/{place}".encode())):
        if len(chosen) == count:
            break
        tree = ast.parse(program)
        list(_changes(tree))[place]()
        if (changed := ast.unparse(tree)) != plain:
            chosen[changed] = None
    return list(chosen)


def emptied(program: str) -> str:
    """The program with all its names and nothing behind them: functions do nothing, classes have such methods only."""
    tree = ast.parse(program)
    tree.body = _without_content(tree.body)
    return ast.unparse(ast.fix_missing_locations(tree))


def _without_content(body: list[ast.stmt]) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            statement.body = [ast.Pass()]
            kept.append(statement)
        elif isinstance(statement, ast.ClassDef):
            statement.body = _without_content(statement.body) or [ast.Pass()]
            kept.append(statement)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            kept.append(statement)
    return kept


def _changes(tree: ast.AST) -> Iterator[Callable[[], None]]:
    """Every change that can be made, in the order of the text; each may be made once, and alone."""
    for node in _nodes(tree):
        match node:
            case ast.BinOp() | ast.AugAssign() | ast.BoolOp() | ast.UnaryOp() if type(node.op) in _SWAPS:
                yield _set(node, "op", _SWAPS[type(node.op)]())
            case ast.Compare():
                for place, operator in enumerate(node.ops):
                    if type(operator) in _SWAPS:
                        others = [*node.ops[:place], _SWAPS[type(operator)](), *node.ops[place + 1 :]]
                        yield _set(node, "ops", others)
            case ast.Constant(value=bool(value)):
                yield _set(node, "value", not value)
            case ast.Constant(value=int(value) | float(value)):
                yield _set(node, "value", value + 1)
            case ast.Constant(value=str(value)):
                yield _set(node, "value", value + "x")
            case ast.Call(func=ast.Name(id="range"), args=[*_, _]):
                stop = min(1, len(node.args) - 1)
                longer = ast.BinOp(node.args[stop], ast.Add(), ast.Constant(1))
                yield _set(node, "args", [*node.args[:stop], longer, *node.args[stop + 1 :]])
            case ast.If() | ast.While() | ast.IfExp():
                yield _set(node, "test", ast.UnaryOp(ast.Not(), node.test))
            case ast.Return(value=ast.expr()):
                yield _set(node, "value", ast.Constant(None))


def _set(node: ast.AST, field: str, value: object) -> Callable[[], None]:
    return lambda: setattr(node, field, value)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that count when a program runs: no docstrings, annotations, messages of exceptions, parts of f-strings,
    and nothing that happens only where the file is the main program."""
    yield node
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            match child:
                case ast.Expr(value=ast.Constant()) | ast.Raise():
                    continue
                case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
                    continue
                case ast.Constant() if isinstance(node, ast.JoinedStr):
                    continue
                case ast.AST() if field not in _NEVER_RUN:
                    yield from _nodes(child)


_FENCED = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_PYTHON = {"", "python", "python3", "py"}
_UNREADABLE = (SyntaxError, ValueError, MemoryError)


def program_in(text: str) -> str:
    """The program in a section of an answer: what stands in its Markdown fences for Python, or else all of it."""
    blocks = [content for _, language, content in _FENCED.findall(text) if language.lower() in _PYTHON]
    return "\n\n".join(block.strip("\n") for block in blocks) if blocks else text.strip("\n")


class RunTests(Stage):
    """Runs the solutions of items that have tests; and the tests on wrong solutions, which must fail.

    The score is the share of mutants that the tests catch. Some of these may do the same as the solution, so one caught
    is enough. `answer` and `tests` of an item are programs, without fences.
    """

    name = "code"
    checks_answers = True

    def __init__(self, settings: CodeTests) -> None:
        self.settings = settings

    def require(self) -> None:
        Sandbox.find()

    def check(self, items: Sequence[Item], ask: Ask) -> list[Verdict | Failure | None]:
        """One verdict for each item with tests. Raises SapwoodError where there is no sandbox."""
        if not any(item.tests for item in items):
            return [None for _ in items]
        sandbox = Sandbox.find()
        with warnings.catch_warnings():  # those of the programs, which are parsed here
            warnings.simplefilter("ignore")
            return in_parallel(lambda item: self._judge(item, sandbox) if item.tests else None, items)

    def _judge(self, item: Item, sandbox: Sandbox) -> Verdict:
        try:
            return self._examine(item, sandbox)
        except RecursionError:
            return Verdict(False, "nested too deeply")

    def _examine(self, item: Item, sandbox: Sandbox) -> Verdict:
        try:
            solution = _parse(item.answer)
        except _UNREADABLE:
            return Verdict(False, "not Python")
        try:
            tests = _parse(item.tests)
        except _UNREADABLE:
            return Verdict(False, "tests are not Python")
        if why := _nothing_to_test(solution, tests):
            return _untested(why)
        outcome = self._run(sandbox, item.answer, item.tests)
        if not outcome.passed:
            reason = "tests fail" if outcome.ended == "failed" else outcome.ended
            return Verdict(False, reason, detail={"output": outcome.output})
        # A wrong solution that never ends must not cost as much as a right one may.
        seconds = 2 * outcome.seconds
        if self._run(sandbox, emptied(item.answer), item.tests, seconds).passed:
            return _untested("they pass when all functions do nothing")
        variants = mutants(item.answer, self.settings.mutants, item.id)
        if not variants:
            return Verdict(True)
        missed = [program for program in variants if self._run(sandbox, program, item.tests, seconds).passed]
        score = 1 - len(missed) / len(variants)
        detail = {"mutants": len(variants), "missed": [_difference(item.answer, program) for program in missed]}
        if not score:
            return _untested("they pass with every mistake that was made", score, detail)
        return Verdict(True, score=score, detail=detail)

    def _run(self, sandbox: Sandbox, solution: str, tests: str, seconds: float | None = None) -> Outcome:
        limit = self.settings.timeout.amount
        return sandbox.run(
            f"{solution}\n\n{tests}\n",
            timeout_seconds=limit if seconds is None else min(limit, seconds),
            memory_bytes=self.settings.memory,
        )


def _parse(program: str) -> ast.Module:
    tree = ast.parse(program)
    ast.unparse(tree)  # mutants are written anew; some numbers can be read, and not be written
    return tree


def _untested(why: str, score: float | None = None, detail: dict[str, object] | None = None) -> Verdict:
    return Verdict(False, "tests test nothing", score, {"why": why, **(detail or {})})


def _nothing_to_test(solution: ast.Module, tests: ast.Module) -> str:
    """Why the tests cannot test the solution, as far as that can be read in them; empty where they may."""
    asserts = [node for node in ast.walk(tests) if isinstance(node, ast.Assert)]
    if all(isinstance(node.test, ast.Constant) for node in asserts):
        return "there is no assert in them"
    used = {node.id for node in ast.walk(tests) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return "" if used & {"solution", *_defined(solution)} else "they use nothing of the solution"


def _defined(solution: ast.Module) -> set[str]:
    names = {node.id for node in ast.walk(solution) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return names | {node.name for node in ast.walk(solution) if isinstance(node, kinds)}


def _difference(solution: str, variant: str) -> str:
    """The first line in which a variant differs, before and after."""
    before, after = ast.unparse(ast.parse(solution)).splitlines(), variant.splitlines()
    return next((f"{old.strip()} → {new.strip()}" for old, new in zip(before, after, strict=False) if old != new), "")
