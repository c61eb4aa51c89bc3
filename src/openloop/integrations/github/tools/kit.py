"""What tools of every resource are made of: a read, a write, and what a call reaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from openloop.domain.errors import Invalid
from openloop.domain.sinks import SinkValue
from openloop.domain.surface import Thread
from openloop.domain.tool import Arguments, CallContext, Effect, ToolResult
from openloop.integrations.github.actors import place_of
from openloop.integrations.github.arguments import repo_of, schema
from openloop.integrations.github.errors import Ambiguous, Forbidden, NotFound, Refused
from openloop.integrations.github.render import card
from openloop.plugin import Tool

if TYPE_CHECKING:
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.versions import Versions

Call = Callable[[Arguments, CallContext], Awaitable[ToolResult]]
LookUp = Callable[[Arguments, CallContext], Awaitable[ToolResult | None]]
Sinks = Sequence[str] | Callable[[Arguments], Sequence[SinkValue]]
Version = Callable[[Arguments], Awaitable[str]]
Opens = Callable[[Arguments, ToolResult], Thread | None]

APPROVAL = "It may wait until a person has approved it."


class Group:
    """The calls of one resource: a method for each tool, all through one client.

    The arguments have passed the tool's schema; what GitHub declines is raised as it comes.
    """

    def __init__(self, client: GitHubClient, versions: Versions) -> None:
        self.client = client
        self.versions = versions

    def opened(self, arguments: Arguments, result: ToolResult) -> Thread | None:
        """The issue or pull request that a call has opened; None where only people say that it did."""
        content = result.content if isinstance(result.content, dict) else {}
        number = content.get("number")
        if not isinstance(number, int):
            return None
        place = place_of(repo_of(arguments), host=self.client.host)
        return Thread(place=place, root=str(number))


def read(name: str, what: str, parameters: str, call: Call, *, permission: str) -> Tool:
    """A tool that reads `what`."""
    return Tool(
        name=name,
        description=f"Read {what}.",
        parameters=schema(parameters),
        permission=permission,
        effect=Effect.READ,
        call=_telling(call),
        render=card(f"Read {what}"),
        resource=_resource,
    )


def write(  # a tool is declared in one place, each part by name
    name: str,
    description: str,
    parameters: str,
    call: Call,
    *,
    permission: str,
    look_up: LookUp,
    title: str,
    sinks: Sinks,
    version: Version,
    opens: Opens | None = None,
) -> Tool:
    """A tool that changes something; `title` names arguments in braces."""
    return Tool(
        name=name,
        description=f"{description} {APPROVAL}",
        parameters=schema(parameters),
        permission=permission,
        effect=Effect.WRITE,
        call=_telling(call),
        render=card(title),
        resource=_resource,
        sinks=sinks,
        look_up=_certain(look_up),
        version=version,
        opens=opens,
    )


def thread(arguments: Arguments) -> Sequence[SinkValue]:
    """The issue or pull request that is written to, as people name it across repositories."""
    repo, number = repo_of(arguments), arguments["number"]
    pages = (f"https://github.com/{repo}/{kind}/{number}" for kind in ("issues", "pull"))
    return (SinkValue(argument="number", spellings=(f"{repo}#{number}", *pages)),)


def _resource(arguments: Arguments) -> str:
    return str(repo_of(arguments))


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
