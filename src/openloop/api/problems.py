"""Errors as problem+json (RFC 9457): families are mapped here, once, and nowhere else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import orjson
from fastapi.responses import Response

from openloop.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    OpenLoopError,
    Unavailable,
)
from openloop.domain.strict_json import Malformed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from fastapi import Request
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.types import Send

MEDIA_TYPE = "application/problem+json"
TITLES: dict[int, str] = {
    400: "Malformed",
    401: "Not authenticated",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Not JSON",
    422: "Invalid",
    500: "Internal error",
    503: "Unavailable",
}
RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong: `code` is stable for ever, `problems` lists every one of them."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    problems: tuple[str, ...] = ()


class RequestRefused(OpenLoopError):
    """A request that is refused before anything looks at what it asks for."""

    code = "request_refused"
    status: ClassVar[int] = 400


class NotAuthenticated(RequestRefused):
    """There is no token, or it is not a live one of ours."""

    code = "not_authenticated"
    status = 401


class ForeignHost(RequestRefused):
    """The Host header names nothing that we answer as."""

    code = "host_not_allowed"
    status = 400


class ForeignOrigin(RequestRefused):
    """A page of another site may not write."""

    code = "origin_not_allowed"
    status = 403


class BodyTooLarge(RequestRefused):
    """The body has more bytes than are read."""

    code = "body_too_large"
    status = 413

    def __init__(self, limit: int, *, is_complete: bool) -> None:
        super().__init__(f"The body is larger than {limit} bytes")
        self.is_complete = is_complete


class BodyTooSlow(RequestRefused):
    """The body did not arrive in time."""

    code = "body_too_slow"
    status = 408


class NotJson(RequestRefused):
    """The body says that it is something else than JSON."""

    code = "content_type_not_json"
    status = 415


class MalformedRequest(RequestRefused):
    """A header or the address cannot be read."""

    code = "request_malformed"
    status = 400


class TimedOut(Unavailable):
    """The request took longer than any request may take."""

    code = "timed_out"


def make_problem(status: int, code: str, detail: str, problems: Sequence[str] = ()) -> Problem:
    """A problem with the title of its status."""
    return Problem(
        type=f"urn:openloop:error:{code}",
        title=TITLES.get(status, "Error"),
        status=status,
        code=code,
        detail=detail,
        problems=tuple(problems),
    )


def problem_of(error: OpenLoopError) -> Problem:
    """The problem that an error of ours is answered with."""
    problems = error.problems if isinstance(error, Invalid) else ()
    return make_problem(status_of(error), error.code, str(error), problems)


def status_of(error: OpenLoopError) -> int:
    """The status of an error's family."""
    match error:
        case RequestRefused():
            return error.status
        case NotFound():
            return 404
        case Conflict():
            return 409
        case Forbidden():
            return 403
        case Malformed():
            return 413 if error.code == "json_too_large" else 400
        case Invalid():
            return 422
        case Unavailable():
            return 503
        case _:
            return 500


def headers_of(status: int) -> dict[str, str]:
    """What a client needs to know beside the problem itself."""
    match status:
        case 401:
            return {"WWW-Authenticate": 'Bearer realm="openloop"'}
        case 503:
            return {"Retry-After": str(RETRY_AFTER_SECONDS)}
        case 408 | 413:
            # The rest of the body is on its way: the connection cannot be used again.
            return {"Connection": "close"}
        case _:
            return {}


def response_of(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response."""
    return Response(
        orjson.dumps(asdict(problem)),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={**headers_of(problem.status), **(headers or {})},
    )


async def send_problem(
    send: Send, problem: Problem, *, before_end: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Answer with a problem from outside FastAPI.

    `before_end` is awaited when the answer is on its way and its connection is still open.
    """
    body = orjson.dumps(asdict(problem))
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        *(
            (name.lower().encode(), value.encode())
            for name, value in headers_of(problem.status).items()
        ),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    if before_end is not None:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await before_end()
        body = b""
    await send({"type": "http.response.body", "body": body})


async def answer_routing(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: there is no such route, or not with this method."""
    refusal: HTTPException = error  # pyright: ignore[reportAssignmentType]  # registered for it
    where = f"{request.method} {request.url.path[:200]}"
    if refusal.status_code == 405:
        problem = make_problem(405, "method_not_allowed", f"{where}: not with this method")
    elif refusal.status_code == 404:
        problem = make_problem(404, "route_not_found", f"{where}: there is no such route")
    else:
        problem = make_problem(refusal.status_code, "request_refused", f"{where}: {refusal.detail}")
    return response_of(problem, refusal.headers)


async def answer_validation(request: Request, error: Exception) -> Response:
    """Every parameter and field that does not fit, by its path; values are not echoed."""
    refusal: RequestValidationError = error  # pyright: ignore[reportAssignmentType]  # registered
    problems = [
        f"{'.'.join(map(str, found['loc']))}: {str(found['msg']).removeprefix('Value error, ')}"
        for found in refusal.errors()
    ]
    more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
    detail = f"{problems[0]}{more}"
    return response_of(make_problem(422, "request_invalid", detail, problems))
