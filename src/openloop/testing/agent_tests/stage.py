"""The stage of an AgentTest: rigs made from the manifests, and the runtime connected to them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import orjson
from aiohttp import web

from openloop import app
from openloop.domain.errors import Invalid
from openloop.domain.manifest import to_plain
from openloop.domain.manifest_agent import ChannelBinding, NativeTool
from openloop.domain.surface import Delivery, Rejected
from openloop.domain.tool import ToolResult
from openloop.models.gateway import GatewayConfig, open_gateway
from openloop.testing.rigs.github import GitHubRig
from openloop.testing.rigs.slack import SlackRig
from openloop.tools.registry import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from openloop.app import Application
    from openloop.domain.agent_test import AgentTest
    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.tool import Arguments, CallContext
    from openloop.plugin import Tool, Toolset
    from openloop.runtime.kit import Kit

Build: TypeAlias = "Callable[[Mapping[str, str]], AbstractAsyncContextManager[Application]]"
"""Puts the product together for these settings."""
BOT_TOKEN = "xoxb-1000000000-2000000000-agenttestagenttest"  # opens nothing
SIGNING_SECRET = "7c1d0f4b5a69788796a5b4c3d2e1f0aa"  # opens nothing
GITHUB_TOKEN = "ghp_agenttestagenttestagenttestagent"  # opens nothing
TEAM = "T0AGENTTEST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where tests run: a database of its own, a folder, scripts, and the process's environment."""

    dsn: str
    home: Path
    scripts: Path | None
    environ: Mapping[str, str]
    build: Build


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A runtime with nobody at work yet; `made` are the tools that were called, in order."""

    slack: SlackRig
    channel: str
    application: Application
    kit: Kit
    made: list[str]


@asynccontextmanager
async def open_stage(
    test: AgentTest, agent: AgentManifest, workspace: WorkspaceManifest, within: Surroundings
) -> AsyncGenerator[Stage]:
    """Everything that a test needs, with the agent applied.

    Raises:
        Invalid: the manifests are refused, or the agent listens in no channel
    """
    channel = _channel(test, agent)
    team = workspace.spec.integrations.slack
    async with (
        SlackRig(
            bot_token=BOT_TOKEN,
            signing_secret=SIGNING_SECRET,
            team_id=team.team if team is not None else TEAM,
            time_scale=0.001,
        ) as slack,
        GitHubRig(token=GITHUB_TOKEN) as github,
    ):
        _furnish(slack, github, test, agent, workspace)
        async with (
            within.build(_environ(slack, github, within)) as application,
            _models(application, within),
        ):
            await app.apply_files(application, _files(test, agent, workspace))
            made: list[str] = []
            kit = replace(application.kit, registry=_scripted(application.registry, test, made))
            async with _receiving(slack, application):
                yield Stage(
                    slack=slack, channel=channel, application=application, kit=kit, made=made
                )


@asynccontextmanager
async def _models(application: Application, within: Surroundings) -> AsyncGenerator[None]:
    """The model gateway in this process, with the keys of whoever runs the tests."""
    socket = application.settings.gateway_socket
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = GatewayConfig(
        environ=dict(within.environ), socket_path=socket, scripts=application.settings.scripts
    )
    async with open_gateway(config):
        yield


def _channel(test: AgentTest, agent: AgentManifest) -> str:
    bound = [
        surface.channel
        for surface in agent.spec.surfaces
        if isinstance(surface, ChannelBinding) and surface.type == "slack"
    ]
    wanted = test.spec.channel or (bound[0] if bound else None)
    if wanted is None or wanted.lstrip("#") not in {each.lstrip("#") for each in bound}:
        message = f"The agent {agent.metadata.name!r} does not listen in {wanted or 'any channel'}"
        raise Invalid(message, problems=(message,), code="agent_test_refused")
    return wanted.lstrip("#")


def _furnish(
    slack: SlackRig,
    github: GitHubRig,
    test: AgentTest,
    agent: AgentManifest,
    workspace: WorkspaceManifest,
) -> None:
    """The people, channels and repositories that the manifests name."""
    for name, person in workspace.spec.people.items():
        if person.slack is not None:
            slack.people.add(name, id=person.slack)
    for name, kind in test.spec.outsiders.items():
        slack.people.add(name, kind=kind)
    for surface in agent.spec.surfaces:
        if isinstance(surface, ChannelBinding) and surface.type == "slack":
            bare = surface.channel.lstrip("#")
            shared = "external" in test.spec.outsiders.values()
            slack.channels.add(bare, id=bare if bare.isupper() else None, is_ext_shared=shared)
    named = workspace.spec.integrations.github
    repos = dict.fromkeys(named.repos if named is not None else ())
    for tool in agent.spec.tools:
        if isinstance(tool, NativeTool):
            repos.update(dict.fromkeys(tool.repos or ()))
    for repo in repos:
        if "*" not in repo:
            github.state.add_repository(repo)


def _environ(slack: SlackRig, github: GitHubRig, within: Surroundings) -> dict[str, str]:
    """The settings that point the runtime at the rigs, and nothing of this machine's own."""
    scripts = {} if within.scripts is None else {"OPENLOOP_SCRIPTS": str(within.scripts)}
    return scripts | {
        "OPENLOOP_HOME": str(within.home),
        "DATABASE_URL": within.dsn,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_SIGNING_SECRET": slack.signing_secret,
        "SLACK_API_URL": slack.api_url,
        "GITHUB_TOKEN": github.token,
        "GITHUB_API_URL": github.api_url,
    }


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    text: str


