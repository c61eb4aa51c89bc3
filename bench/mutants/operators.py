"""The standard operators over a syntax tree: each place of a module, and what may stand there instead.

    comparison   `<` for `<=` and back, `!=` for `==`, `is not`, `not in`
    boolean      `or` for `and`, one operand less, no `not`
    arithmetic   `-` for `+`, `/` for `*`, `|` for `&`; `min` for `max`, `any` for `all`
    constant     n + 1, False for True, another word; words only, since sentences are for people
    return       None for what is computed; what is said for its effect, and yields: not at all
    branch       turned round, always one of two, no filter; `break` for `continue`; a case less
    argument     a named argument less
    SQL          bench/mutants/sql.py

A mutant is named by what it changes and never by a line, so that its name outlives an edit above it.
"""

from __future__ import annotations

import ast
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from bench.mutants import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WORD = re.compile(r"[^\s{}]{1,40}")
_SHOWN, _SHOWN_AS = 110, "shown_as"
_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
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
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Kind(StrEnum):
    """What has to be replaced in a running process for a mutant to be in force."""

    FUNCTION = "function"
    DEFAULT = "default"
    CONSTANT = "constant"
    FIELD = "field"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change of one place. `lines` are those whose tests may notice."""

    module: str
    where: str
    kind: Kind
    before: str
    after: str
    nth: int
    lines: tuple[int, int]
    begins: int
    plant: Callable[[], None] = field(compare=False, repr=False)
    pull: Callable[[], None] = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """What it is called in lists."""
        again = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.module}:{self.where}: {self.before} -> {self.after}{again}"

    @contextmanager
    def in_tree(self) -> Iterator[None]:
        """Change the tree for as long as the block takes."""
        self.plant()
        try:
            yield
        finally:
            self.pull()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk is: in which function, constant or field, which begins at a line."""

    where: str
    kind: Kind
    begins: int
    lines: tuple[int, int]


