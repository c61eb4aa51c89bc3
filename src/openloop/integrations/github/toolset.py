"""The tools an agent has on GitHub: issues read, opened and commented on, pull requests read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from openloop.domain.errors import Invalid
from openloop.domain.sinks import SinkValue
from openloop.domain.surface import Finding
from openloop.domain.tool import Arguments, CallContext, Effect, ToolResult
from openloop.integrations.github.calls import Calls, repo_of
from openloop.integrations.github.errors import (
    Ambiguous,
    Forbidden,
    GitHubError,
    NotFound,
    Refused,
)
from openloop.integrations.github.names import HIGHEST_NUMBER, PATTERN
from openloop.integrations.github.people import Rights
from openloop.integrations.github.render import card
from openloop.plugin import Tool, Toolset

if TYPE_CHECKING:
    from openloop.integrations.github.client import GitHubClient

NAME = "github"

Call = Callable[[Arguments, CallContext], Awaitable[ToolResult]]
LookUp = Callable[[Arguments, CallContext], Awaitable[ToolResult | None]]
Sinks = Sequence[str] | Callable[[Arguments], Sequence[SinkValue]]

_PARAMETERS: dict[str, dict[str, object]] = {
    "repo": {
        "type": "string",
        "pattern": PATTERN,
        "description": "The repository, as owner/name.",
    },
    "number": {"type": "integer", "minimum": 1, "maximum": HIGHEST_NUMBER},
    "state": {
        "type": "string",
        "enum": ["open", "closed", "all"],
        "description": "open, if not given.",
    },
    "page": {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "The next_page of an earlier answer.",
    },
    "title": {"type": "string", "minLength": 1, "maxLength": 256},
    "body": {
        "type": "string",
        "minLength": 1,
        "maxLength": 60_000,  # GitHub takes 65,536, and our mark goes below
        "description": "Markdown.",
    },
    "labels": {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": 50, "pattern": "^[^,]+$"},
        "maxItems": 20,
    },
}
_OPTIONAL = {"state", "labels", "page"}
_APPROVAL = "It may wait until a person has approved it."


def github_toolset(client: GitHubClient, *, api_url: str) -> Toolset:
    """The tools, all through one client; `api_url` is shown by `doctor`."""
    calls, rights = Calls(client), Rights(client)
    reads = (
        _read("get_issue", "an issue: title, text, labels", "repo number", calls.get_issue),
        _read(
            "list_issues",
            "the issues of a repository, newest first",
            "repo state labels page",
            calls.list_issues,
        ),
        _read(
            "list_comments",
            "the conversation below an issue, oldest first",
            "repo number page",
            calls.list_comments,
        ),
        _read("get_pull", "a pull request: title, text, branches", "repo number", calls.get_pull),
        _read(
            "list_pulls",
            "the pull requests of a repository, newest first",
            "repo state page",
            calls.list_pulls,
        ),
        _read(
            "list_pull_files",
            "the files that a pull request changes",
            "repo number page",
            calls.list_pull_files,
        ),
    )
    writes = (
        _write(
            "create_issue",
            f"Open an issue. {_APPROVAL}",
            "repo title body labels",
            calls.create_issue,
            look_up=calls.find_issue,
            title="Open an issue in {repo}",
            sinks=(),  # the repository is what a rule names
        ),
        _write(
            "create_comment",
            f"Comment on an issue or pull request. {_APPROVAL}",
            "repo number body",
            calls.create_comment,
            look_up=calls.find_comment,
            title="Comment on #{number} of {repo}",
            sinks=_thread,
        ),
    )
    return Toolset(
        name=NAME,
        tools=(*reads, *writes),
        check=lambda: _check(client, api_url),
        aclose=client.aclose,
        may=rights.may,
        audience=rights.audience,
    )


def _read(name: str, what: str, parameters: str, call: Call) -> Tool:
    return Tool(
        name=name,
        description=f"Read {what}.",
        parameters=_schema(parameters),
        permission="pulls:read" if "pull" in name else "issues:read",
        effect=Effect.READ,
        call=_telling(call),
        render=card(f"Read {what}"),
        resource=_resource,
    )


def _write(
    name: str,
    description: str,
    parameters: str,
    call: Call,
    *,
    look_up: LookUp,
    title: str,
    sinks: Sinks,
) -> Tool:
    return Tool(
        name=name,
        description=description,
        parameters=_schema(parameters),
        permission="issues:write",
        effect=Effect.WRITE,
        call=_telling(call),
        render=card(title),
        resource=_resource,
        sinks=sinks,
        look_up=_certain(look_up),
    )


def _schema(parameters: str) -> dict[str, object]:
    names = parameters.split()
    return {
        "type": "object",
        "properties": {name: _PARAMETERS[name] for name in names},
        "required": [name for name in names if name not in _OPTIONAL],
        "additionalProperties": False,
    }


def _resource(arguments: Arguments) -> str:
    return str(repo_of(arguments))


def _thread(arguments: Arguments) -> Sequence[SinkValue]:
    """The issue or pull request that is written to, as people name it across repositories."""
    repo, number = repo_of(arguments), arguments["number"]
    pages = (f"https://github.com/{repo}/{kind}/{number}" for kind in ("issues", "pull"))
    return (SinkValue(argument="number", spellings=(f"{repo}#{number}", *pages)),)


def _telling(call: Call) -> Call:
    """The call, with what GitHub declined as a result that the model reads."""

    async def told(arguments: Arguments, context: CallContext) -> ToolResult:
        try:
            return await call(arguments, context)
        except (NotFound, Forbidden, Refused, Invalid) as error:
            return ToolResult.failed(str(error))

    return told


def _certain(look_up: LookUp) -> LookUp:
    """The look-up, with None where GitHub's answer settles nothing."""

    async def looked_up(arguments: Arguments, context: CallContext) -> ToolResult | None:
        try:
            return await look_up(arguments, context)
        except (NotFound, Forbidden, Refused, Ambiguous):
            return None

    return looked_up


async def _check(client: GitHubClient, api_url: str) -> Sequence[Finding]:
    try:
        user = await client.whoami()
    except Forbidden as error:
        remedy = "Put a token that is still good into GITHUB_TOKEN"
        return (Finding(subject="GitHub token", ok=False, detail=str(error), remedy=remedy),)
    except GitHubError as error:
        remedy = "Check GITHUB_API_URL, and whether this machine reaches it"
        return (Finding(subject="GitHub", ok=False, detail=str(error), remedy=remedy),)
    return (Finding(subject="GitHub", ok=True, detail=f"signed in as {user.login} at {api_url}"),)
