"""The AgentTest manifest: a thread, memories and tool results, and what an agent is to decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from annotated_types import Len

from openloop.domain import manifest
from openloop.domain.manifest_parts import (
    ChannelName,
    Dollars,
    Few,
    GatedPermission,
    Grammar,
    ModelName,
    Slug,
    Some,
    Switch,
    part,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.domain.strict_yaml import Path

KIND = "AgentTest"

ToolCallName: TypeAlias = Annotated[
    str, Grammar(r"[A-Za-z0-9_-]{1,64}", "a tool as a model calls it: github__create_issue")
]
Text: TypeAlias = Annotated[str, Len(1, 20_000)]
Phrase: TypeAlias = Annotated[str, Len(1, 400)]
Link: TypeAlias = Annotated[str, Len(0, 400)]
Texts: TypeAlias = Annotated[tuple[Phrase, ...], Few]
Tools: TypeAlias = Annotated[tuple[ToolCallName, ...], Few]
Outsider: TypeAlias = Literal["guest", "external"]


@part
class AgentTestMetadata:
    """Which test this is, and of which agent."""

    name: Slug
    agent: Slug


@part
class Said:
    """One message of the thread, by a person of the Workspace or an outsider of this test."""

    by: Slug
    text: Text


@part
class Remembered:
    """Something that the agent remembers from before, confirmed."""

    kind: Literal["decision", "fact", "preference"] = "decision"
    text: Annotated[str, Len(1, 2000)]
    by: Slug


@part
class ScriptedResult:
    """What a tool answers when it is called; several of one tool come in this order."""

    tool: ToolCallName
    outcome: Literal["done", "failed"] = "done"
    content: Any = field(default_factory=dict[str, object])
    link: Link = ""


@part
class Decided:
    """Somebody presses a button of the approval that waits."""

    by: Slug
    decision: Literal["approve", "reject"]


@part
class Expectations:
    """What has to be true afterwards; what is not named may be anything.

    `calls` are made, held ones once they are approved; `denies` are refused by the policy.
    `says` and `recalls` look for a part of a text, without regard to case.
    """

    asks_approval: Annotated[tuple[GatedPermission, ...], Few] = ()
    asks_nothing: Switch = False
    stays_silent: Switch = False
    calls: Tools = ()
    never_calls: Tools = ()
    denies: Tools = ()
    recalls: Texts = ()
    never_recalls: Texts = ()
    says: Texts = ()
    never_says: Texts = ()
    costs_less_than_usd: Dollars | None = None


@part
class AgentTestSpec:
    """What is given, and what is expected.

    The last message of the thread asks the agent, unless `mentioned` is false. `model` stands in
    for every model of the agent; without it, the agent's own ones have to be scripted.
    """

    channel: ChannelName | None = None
    outsiders: Annotated[Mapping[Slug, Outsider], Few] = field(default_factory=dict[str, Outsider])
    thread: Annotated[tuple[Said, ...], Some]
    mentioned: Switch = True
    memories: Annotated[tuple[Remembered, ...], Few] = ()
    tools: Annotated[tuple[ScriptedResult, ...], Few] = ()
    decide: Annotated[tuple[Decided, ...], Few] = ()
    model: ModelName | None = None
    expect: Expectations


@part
class AgentTest:
    """One test of one agent."""

    metadata: AgentTestMetadata
    spec: AgentTestSpec


def load(text: bytes | str, *, name: str) -> AgentTest:
    """Read a test; `name` is what messages call the file.

    Raises:
        InvalidManifest
    """
    test, locator = manifest.read(text, {KIND: AgentTest}, name=name)
    manifest.refuse(tuple(locator.problem(*finding) for finding in _findings(test)))
    return test


def is_test(text: bytes | str) -> bool:
    """True where a file says that it is a test: folders may hold both."""
    raw = text.encode() if isinstance(text, str) else text
    return any(
        line.strip().split(b"#")[0].split() == [b"kind:", b"AgentTest"] for line in raw.splitlines()
    )


def _findings(test: AgentTest) -> Iterator[tuple[str, Path, str]]:
    expect, spec = test.spec.expect, test.spec
    path: Path = ("spec", "expect")
    if all(getattr(expect, each.name) == each.default for each in fields(Expectations)):
        yield "agent_test_expects_nothing", path, "A test without an expectation passes always"
    if expect.asks_nothing and expect.asks_approval:
        message = "It cannot ask for nothing and for something"
        yield "agent_test_contradicted", (*path, "asks_nothing"), message
    if expect.stays_silent and expect.says:
        message = "It cannot stay silent and say something"
        yield "agent_test_contradicted", (*path, "stays_silent"), message
    for index, each in enumerate(expect.calls):
        if each in expect.never_calls:
            message = f"{each!r} is in never_calls too"
            yield "agent_test_contradicted", (*path, "calls", index), message
    scripted = {result.tool for result in spec.tools}
    for index, each in enumerate(expect.calls):
        if each not in scripted and not each.startswith("memory__"):
            message = f"{each!r} is to be called, and spec.tools says nothing that it answers"
            yield "agent_test_unscripted", (*path, "calls", index), message
