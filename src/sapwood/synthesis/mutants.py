"""Wrong variants of a program, each with one small change: tests that pass them do not test much."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import xxhash

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