def mutants(module: str, tree: ast.Module) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text."""
    seen: dict[str, int] = {}
    for found in _module(module, tree):
        seen[found.name] = seen.get(found.name, 0) + 1
        yield replace(found, nth=seen[found.name])


def _module(module: str, tree: ast.Module) -> Iterator[Mutant]:
    for statement in tree.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _function(module, statement, "")
            case ast.ClassDef():
                yield from _class(module, statement)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield from _value(module, statement, name, Kind.CONSTANT)
            case _:
                pass


def _class(module: str, node: ast.ClassDef) -> Iterator[Mutant]:
    is_enum = any("Enum" in ast.unparse(each) for each in node.bases)
    for statement in node.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _function(module, statement, f"{node.name}.")
            case ast.AnnAssign(target=ast.Name(id=name)) if not is_enum:
                yield from _value(module, statement, f"{node.name}.{name}", Kind.FIELD)
            case _:
                pass


def _value(
    module: str, node: ast.Assign | ast.AnnAssign, name: str, kind: Kind
) -> Iterator[Mutant]:
    is_type = isinstance(node.value, ast.Subscript | None) or (
        isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)
    )
    is_factory = kind is Kind.FIELD and isinstance(node.value, ast.Call)
    text = ast.unparse(node)
    if is_type or is_factory or name.startswith("__") or "re.compile" in text or "TypeVar" in text:
        return
    place = _Place(name, kind, node.lineno, (0, 0))
    yield from _walk(module, place, node, "value", None)


def _function(
    module: str, node: ast.FunctionDef | ast.AsyncFunctionDef, container: str
) -> Iterator[Mutant]:
    first = node.decorator_list[0].lineno if node.decorator_list else node.lineno
    if any("overload" in ast.unparse(each) for each in node.decorator_list):
        return
    lines = (node.lineno, node.end_lineno or node.lineno)
    place = _Place(container + node.name, Kind.FUNCTION, first, lines)
    for field_name in ("defaults", "kw_defaults"):
        for index, default in enumerate(getattr(node.args, field_name)):
            if default is not None:
                at = replace(place, kind=Kind.DEFAULT)
                yield from _walk(module, at, node.args, field_name, index)
    yield from _body(module, place, node.body)


def _body(module: str, place: _Place, body: list[ast.stmt]) -> Iterator[Mutant]:
    for index, statement in enumerate(body):
        if not _is_text(statement):
            at = _Place(place.where, place.kind, place.begins, _lines(statement))
            yield from _statement(module, at, body, index, statement)


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _lines(node: ast.AST) -> tuple[int, int]:
    """The lines of a statement, without those of the statements in it."""
    first: int = getattr(node, "lineno", 0)
    match node:
        case ast.If() | ast.While():
            return first, node.test.end_lineno or first
        case ast.For() | ast.AsyncFor():
            return first, node.iter.end_lineno or first
        case ast.With() | ast.AsyncWith():
            return first, node.items[-1].context_expr.end_lineno or first
        case ast.Match():
            return first, node.subject.end_lineno or first
        case ast.Try() | ast.FunctionDef() | ast.AsyncFunctionDef():
            return first, first
        case _:
            return first, getattr(node, "end_lineno", first) or first


# --- statements ----------------------------------------------------------------------------------


def _statement(
    module: str, at: _Place, body: list[ast.stmt], index: int, node: ast.stmt
) -> Iterator[Mutant]:
    for other in _statements_instead(node):
        yield _mutant(module, at, body, index, node, other)
    match node:
        case ast.If() | ast.While() | ast.For() | ast.AsyncFor():
            looked_at = "test" if isinstance(node, ast.If | ast.While) else "iter"
            yield from _walk(module, at, node, looked_at, None)
        case ast.With() | ast.AsyncWith():
            for item in node.items:
                yield from _walk(module, at, item, "context_expr", None)
        case ast.Match():
            yield from _match(module, at, node)
        case ast.Raise() | ast.Assign(targets=[ast.Name(id="message")]):
            pass  # what it says is for people
        case ast.Try() | ast.FunctionDef() | ast.AsyncFunctionDef():
            pass
        case _:
            yield from _children(module, at, node)
    for name in ("body", "orelse", "finalbody"):
        yield from _body(module, at, getattr(node, name, []))
    for handler in getattr(node, "handlers", ()):
        yield from _body(module, at, handler.body)


def _match(module: str, at: _Place, node: ast.Match) -> Iterator[Mutant]:
    yield from _walk(module, at, node, "subject", None)
    for case in node.cases:
        inner = _Place(at.where, at.kind, at.begins, (case.pattern.lineno, case.pattern.lineno))
        if case.guard is not None:
            yield from _walk(module, inner, case, "guard", None)
        yield from _body(module, inner, case.body)
    if len(node.cases) > 2:
        for index, case in enumerate(node.cases):
            lines = (case.body[0].lineno, case.body[-1].end_lineno or case.body[0].lineno)
            place = _Place(at.where, at.kind, at.begins, lines)
            yield _removed_case(module, place, node, index, case)


def _removed_case(
    module: str, at: _Place, node: ast.Match, index: int, case: ast.match_case
) -> Mutant:
    cases = node.cases
    without = [*cases[:index], *cases[index + 1 :]]

    def plant() -> None:
        node.cases = without

    def pull() -> None:
        node.cases = cases

    before = f"case {ast.unparse(case.pattern)}"
    return _named(module, at, before, "no such case", plant, pull)


def _statements_instead(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.copy_location(ast.Return(ast.Constant(None)), node)
        case ast.Expr(value=value):
            if isinstance(value, ast.Yield | ast.YieldFrom):  # a generator has to stay one
                never = ast.IfExp(ast.Constant(value=False), value, ast.Constant(None))
                yield ast.copy_location(ast.Expr(never), node)
            else:
                yield ast.copy_location(ast.Pass(), node)
        case ast.Raise() | ast.AugAssign():
            yield ast.copy_location(ast.Pass(), node)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.copy_location(ast.Pass(), node)
        case ast.Break():
            yield ast.copy_location(ast.Continue(), node)
        case ast.Continue():
            yield ast.copy_location(ast.Break(), node)
        case _:
            pass
    if isinstance(node, ast.AugAssign) and type(node.op) in _COMPUTED:
        other = _COMPUTED[type(node.op)]()
        yield ast.copy_location(ast.AugAssign(node.target, other, node.value), node)


# --- expressions ---------------------------------------------------------------------------------


def _children(module: str, at: _Place, node: ast.AST) -> Iterator[Mutant]:
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "targets", "target", "ctx"}:
            continue
        if isinstance(value, list):
            for index in range(len(value)):
                yield from _walk(module, at, node, name, index)
        else:
            yield from _walk(module, at, node, name, None)


def _walk(
    module: str, at: _Place, parent: ast.AST, name: str, index: int | None
) -> Iterator[Mutant]:
    """Every mutant of an expression, and of what is in it."""
    holder = getattr(parent, name)
    node = holder if index is None else holder[index]
    if not isinstance(node, ast.expr | ast.keyword | ast.comprehension):
        return
    if isinstance(node, ast.expr):
        slot, key = (parent, name) if index is None else (holder, index)
        for other in _instead(node, parent, name):
            yield _mutant(module, at, slot, key, node, ast.copy_location(other, node))
    match node:
        case ast.JoinedStr():
            yield from _joined(module, at, node)
        case ast.Dict():  # keys are names
            for value in range(len(node.values)):
                yield from _walk(module, at, node, "values", value)
        case ast.comprehension():
            yield from _filters(module, at, node)
        case ast.Call():
            yield from _call(module, at, node)
        case _:
            yield from _children(module, at, node)


def _call(module: str, at: _Place, node: ast.Call) -> Iterator[Mutant]:
    match node.func:
        case ast.Name(id="cast"):
            yield from _walk(module, at, node, "args", 1)
        case ast.Name(id="zip"):  # `strict` asserts what is so
            for index in range(len(node.args)):
                yield from _walk(module, at, node, "args", index)
        case _:
            yield from _children(module, at, node)
            yield from _arguments(module, at, node)


def _joined(module: str, at: _Place, node: ast.JoinedStr) -> Iterator[Mutant]:
    """Of a text with values only what is SQL."""
    for index, part in enumerate(node.values):
        if isinstance(part, ast.Constant):
            for other in _texts(str(part.value)):
                yield _mutant(module, at, node.values, index, part, other)


def _filters(module: str, at: _Place, node: ast.comprehension) -> Iterator[Mutant]:
    yield from _walk(module, at, node, "iter", None)
    for index, condition in enumerate(node.ifs):
        yield _mutant(module, at, node.ifs, index, condition, ast.Constant(value=True))
        yield from _walk(module, at, node, "ifs", index)


def _arguments(module: str, at: _Place, node: ast.Call) -> Iterator[Mutant]:
    whole = node.keywords
    for index, keyword in enumerate(whole):
        if keyword.arg is None:
            continue
        without = [*whole[:index], *whole[index + 1 :]]

        def plant(without: list[ast.keyword] = without) -> None:
            node.keywords = without

        def pull() -> None:
            node.keywords = whole

        before = f"{ast.unparse(node.func)}(... {ast.unparse(keyword)})"
        yield _named(module, at, before, "no such argument", plant, pull)


def _instead(node: ast.expr, parent: ast.AST, name: str) -> Iterator[ast.expr]:  # noqa: C901
    match node:
        case ast.Compare(ops=[operation]) if type(operation) in _COMPARED:
            other = _COMPARED[type(operation)]()
            yield ast.Compare(node.left, [other], node.comparators)
        case ast.BoolOp(op=operation, values=values):
            swapped = ast.Or() if isinstance(operation, ast.And) else ast.And()
            yield ast.BoolOp(swapped, values)
            for index in range(len(values)):
                rest = [*values[:index], *values[index + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(operation, rest)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _COMPUTED:
            yield ast.BinOp(left, _COMPUTED[type(operation)](), right)
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.Call(func=ast.Name(id=called), args=args) if called in _CALLED:
            yield ast.Call(ast.Name(_CALLED[called], ast.Load()), args, node.keywords)
        case ast.Constant(value=value):
            yield from _constants(value)
        case ast.Name() | ast.Call() | ast.Attribute() | ast.Await() if (
            isinstance(parent, ast.If | ast.While) and name == "test"
        ):
            yield ast.UnaryOp(ast.Not(), node)
        case _:
            pass


def _constants(value: object) -> Iterator[ast.Constant]:
    match value:
        case bool():
            yield ast.Constant(not value)
        case int():
            yield ast.Constant(value + 1)
        case str() if sql.is_sql(value):
            yield from _texts(value)
        case str() if _WORD.fullmatch(value):
            yield ast.Constant(f"x{value}x")
        case "":
            yield ast.Constant("x")
        case _:
            pass


@dataclass(frozen=True, slots=True)
class _Shown:
    before: str
    after: str


def _texts(text: str) -> Iterator[ast.Constant]:
    if not sql.is_sql(text):
        return
    for change in sql.changes(text):
        node = ast.Constant(text[: change.start] + change.replacement + text[change.end :])
        setattr(node, _SHOWN_AS, _Shown(*_around(text, change)))  # the whole would be too long
        yield node


def _around(text: str, change: sql.Change) -> tuple[str, str]:
    """The change with some words before and after it."""
    start, end = max(change.start - 30, 0), min(change.end + 30, len(text))
    head, tail = text[start : change.start], text[change.end : end]
    before = f"{head}{text[change.start : change.end]}{tail}"
    return " ".join(before.split()), " ".join(f"{head}[{change.replacement}]{tail}".split())


# --- mutants -------------------------------------------------------------------------------------


def _mutant(
    module: str,
    at: _Place,
    holder: object,
    key: str | int,
    node: ast.AST,
    other: ast.AST,
) -> Mutant:
    ast.copy_location(other, node)

    def put(one: ast.AST) -> None:
        if isinstance(key, str):
            setattr(holder, key, one)
        else:
            holder[key] = one  # type: ignore[index]

    shown = getattr(other, _SHOWN_AS, None) or _Shown(_line(node), _line(other))
    return _named(
        module,
        at,
        shown.before,
        shown.after,
        lambda: put(ast.fix_missing_locations(other)),
        lambda: put(node),
    )


def _named(
    module: str,
    at: _Place,
    before: str,
    after: str,
    plant: Callable[[], None],
    pull: Callable[[], None],
) -> Mutant:
    return Mutant(
        module=module,
        where=at.where,
        kind=at.kind,
        before=before,
        after=after,
        nth=0,
        lines=at.lines,
        begins=at.begins,
        plant=plant,
        pull=pull,
    )


def _line(node: ast.AST) -> str:
    match node:
        case ast.If() | ast.While():
            text = ast.unparse(node.test)
        case _:
            text = ast.unparse(node)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 20]} ... {text[-15:]}"
