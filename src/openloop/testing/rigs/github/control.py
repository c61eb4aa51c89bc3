"""Steering a fake GitHub that runs in a process of its own: `/control` in JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from aiohttp import web

from openloop.testing.rigs import faults as shared
from openloop.testing.rigs.github import faults

if TYPE_CHECKING:
    from openloop.testing.rigs.github.calls import Call
    from openloop.testing.rigs.github.faults import GitHubFault
    from openloop.testing.rigs.github.rig import GitHubRig
    from openloop.testing.rigs.github.shapes import Json
    from openloop.testing.rigs.github.state import Issue, Repository

FAULTS: dict[str, type[GitHubFault]] = {
    kind.__name__: kind
    for kind in (
        shared.TooMany,
        shared.ServerError,
        shared.DropRequest,
        shared.DropAnswer,
        shared.Slow,
        shared.Refuse,
        faults.CutAnswer,
        faults.PrimaryLimit,
        faults.SecondaryLimit,
        faults.Redirect,
    )
}


class Control:
    """Routes beside the API: see the state, add to it, set dials, wait for a number of calls."""

    def __init__(self, rig: GitHubRig) -> None:
        self._rig = rig

    def attach(self) -> None:
        """Add the routes; before the rig starts."""
        self._rig.add_routes(
            [
                web.get("/control", self._show),
                web.get("/control/calls", self._wait_for_calls),
                web.post("/control/repositories", self._add_repository),
                web.post("/control/issues", self._add_issue),
                web.post("/control/comments", self._add_comment),
                web.post("/control/faults", self._add_fault),
                web.delete("/control/faults", self._clear_faults),
            ]
        )

    async def _show(self, _: web.Request) -> web.Response:
        state = self._rig.state
        return web.json_response(
            {
                "url": self._rig.api_url,
                "repositories": {
                    repository.full_name: _shown_repository(repository)
                    for repository in state.repositories.values()
                },
                "calls": [_shown_call(call) for call in self._rig.calls],
                "strays": [_shown_call(call) for call in self._rig.strays],
            }
        )

    async def _wait_for_calls(self, request: web.Request) -> web.Response:
        """Answers when `operation` was called `count` times; 504 after `timeout_seconds`."""
        query = request.query
        operation, count = query["operation"], int(query.get("count", "1"))
        seconds = min(float(query.get("timeout_seconds", "10")), 60)
        try:
            await self._rig.until(
                lambda: len(self._rig.made(operation)) >= count, timeout_seconds=seconds
            )
        except TimeoutError:
            return web.json_response([_shown_call(call) for call in self._rig.calls], status=504)
        return web.json_response([_shown_call(call) for call in self._rig.made(operation)])

    async def _add_repository(self, request: web.Request) -> web.Response:
        wanted = await _fields(request)
        made = self._rig.state.add_repository(
            str(wanted["name"]),
            private=bool(wanted.get("private", False)),
            has_issues=bool(wanted.get("has_issues", True)),
        )
        return web.json_response(_shown_repository(made), status=201)

    async def _add_issue(self, request: web.Request) -> web.Response:
        wanted = await _fields(request)
        made = self._rig.state.add_issue(
            self._repository(wanted),
            str(wanted["title"]),
            by=self._rig.state.add_user(str(wanted["author"])),
            body=str(wanted.get("body", "")),
            labels=[str(name) for name in cast("list[object]", wanted.get("labels", []))],
        )
        return web.json_response(_shown_issue(made), status=201)

    async def _add_comment(self, request: web.Request) -> web.Response:
        wanted = await _fields(request)
        number = cast("int", wanted["number"])
        issue = self._repository(wanted).issues.get(number)
        if issue is None:
            raise web.HTTPNotFound
        author = self._rig.state.add_user(str(wanted["author"]))
        self._rig.state.add_comment(issue, str(wanted["body"]), by=author)
        return web.json_response(_shown_issue(issue), status=201)

    async def _add_fault(self, request: web.Request) -> web.Response:
        wanted = await _fields(request)
        kind = FAULTS.get(str(wanted["fault"]))
        if kind is None:
            return web.json_response({"known": sorted(FAULTS)}, status=422)
        arguments = cast("Json", wanted.get("with", {}))
        self._rig.faults.fail(
            str(wanted.get("operation", shared.EVERY_OPERATION)),
            with_=kind(**arguments),  # pyright: ignore[reportArgumentType]  # each has its own
            times=cast("int | None", wanted.get("times", 1)),
            skip=cast("int", wanted.get("skip", 0)),
        )
        return web.Response(status=204)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._rig.faults.clear()
        return web.Response(status=204)

    def _repository(self, wanted: Json) -> Repository:
        found = self._rig.state.find_repository(str(wanted["repository"]))
        if found is None:
            raise web.HTTPNotFound
        return found


async def _fields(request: web.Request) -> Json:
    return cast("Json", await request.json())


def _shown_repository(repository: Repository) -> Json:
    return {
        "private": repository.private,
        "issues": [_shown_issue(issue) for issue in repository.issues.values()],
    }


def _shown_issue(issue: Issue) -> Json:
    return {
        "number": issue.number,
        "title": issue.title,
        "body": issue.body,
        "author": issue.author.login,
        "state": issue.state,
        "is_pull": issue.pull is not None,
        "labels": [label.name for label in issue.labels],
        "comments": [
            {"id": comment.id, "author": comment.author.login, "body": comment.body}
            for comment in issue.comments
        ],
    }


def _shown_call(call: Call) -> Json:
    shown = asdict(call)
    return {name: shown[name] for name in ("method", "path", "operation", "status", "login")}
