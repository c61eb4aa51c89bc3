"""The OpenAPI document: what FastAPI finds, and what is true of every route."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from openloop import __version__
from openloop.api.authentication import is_open
from openloop.api.bodies import UNSAFE
from openloop.api.cookies import LOGIN
from openloop.api.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from fastapi import FastAPI

DESCRIPTION = """\
Every route but the health checks, this document and the way in (`/login`) needs
`Authorization: Bearer ol_...`, or the cookie of a login; a write under a login also needs the header
`X-OpenLoop-CSRF` with the `csrf` of `GET /api/v1/me`.
Errors are `application/problem+json` with a stable `code` (docs/reference/errors.md).
Writes take an `Idempotency-Key`. docs/reference/api.md has the rest."""

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A write that is sent again with the same key is answered again, not done again.",
    "schema": {"type": "string", "maxLength": 200},
}


def make_document(app: FastAPI) -> dict[str, Any]:
    """The document of an application, made anew."""
    document = get_openapi(
        title="OpenLoop",
        version=__version__.split("+")[0],
        description=DESCRIPTION,
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "login": {"type": "apiKey", "in": "cookie", "name": LOGIN.name},
    }
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemas["Problem"] = TypeAdapter(Problem).json_schema(mode="serialization")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(path, method.upper(), operation)
    return document


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "A problem",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    operation["security"] = [] if is_open(path) else [{"token": []}, {"login": []}]
    if method in UNSAFE:
        operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
