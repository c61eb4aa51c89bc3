"""What tests of the gate share: a service behind the tracker, and ways to look at what was decided."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openloop.domain.audience import PlaceClass
from openloop.domain.errors import TryLater
from openloop.domain.step import StepKind
from openloop.runtime.builtin.memory import memory_toolset
from openloop.tools.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.domain.conversation import ConversationRef
    from openloop.domain.facts import Access
    from openloop.domain.model import ModelRequest
    from openloop.domain.step import Step
    from tests.make import Stage

LATER = TryLater("The platform is busy")
TWO_REPOS: dict[str, Any] = {
    "name": "github",
    "type": "native",
    "permissions": ["issues:write"],
    "repos": ["acme/platform", "acme/website"],
}
LINKED = {
    "people": {
        "priya": {"slack": "U0PRIYA", "github": 4711},
        "anna": {"slack": "U0ANNA"},
        "ben": {"slack": "U0BEN", "github": 4712},
    }
}


@dataclass
class Service:
    """What the tracker says of people and repositories."""

    yes: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])
    readers: dict[str, PlaceClass] = field(default_factory=dict[str, PlaceClass])
    asked: list[tuple[str, ...]] = field(default_factory=list[tuple[str, ...]])
    error: Exception | None = None

    async def may(self, person: str, resource: str, access: Access) -> bool:
        self.asked.append((person, resource, access))
        if self.error is not None:
            raise self.error
        return (person, resource, access) in self.yes

    async def audience(self, resource: str) -> PlaceClass:
        self.asked.append((resource,))
        if self.error is not None:
            raise self.error
        return self.readers[resource]


def with_service(stage: Stage, service: Service, **tool: Any) -> None:
    """The tracker with a service behind it, and with other declarations of its first tool."""
    toolset = stage.tracker.toolset()
    first, *others = toolset.tools
    tools = (replace(first, **tool), *others)
    toolset = replace(toolset, may=service.may, audience=service.audience, tools=tools)
    stage.registry = Registry((toolset, memory_toolset()))


def own(**more: Any) -> dict[str, Any]:
    """An agent whose manifest speaks for nobody."""
    tool = {"name": "github", "type": "native", "permissions": ["issues:write"]}
    return {"tools": [{**tool, "requester_rights": "own", **more}]}


def create(repo: str = "acme/platform", **arguments: str) -> tuple[str, str]:
    return "github__create_issue", json.dumps({"repo": repo, "title": "A title", **arguments})


async def calls(stage: Stage, ref: ConversationRef) -> list[Step]:
    """The steps of the newest run that called tools."""
    found = await stage.steps(await stage.run_of(ref))
    return [step for step in found if step.kind is StepKind.TOOL]


async def rules(stage: Stage, ref: ConversationRef) -> list[str]:
    return [step.rule for step in await calls(stage, ref)]


def between(stage: Stage, turn: int, act: Callable[[], Any]) -> None:
    """Do something while the model thinks about its answer number `turn` (from 0)."""

    async def before(request: ModelRequest) -> None:
        if sum(message.role == "assistant" for message in request.messages) == turn:
            stage.models.before = None
            await act()

    stage.models.before = before
