"""The Web API over HTTP: reads a call, checks its token, commits its fault, answers, records."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from openloop.testing.rigs.faults import (
    DropAnswer,
    DropRequest,
    Fault,
    Refuse,
    ServerError,
    Slow,
    TooMany,
)
from openloop.testing.rigs.slack.arguments import Arguments, Refused, json_object
from openloop.testing.rigs.slack.faults import SlackFaults
from openloop.testing.rigs.slack.methods import chat, conversations, directory, signals
from openloop.testing.rigs.slack.methods.method import Method, require_scope
from openloop.testing.rigs.slack.wire import Json, decode, encode
from openloop.testing.rigs.slack.workspace import Workspace

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One recorded call. `status` None: the connection was closed without an answer.

    `response` is what the workspace decided, also where the app never got to see it. The token is
    not among `args`. `at` is seconds on `time.perf_counter()`.
    """

    method: str
    args: Mapping[str, Any]
    status: int | None
    body: bytes
    at: float

    @property
    def response(self) -> Json:
        return decode(self.body)

    @property
    def ok(self) -> bool:
        return self.status == 200 and self.response.get("ok") is True


class WebApi:
    """Answers `/api/METHOD`."""

    def __init__(
        self,
        workspace: Workspace,
        faults: SlackFaults,
        *,
        bot_token: str,
        app_token: str,
        open_connection: Callable[[], str],
    ) -> None:
        self.calls: list[Call] = []
        self._slack, self._faults = workspace, faults
        self._tokens = {"bot": bot_token, "app": app_token}
        self._methods: dict[str, Method] = {
            **chat.METHODS,
            **conversations.METHODS,
            **directory.METHODS,
            **signals.METHODS,
            "apps.connections.open": Method(
                run=lambda _slack, _arguments: {"ok": True, "url": open_connection()},
                writes=True,
                token="app",
            ),
        }

    @property
    def method_names(self) -> list[str]:
        return sorted(self._methods)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.path.removeprefix("/api/")
        at = time.perf_counter()
        try:
            given = await _read(request, self._methods.get(name))
        except Refused as refused:
            return self._respond(name, {}, refused.as_json(), at)
        token = _token(request, given)
        fault = self._faults.draw(name, given)
        if fault is not None:
            return await self._go_wrong(request, name, given, token, fault, at)
        return self._respond(name, given, self._call(name, given, token), at)

    # -------------------------------------------------------------------------------------------

    def _call(self, name: str, given: Mapping[str, Any], token: str | None) -> Json:
        try:
            method = self._methods.get(name)
            if method is None:
                raise Refused("unknown_method", req_method=name)  # noqa: TRY301 - one way to refuse
            self._check_token(method, token)
            if method.scope is not None:
                require_scope(self._slack, method.scope)
            return method.run(self._slack, Arguments(given))
        except Refused as refused:
            return refused.as_json()

    def _check_token(self, method: Method, token: str | None) -> None:
        if token is None:
            raise Refused("not_authed")
        if token not in self._tokens.values():
            raise Refused("invalid_auth")
        if token != self._tokens[method.token]:
            raise Refused("not_allowed_token_type")
        if self._faults.token_error is not None and method.token == "bot":
            raise Refused(self._faults.token_error)

    async def _go_wrong(
        self,
        request: web.BaseRequest,
        name: str,
        given: Mapping[str, Any],
        token: str | None,
        fault: Fault,
        at: float,
    ) -> web.StreamResponse:
        match fault:
            case TooMany(retry_after_seconds=seconds):
                return self._respond(
                    name,
                    given,
                    {"ok": False, "error": "ratelimited"},
                    at,
                    status=429,
                    headers={"Retry-After": str(seconds)},
                )
            case ServerError(status=status, after_commit=after_commit):
                result = self._call(name, given, token) if after_commit else {"ok": False}
                self.record(name, given, result, at, status=status)
                return web.Response(status=status, text="upstream error")
            case DropRequest():
                self.record(name, given, {"ok": False}, at, status=None)
                return _hang_up(request)
            case DropAnswer():
                self.record(name, given, self._call(name, given, token), at, status=None)
                return _hang_up(request)
            case Slow(seconds=seconds):
                result = self._call(name, given, token)
                await asyncio.sleep(seconds)
                return self._respond(name, given, result, at)
            case Refuse(error=error):
                return self._respond(name, given, {"ok": False, "error": error}, at)

    def _respond(
        self,
        name: str,
        given: Mapping[str, Any],
        result: Json,
        at: float,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        body = self.record(name, given, result, at, status=status)
        method = self._methods.get(name)
        scopes = {
            "X-OAuth-Scopes": ",".join(self._slack.scopes),
            "X-Accepted-OAuth-Scopes": (method.scope if method else None) or "",
        }
        return web.Response(
            status=status,
            body=body,
            headers={**scopes, **(headers or {})},
            content_type=_JSON,
            charset="utf-8",
        )

    def record(
        self, name: str, given: Mapping[str, Any], result: Json, at: float, *, status: int | None
    ) -> bytes:
        """Keep what was called and what came of it; answers the latter as JSON."""
        body = encode(result)
        self.calls.append(Call(method=name, args=given, status=status, body=body, at=at))
        self._slack.changes.announce()
        return body


async def _read(request: web.BaseRequest, method: Method | None) -> dict[str, Any]:
    """The arguments of a call, from its query and its body.

    A method that only reads does not see a JSON body at all, as with Slack itself.
    """
    given: dict[str, Any] = dict(request.query)
    if request.method != "POST":
        return given
    body = await request.read()
    kind = request.content_type
    if kind == _JSON:
        if method is not None and method.writes and body:
            given |= json_object(body)
    elif kind == _FORM:
        given |= dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    elif body:
        raise Refused("invalid_post_type")
    return given


def _token(request: web.BaseRequest, given: dict[str, Any]) -> str | None:
    """The token of a call, taken out of what is recorded of it."""
    in_arguments = given.pop("token", None)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" and token else in_arguments


def _hang_up(request: web.BaseRequest) -> web.Response:
    """Close the connection; what is returned is written to nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