def _files(test: AgentTest, agent: AgentManifest, workspace: WorkspaceManifest) -> list[_File]:
    plain = to_plain(agent)
    if test.spec.model is not None:
        policy: dict[str, Any] = plain["spec"]["model_policy"]
        policy["default"] = test.spec.model
        for route in policy["routes"]:
            route["model"] = test.spec.model
    # JSON is YAML: what is applied is what was read.
    texts = (("workspace", to_plain(workspace)), ("agent", plain))
    return [_File(name, orjson.dumps(value).decode()) for name, value in texts]


@asynccontextmanager
async def _receiving(slack: SlackRig, application: Application) -> AsyncGenerator[None]:
    """Take what Slack delivers as the API does: verified, decoded, committed."""
    surface = application.surfaces["slack"]

    async def take(request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        try:
            accepted = surface.accept(
                Delivery(headers=headers, body=body, received_at=datetime.now(UTC))
            )
        except Rejected as refusal:
            return web.Response(status=refusal.status)
        await application.intake(accepted)
        return web.Response()

    runner = web.ServerRunner(web.Server(take, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        slack.deliver_to = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        yield
    finally:
        slack.deliver_to = None
        await runner.cleanup()


# --- scripted tools ------------------------------------------------------------------------------


def _scripted(registry: Registry, test: AgentTest, made: list[str]) -> Registry:
    """The same tools by name, schema, permission and effect, with answers from the test."""
    answers: dict[str, list[ToolResult]] = {}
    for result in test.spec.tools:
        content = cast("dict[str, object]", _json(result.content))
        answers.setdefault(result.tool, []).append(
            ToolResult(outcome=result.outcome, content=content, link=result.link)
        )
    unknown = [name for name in answers if registry.find(name) is None]
    if unknown:
        message = f"There is no tool {unknown[0]!r}"
        raise Invalid(message, problems=(message,), code="agent_test_refused")
    return Registry(_toolset(toolset, answers, made) for toolset in registry.toolsets.values())


def _toolset(toolset: Toolset, answers: dict[str, list[ToolResult]], made: list[str]) -> Toolset:
    if toolset.name == "memory":
        return toolset
    tools = [_tool(f"{toolset.name}__{tool.name}", tool, answers, made) for tool in toolset.tools]
    return replace(toolset, tools=tools)


def _tool(name: str, tool: Tool, answers: dict[str, list[ToolResult]], made: list[str]) -> Tool:
    async def call(arguments: Arguments, context: CallContext) -> ToolResult:
        del arguments, context
        made.append(name)
        left = answers.get(name)
        if not left:
            return ToolResult.failed(f"This test says nothing that {name} answers")
        return left.pop(0) if len(left) > 1 else left[0]

    return replace(tool, call=call, look_up=None)


def _json(value: Any) -> Any:
    """A scripted result as JSON: the Decimal of a manifest is a number."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _json(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_json(item) for item in cast("list[Any]", value)]
    return value
