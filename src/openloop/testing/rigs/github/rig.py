"""The fake GitHub itself: one HTTP server on a loopback port, its records and its dials."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
from typing import TYPE_CHECKING, Self, TypeVar, cast

from aiohttp import web

from openloop.testing.rigs.changes import Changes
from openloop.testing.rigs.faults import (
    DropAnswer,
    DropRequest,
    Refuse,
    ServerError,
    Slow,
    TooMany,
)
from openloop.testing.rigs.github import answers
from openloop.testing.rigs.github.answers import Answer, Refusal
from openloop.testing.rigs.github.app_operations import APP_ROUTES, AppRoute, answer_app
from openloop.testing.rigs.github.asked import Asked, Route
from openloop.testing.rigs.github.calls import Call
from openloop.testing.rigs.github.faults import (
    CutAnswer,
    GitHubFaults,
    Hold,
    PrimaryLimit,
    Raw,
    Redirect,
    SecondaryLimit,
)
from openloop.testing.rigs.github.log_host import LogHost
from openloop.testing.rigs.github.operations import ROUTES
from openloop.testing.rigs.github.shapes import Json, Shapes
from openloop.testing.rigs.github.state import GitHubState
from openloop.testing.rigs.github.watch_operations import WATCH_ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openloop.testing.rigs.github.faults import GitHubFault
    from openloop.testing.rigs.github.state import Repository, Token

HOUR_SECONDS = 3600
MAX_REQUEST_BYTES = 4_000_000
API_VERSIONS = ("2022-11-28",)

T = TypeVar("T")


class GitHubRig:
    """A stateful fake of GitHub's REST API.

    `async with GitHubRig(token=...) as rig` listens on 127.0.0.1; `rig.state` holds what it
    knows, `rig.faults` the dials, `rig.calls` every request, and `rig.strays` those for a path
    that it does not know. `rig.log_host` is the other server to which it points for logs.
    """

    def __init__(
        self,
        *,
        token: str,
        login: str = "openloop-bot",
        port: int = 0,
        hourly_limit: int = 5000,
        state: GitHubState | None = None,
    ) -> None:
        self.state = state if state is not None else GitHubState()
        self.state.add_token(token, login=login)
        self.token = token
        self.faults = GitHubFaults()
        self.calls: list[Call] = []
        self.log_host = LogHost()
        self.hourly_limit = hourly_limit
        self._port = port
        self._origin: str | None = None
        self._changes = Changes()
        self._numbers = itertools.count(1)
        self._routes: list[web.RouteDef] = []
        self._runner: web.AppRunner | None = None

    def add_routes(self, routes: Sequence[web.RouteDef]) -> None:
        """Serve these paths beside the API, from the next start on."""
        self._routes.extend(routes)

    @property
    def api_url(self) -> str:
        """Where it listens, such as `http://127.0.0.1:40123`."""
        if self._origin is None:
            message = "The rig has not been started"
            raise RuntimeError(message)
        return self._origin

    @property
    def strays(self) -> list[Call]:
        """Requests for paths that this fake does not know."""
        return [call for call in self.calls if call.operation is None]

    @property
    def writes(self) -> list[Call]:
        """The calls that asked for a change; who we are and what is there is read at any time."""
        return [call for call in self.calls if call.method != "GET"]

    def made(self, operation: str) -> list[Call]:
        """The calls of one operation, such as `POST /repos/{owner}/{repo}/issues`."""
        return [call for call in self.calls if call.operation == operation]

    async def until(self, predicate: Callable[[], T], *, timeout_seconds: float = 30) -> T:
        """Wait for the predicate to be true, asked again after each request and answer.

        Raises:
            TimeoutError
        """
        return await self._changes.until(predicate, timeout_seconds=timeout_seconds)

    async def start(self) -> None:
        """Listen; after a `stop` on the same port as before, with all that is known."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_routes([*self._routes, web.route("*", "/{path:.*}", self._serve)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        await self.log_host.start()
        self._origin = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            await self.log_host.stop()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        route, parts = _find_route(request)
        call = await self._record(request, route, parts)
        fault = self._draw_fault(call) if route is not None else None
        match fault:
            case Slow(seconds=seconds):
                answer = self._answer(request, call, route)
                await asyncio.sleep(seconds)
                return self._respond(request, call, answer)
            case Hold(released=released):
                await released.wait()
            case DropRequest():
                return self._drop(request)
            case DropAnswer():
                self._answer(request, call, route)
                return self._drop(request)
            case CutAnswer():
                answer = self._answer(request, call, route)
                return await self._cut(request, self._respond(request, call, answer))
            case ServerError(status=status, after_commit=after_commit):
                if after_commit:
                    self._answer(request, call, route)
                return self._respond(request, call, answers.failure(status, "Server Error"))
            case None:
                pass
            case _:
                return self._respond(request, call, self._refuse(fault))
        return self._respond(request, call, self._answer(request, call, route))

    async def _record(
        self, request: web.Request, route: Route | AppRoute | None, parts: Mapping[str, str]
    ) -> Call:
        body = await request.read()
        token = self.state.tokens.get(_token_of(request))
        call = Call(
            method=request.method,
            path=request.rel_url.raw_path,
            query=dict(request.query),
            headers={
                name.lower(): text
                for name, text in request.headers.items()
                if name.lower() != "authorization"
            },
            body=body,
            content=_parsed(body),
            operation=route.operation if route is not None else None,
            parts=parts,
            login=token.user.login if token is not None else None,
        )
        self.calls.append(call)
        self._changes.announce()
        return call

    def _draw_fault(self, call: Call) -> GitHubFault | None:
        fields = cast("Json", call.content) if isinstance(call.content, dict) else {}
        return self.faults.take(call.operation or "", {**call.parts, **call.query, **fields})

    def _answer(self, request: web.Request, call: Call, route: Route | AppRoute | None) -> Answer:
        """Do what is asked, if GitHub would."""
        try:
            return self._perform(request, call, route)
        except Refusal as refusal:
            return refusal.answer

    def _perform(self, request: web.Request, call: Call, route: Route | AppRoute | None) -> Answer:
        _check_headers(call)
        if isinstance(route, AppRoute):
            shapes, token = Shapes(self.api_url), _token_of(request)
            return answer_app(route, call, state=self.state, shapes=shapes, token=token)
        token = self._authenticate(request)
        counted = route is None or route.template != "/rate_limit"
        if token is not None and counted:
            self._count(token)
        if route is None:
            raise answers.not_found()
        if "owner" in call.parts:
            repository = self._find_repository(request, call, token)
            _check_permission(route, repository, token)
        if call.body and call.content is None:
            raise answers.bad_request("Problems parsing JSON")
        return route.act(
            Asked(
                state=self.state,
                shapes=Shapes(self.api_url),
                url=f"{self.api_url}{call.path}",
                parts=call.parts,
                query=call.query,
                content=call.content,
                token=token,
                rate=self._rate(token),
                log_host=self.log_host,
                accept=call.headers.get("accept", ""),
            )
        )

    def _authenticate(self, request: web.Request) -> Token | None:
        given = _token_of(request)
        if not given:
            return None
        token = self.state.tokens.get(given)
        if token is None:
            raise answers.bad_credentials()
        return token

    def _count(self, token: Token) -> None:
        now = int(self.state.now().timestamp())
        if token.window_ends_at <= now:
            token.used, token.window_ends_at = 0, now + HOUR_SECONDS
        if token.used >= self.hourly_limit:
            raise Refusal(
                answers.primary_limit(403, token.user.id, token.window_ends_at, self.hourly_limit)
            )
        token.used += 1

    def _rate(self, token: Token | None) -> Json:
        used = token.used if token is not None else 0
        now = int(self.state.now().timestamp())
        return {
            "limit": self.hourly_limit,
            "used": used,
            "remaining": self.hourly_limit - used,
            "reset": token.window_ends_at if token is not None else now + HOUR_SECONDS,
        }

    def _find_repository(self, request: web.Request, call: Call, token: Token | None) -> Repository:
        """The repository in the path, where the caller may know that it exists."""
        name = f"{call.parts['owner']}/{call.parts['repo']}"
        found = self.state.find_repository(name)
        former = self.state.find_moved(name) if found is None else None
        repository = found or former
        if repository is None or not _is_visible(repository, token):
            raise answers.not_found()
        if former is not None:
            rest = call.path.split("/", 4)[4:]
            place = "/".join([f"{self.api_url}/repos/{former.full_name}", *rest])
            query = f"?{request.query_string}" if request.query_string else ""
            raise answers.moved(place + query, keeps_method=call.method != "GET")
        return repository

    def _refuse(
        self, fault: TooMany | Refuse | PrimaryLimit | SecondaryLimit | Redirect | Raw
    ) -> Answer:
        match fault:
            case TooMany(retry_after_seconds=seconds):
                return answers.secondary_limit(429, seconds)
            case SecondaryLimit(status=status, retry_after_seconds=seconds):
                return answers.secondary_limit(status, seconds)
            case PrimaryLimit(status=status, reset_seconds=seconds):
                reset_at = int(self.state.now().timestamp()) + seconds
                return answers.primary_limit(status, 1, reset_at, self.hourly_limit)
            case Refuse(error=message):
                return answers.failure(403, message)
            case Redirect(location=location, status=status):
                return Answer(status, None, {"Location": location})
            case Raw(body=body, status=status):
                return Answer(status, body)

    def _respond(self, request: web.Request, call: Call, answer: Answer) -> web.Response:
        content = answer.content
        written = content if isinstance(content, bytes) else json.dumps(content).encode()
        tag = f'W/"{hashlib.sha256(written).hexdigest()}"'
        is_diff = isinstance(content, bytes) and "vnd.github.diff" in call.headers.get("accept", "")
        unchanged = answer.status == 200 and request.headers.get("If-None-Match") == tag
        headers = {
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": API_VERSIONS[0],
            "X-GitHub-Request-Id": f"RIG:{next(self._numbers):06d}",
            "X-Accepted-GitHub-Permissions": _accepted_permissions(call.operation),
            "ETag": tag,
            **self._rate_headers(request),
            **answer.headers,
        }
        call.status = 304 if unchanged else answer.status
        call.answer = None if unchanged or isinstance(content, bytes) else content
        call.answer_headers = headers
        self._changes.announce()
        return web.Response(
            status=call.status,
            body=None if unchanged or content is None else written,
            content_type="text/plain" if is_diff else "application/json",
            charset="utf-8",
            headers=headers,
        )

    def _rate_headers(self, request: web.Request) -> dict[str, str]:
        rate = self._rate(self.state.tokens.get(_token_of(request)))
        named = {f"X-RateLimit-{name.title()}": str(number) for name, number in rate.items()}
        return named | {"X-RateLimit-Resource": "core"}

    def _drop(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        self._changes.announce()
        return web.Response()

    async def _cut(self, request: web.Request, whole: web.Response) -> web.StreamResponse:
        body = whole.body if isinstance(whole.body, bytes) else b""
        half = web.StreamResponse(status=whole.status, headers=whole.headers)
        half.content_length = len(body)
        await half.prepare(request)
        await half.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return half


def _find_route(request: web.Request) -> tuple[Route | AppRoute | None, Mapping[str, str]]:
    for route in (*APP_ROUTES, *WATCH_ROUTES, *ROUTES):
        parts = route.match(request.method, request.rel_url.raw_path)
        if parts is not None:
            return route, parts
    return None, {}


def _token_of(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() in {"bearer", "token"} else ""


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _check_headers(call: Call) -> None:
    if not call.headers.get("user-agent"):
        raise answers.forbidden("Request forbidden by administrative rules.")
    version = call.headers.get("x-github-api-version", API_VERSIONS[0])
    if version not in API_VERSIONS:
        raise answers.bad_request(f"{version!r} is not a supported API version.")
    accepted = call.headers.get("accept", "*/*")
    if not any(kind in accepted for kind in ("*/*", "application/json", "application/vnd.github")):
        message = f"Unsupported 'Accept' header: {accepted!r}. Must accept 'application/json'."
        raise Refusal(answers.failure(415, message))


def _is_visible(repository: Repository, token: Token | None) -> bool:
    if not repository.private:
        return True
    return (
        token is not None
        and token.reaches(repository.full_name)
        and repository.allows(token.user, "read")
    )


def _check_permission(route: Route, repository: Repository, token: Token | None) -> None:
    """Everybody reads what is public; all else needs a token that was given the permission."""
    if route.level == "read" and not repository.private:
        return
    if token is None:
        raise answers.login_required()
    permitted = any(token.permits(name, route.level) for name in route.permissions)
    if not permitted or not token.reaches(repository.full_name):
        raise answers.not_accessible()


def _accepted_permissions(operation: str | None) -> str:
    found = [route for route in ROUTES if route.operation == operation]
    return "; ".join(f"{name}={route.level}" for route in found for name in route.permissions)
