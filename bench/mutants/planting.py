"""Mutants put into this very process, without importing anything anew.

A function gets the code of its mutant, so that everybody who holds it runs the mutant. Defaults of
parameters and of the fields of dataclasses are replaced where the interpreter keeps them. A constant
is replaced in every module that holds it, and whatever was computed from it is computed again.
"""

from __future__ import annotations

import ast
import functools
import gc
import sys
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from bench.mutants.operators import Kind, mutants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.mutants.operators import Mutant

SOURCE = Path(__file__).resolve().parent.parent.parent / "src" / "openloop"


_Cached = type(functools.cache(id))


class Unplantable(Exception):
    """A mutant that this process cannot take in."""


@dataclass(frozen=True, slots=True)
class Target:
    """A module that is mutated, as it was when this process began."""

    name: str
    path: str
    tree: ast.Module
    module: ModuleType

    @classmethod
    def of(cls, name: str) -> Target:
        """The target of a module by its path below the package, as in `domain/policy`."""
        path = SOURCE / f"{name}.py"
        module = __import__(f"openloop.{name.replace('/', '.')}", fromlist=["_"])
        return cls(name, str(path), ast.parse(path.read_text("utf-8")), module)

    def mutants(self) -> list[Mutant]:
        """All of them."""
        return list(mutants(self.name, self.tree))

    def lines_with(self, name: str) -> set[int]:
        """Where functions look at a constant, or at another that is made of it."""
        names = {name}
        for statement in self.tree.body:
            made, value = _assigned(statement), getattr(statement, "value", None)
            if made is not None and value is not None and names & set(_names(value)):
                names.add(made)
        functions = (
            each
            for each in ast.walk(self.tree)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        return {
            line
            for function in functions
            for each in ast.walk(function)
            if isinstance(each, ast.Name) and each.id in names
            for line in range(each.lineno, (each.end_lineno or each.lineno) + 1)
        }


def caches() -> list[Any]:
    """Every function of ours that remembers what it has answered."""
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, _Cached) and each.__module__.startswith(("openloop", "tests"))
    ]


class Garden:
    """What is alive in this process: functions by where they are written, and caches."""

    def __init__(self, targets: list[Target]) -> None:
        self._targets = targets
        paths = {target.path for target in targets}
        self._functions: dict[tuple[str, int], list[FunctionType]] = {}
        self._caches = caches()
        for each in gc.get_objects():
            if isinstance(each, FunctionType):
                code = each.__code__
                if code.co_filename in paths:
                    key = (code.co_filename, code.co_firstlineno)
                    self._functions.setdefault(key, []).append(each)

    def plant(self, target: Target, mutant: Mutant) -> None:
        """Put a mutant in force; it cannot be taken out again.

        Raises:
            Unplantable
        """
        with mutant.in_tree():
            match mutant.kind:
                case Kind.FUNCTION:
                    self._swap(target, mutant)
                case Kind.DEFAULT:
                    self._default(target, mutant)
                case Kind.CONSTANT:
                    self._constant(target, mutant)
                case Kind.FIELD:
                    _field(target, mutant)
        self.forget()

    def forget(self) -> None:
        """Nothing remembers what it answered before."""
        for cache in self._caches:
            cache.cache_clear()

    def _swap(self, target: Target, mutant: Mutant) -> None:
        code = _code(compile(target.tree, target.path, "exec"), mutant)
        live = self._functions.get((target.path, mutant.begins), ())
        found = [each for each in live if each.__code__.co_name == code.co_name]
        if not found:
            raise Unplantable(f"{mutant.where} is not alive")
        for each in found:
            try:
                each.__code__ = code
            except ValueError as error:
                raise Unplantable(str(error)) from error

    def _default(self, target: Target, mutant: Mutant) -> None:
        name = mutant.where.rpartition(".")[2]
        node = next(
            each
            for each in ast.walk(target.tree)
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            and each.name == name
            and mutant.begins in {each.lineno, *(d.lineno for d in each.decorator_list)}
        )
        space = vars(target.module)
        positional = tuple(_value(each, space) for each in node.args.defaults)
        named = {
            argument.arg: _value(default, space)
            for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
            if default is not None
        }
        for each in self._functions.get((target.path, mutant.begins), ()):
            each.__defaults__ = positional or None
            each.__kwdefaults__ = named or None

    def _constant(self, target: Target, mutant: Mutant) -> None:
        changed = {mutant.where}
        for statement in target.tree.body:
            name = _assigned(statement)
            if name is None:
                continue
            value = getattr(statement, "value", None)
            if value is not None and (name == mutant.where or changed & set(_names(value))):
                changed.add(name)
                _replace(target.module, name, _value(value, vars(target.module)))
        for other in self._targets:  # statements that are put together from parts of others
            for statement in other.tree.body:
                name = _assigned(statement)
                value = getattr(statement, "value", None)
                if other is target or name is None or value is None:
                    continue
                own = {
                    each
                    for each in _names(value)
                    if each in changed and vars(other.module).get(each) is vars(target.module)[each]
                }
                if own:
                    _replace(other.module, name, _value(value, vars(other.module)))


def _code(module: CodeType, mutant: Mutant) -> CodeType:
    for code in _codes(module):
        if code.co_firstlineno == mutant.begins and code.co_qualname == mutant.where:
            return code
    raise Unplantable(f"{mutant.where} has no code")


def _codes(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes(each)


def _field(target: Target, mutant: Mutant) -> None:
    owner, _, name = mutant.where.partition(".")
    cls = getattr(target.module, owner)
    node = next(
        statement
        for each in target.tree.body
        if isinstance(each, ast.ClassDef) and each.name == owner
        for statement in each.body
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == name
    )
    named: dict[str, object] | None = cls.__init__.__kwdefaults__
    if named is None or name not in named or node.value is None:
        raise Unplantable(f"{mutant.where} is no default")
    named[name] = _value(node.value, vars(target.module))


def _assigned(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return None


def _names(node: ast.AST) -> Iterator[str]:
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _value(node: ast.expr, space: dict[str, object]) -> object:
    whole = ast.fix_missing_locations(ast.Expression(node))
    return eval(compile(whole, "<mutant>", "eval"), space)  # noqa: S307  # our own source


def _replace(module: ModuleType, name: str, value: object) -> None:
    old = vars(module)[name]
    for other in list(sys.modules.values()):
        if other is module or not other.__name__.startswith(("openloop", "tests")):
            continue
        if vars(other).get(name) is old:
            setattr(other, name, value)
    setattr(module, name, value)
