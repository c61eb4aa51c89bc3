"""The public example, byte for byte, against a provider: the whole product with a real client.

The provider is a rig on loopback; litellm in the gateway process is not.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openloop.testing.rigs.openai import Answer, OpenAIRig, RigCall
from openloop.testing.stack import Stack
from openloop.testing.story import facts as asking
from openloop.testing.story.stage import CHANNEL, REPOSITORY, Stage, environ_for, open_rigs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.testing.rigs.openai import RigRequest
    from openloop.testing.rigs.slack import Message

pytestmark = [pytest.mark.slow, pytest.mark.stack]

KEY = "sk-proj-rigrigrigrigrigrigrigrigrigrigrig"
ISSUE = {
    "repo": REPOSITORY,
    "title": "Move the platform database to Postgres 16",
    "body": "Decided in #dev-platform.",
    "labels": ["decision"],
}
MODEL_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Played(Stage):
    """The stage, and the provider beside it."""

    openai: OpenAIRig


def respond(request: RigRequest) -> Answer:
    """What the fake model says: it notes and proposes, then reports what its tools said."""
    if request.turn == 0:
        return Answer(
            text="You decided to move to Postgres 16.",
            calls=(
                RigCall(
                    name="memory__note",
                    arguments={"kind": "decision", "text": "We move to Postgres 16."},
                ),
                RigCall(name="github__create_issue", arguments=ISSUE),
            ),
            input_tokens=1200,
            output_tokens=210,
        )
    result = json.loads(str(request.messages[-1]["content"]))
    return Answer(
        text=f"Created: {result['link']}", input_tokens=1500, cached_tokens=1200, output_tokens=40
    )


@pytest.fixture
async def stage(home: Path, examples: Path) -> AsyncIterator[Played]:
    manifests = home / "manifests"
    manifests.mkdir()
    shutil.copy(examples / "workspace.yaml", manifests)
    shutil.copy(examples / "agents" / "dev-platform.yaml", manifests)
    async with open_rigs() as (slack, github), OpenAIRig(respond, key=KEY) as openai:
        environ = environ_for(slack, github) | {
            "OPENAI_API_BASE": openai.url,
            "OPENAI_API_KEY": KEY,
        }
        async with Stack(home=home / "home", manifests=manifests, environ=environ) as stack:
            slack.deliver_to = stack.events_url
            yield Played(slack=slack, github=github, stack=stack, openai=openai)


async def test_the_public_example_does_its_work(stage: Played) -> None:
    slack = stage.slack
    root = await slack.say(CHANNEL, by="anna", text="Postgres 16 it is, after Friday.")
    await slack.say(CHANNEL, by="ben", text="<@U0BOT> summarize and open an issue", thread=root)
    card = await slack.reply_to(root, timeout_seconds=MODEL_SECONDS)
    assert [button.action_id for button in card.buttons] == ["approve", "deny"]
    assert stage.github.writes == []
    await slack.click(card, action_id="approve", by="anna")
    answer = await slack.reply_to(root, count=2, timeout_seconds=MODEL_SECONDS)
    assert "https://github.test/acme/platform/issues/1" in answer.text
    assert "Noted (decision): We move to Postgres 16." in answer.text
    assert "Scripted" not in answer.words
    assert [call.status for call in stage.github.writes] == [201]
    asked(stage, root)
    await costs_are_booked_at_our_price(stage)
    await what_is_not_there_is_shown(stage)
    await a_route_without_a_key_says_so(stage)
    every_secret_is_where_it_belongs(stage)


def asked(stage: Played, root: Message) -> None:
    """The provider was asked what the manifest says, with the thread as data."""
    first = stage.openai.requests[0]
    assert first.body["model"] == "gpt-4o-mini"
    assert root.text in first.messages[-1]["content"]
    assert first.messages[-1]["content"].endswith("summarize and open an issue")
    tools = {tool["function"]["name"] for tool in first.body["tools"]}
    assert {"github__create_issue", "github__list_pulls", "memory__note"} <= tools
    assert len(stage.openai.requests) == 2


async def costs_are_booked_at_our_price(stage: Played) -> None:
    """0.15 a million in, 0.075 of it where cached, 0.60 out; rounded up per call."""
    facts = await asking.ask(stage.stack, pids_before=asking.children(stage.stack))
    first = Decimal("0.000306")  # 1200 x 0.15 + 210 x 0.60
    second = Decimal("0.000159")  # 300 x 0.15 + 1200 x 0.075 + 40 x 0.60
    (run,) = facts.runs
    assert Decimal(run["cost_usd"]) == first + second
    assert facts.cost_usd == first + second
    agent = next(line for line in facts.usage["budgets"] if line["axis"] == "agent")
    assert (Decimal(agent["settled_usd"]), Decimal(agent["reserved_usd"])) == (
        facts.cost_usd,
        Decimal(0),
    )


async def what_is_not_there_is_shown(stage: Played) -> None:
    """Taken and shown as inactive: a surface and a provider this installation does not have."""
    agent = await stage.stack.get("/api/v1/agents/dev-platform")
    inactive = {each["part"]: each["reason"] for each in agent["inactive"]}
    assert inactive == {
        "spec.surfaces[1] discord": "the discord surface is not supported yet in this version",
        "model anthropic/claude-sonnet-4-6": "the provider has no key: set ANTHROPIC_API_KEY",
    }


async def a_route_without_a_key_says_so(stage: Played) -> None:
    """A run that is routed to it fails in its thread, and no other provider is asked instead."""
    asked_before = len(stage.openai.requests)
    mention = await stage.slack.say(CHANNEL, by="ben", text="<@U0BOT> code: fix the vacuum job")
    answer = await stage.slack.reply_to(mention, timeout_seconds=MODEL_SECONDS)
    assert "ANTHROPIC_API_KEY" in answer.text
    assert len(stage.openai.requests) == asked_before


def every_secret_is_where_it_belongs(stage: Played) -> None:
    """The provider's key in the gateway alone, the tokens of Slack and GitHub everywhere but."""
    pids = stage.stack.pids()
    seen = {
        role: Path(f"/proc/{pids[role][0]}/environ").read_bytes().decode(errors="replace")
        for role in ("serve", "worker", "gateway")
    }
    assert [role for role, environ in seen.items() if KEY in environ] == ["gateway"]
    for secret in (stage.slack.bot_token, stage.slack.signing_secret, stage.github.token):
        assert secret not in seen["gateway"]
        assert secret not in stage.stack.log.read_text()
    assert KEY not in stage.stack.log.read_text()
