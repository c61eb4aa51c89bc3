"""The references of the API: the OpenAPI document and the error codes are what the code says.

Write the document anew with OPENLOOP_WRITE_GOLDEN=1, and read the difference.
"""

from __future__ import annotations

import ast
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openloop.api.problems import status_of
from openloop.domain.errors import OpenLoopError
from tests.api.access import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SOURCES = ROOT / "src" / "openloop"
ROW = re.compile(r"^\| (`[a-z0-9_`, ]+) \| (\d{3}|-) \|", re.MULTILINE)


def test_the_openapi_document_is_as_committed(document: dict[str, Any]) -> None:
    path = REFERENCE / "openapi.json"
    written = json.dumps(document, indent=1, sort_keys=True) + "\n"
    if os.environ.get("OPENLOOP_WRITE_GOLDEN") == "1":
        path.write_text(written)

    assert path.read_text() == written


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation.get("operationId"), where
            assert operation.get("summary"), where
            assert operation.get("description"), where
            assert "application/problem+json" in str(operation["responses"]), where


def test_the_guide_names_every_address(document: dict[str, Any]) -> None:
    text = (REFERENCE / "api.md").read_text()

    missing = [path for path in document["paths"] if f"`{path}" not in text and path not in text]

    assert missing == []
    assert len(OPERATIONS) > 20


def test_every_error_code_is_documented_and_no_other() -> None:
    documented = set(documented_codes())

    assert set(raised_codes()) - documented == set()
    assert documented - set(raised_codes()) == set()


def test_codes_are_documented_with_the_status_of_their_family() -> None:
    codes = documented_codes()
    wrong = {
        error.code: (codes.get(error.code, "-"), str(status_of(error(""))))
        for error in _errors(OpenLoopError)
    }

    assert {code: pair for code, pair in wrong.items() if pair[0] not in ("-", pair[1])} == {}


def _errors(kind: type[Any]) -> Iterator[type[Any]]:
    """Every error class of ours that can be made from a sentence alone."""
    for each in kind.__subclasses__():
        if each.__init__ in (kind.__init__,) and each.__module__.startswith("openloop."):
            yield each
        yield from _errors(each)


def documented_codes() -> dict[str, str]:
    """The codes of docs/reference/errors.md with their status."""
    found: dict[str, str] = {}
    for codes, status in ROW.findall((REFERENCE / "errors.md").read_text()):
        for code in re.findall(r"`([a-z0-9_]+)`", codes):
            assert code not in found, f"{code} is documented twice"
            found[code] = status
    return found


def raised_codes() -> Iterator[str]:
    """Every error code in the sources: of classes, of single errors, of refused deliveries."""
    for path in SOURCES.rglob("*.py"):
        if "testing" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            yield from _codes_of(node)


def _codes_of(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.ClassDef(body=body):
            for statement in body:
                match statement:
                    case (
                        ast.Assign(
                            targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))
                        )
                        | ast.AnnAssign(
                            target=ast.Name(id="code"), value=ast.Constant(value=str(code))
                        )
                    ):
                        yield from _texts([ast.Constant(code)])
                    case _:
                        pass
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            if name in ("Rejected", "make_problem", "Malformed", "_error"):
                yield from _texts(args[:2])
            if name != "Problem":
                yield from _texts([k.value for k in keywords if k.arg in ("code", "error_code")])
        case ast.Call(func=ast.Attribute(attr="add", value=ast.Name(id="problems")), args=args):
            yield from _texts(args[:1])
        case ast.Call(func=ast.Attribute(), keywords=keywords):
            yield from _texts([k.value for k in keywords if k.arg in ("code", "error_code")])
        case _:
            pass


def _texts(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"[a-z0-9_]{3,}", node.value):
                yield node.value
        elif isinstance(node, ast.IfExp):
            yield from _texts([node.body, node.orelse])
