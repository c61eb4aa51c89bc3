"""The story in a terminal: the same runtime, card and vote, without any Slack."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions import tokens
from openloop.domain.audit import SYSTEM
from openloop.domain.principal import Role
from tests.stories.product import Product, open_product

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.stories.product import Answer

SAY = "/api/v1/conversations"
ASK = "summarize our decision and open an issue"


@pytest.fixture
async def product(conninfo: str, home: Path, examples: Path) -> AsyncIterator[Product]:
    async with open_product(
        conninfo, home=home, manifests=examples / "demo", scripts=examples / "demo" / "scripts"
    ) as product:
        yield product


async def test_a_request_in_a_terminal_becomes_an_approved_issue(product: Product) -> None:
    ben, anna = await token(product, "ben"), await token(product, "anna")
    heard = await ask(product, ben, key="one")
    again = await ask(product, ben, key="one")
    assert again.body == heard.body
    conversation = heard.body["conversation_id"]

    card = await sent(product, ben, conversation, "Ask")
    assert card["op"]["card"]["title"] == "Open an issue in acme/platform"
    assert [set(button) for button in card["op"]["buttons"]] == [{"action", "label", "style"}] * 2
    approval = card["approval_id"]
    own = await vote(product, ben, approval)
    assert (own.status, own.code) == (403, "forbidden")
    assert product.github.writes == []
    assert (await vote(product, anna, approval)).status == 200
    late = await vote(product, anna, approval)
    assert (late.status, late.code) == (409, "approval_already_decided")

    answer = await sent(product, ben, conversation, "Say")
    assert "acme/platform#1" in answer["op"]["markdown"]
    assert answer["op"]["footer"] == "Scripted model, no AI was used."
    settled = await sent(product, ben, conversation, "Settle")
    assert settled["op"]["outcome"].startswith("Approved by anna")
    assert len(product.github.writes) == 1
    runs = (await product.api("GET", "/api/v1/runs")).body["items"]
    assert [(run["state"], run["requested_by"]["name"]) for run in runs] == [("done", "ben")]
    assert product.slack.calls_of("chat.postMessage") == []


async def token(product: Product, name: str) -> str:
    """A token of somebody in the Workspace manifest."""
    return await tokens.create(
        product.application.database,
        product.workspace,
        principal=name,
        role=Role.OPERATOR,
        name="terminal",
        by=SYSTEM,
    )


async def ask(product: Product, token: str, *, key: str) -> Answer:
    return await product.send(
        "POST",
        SAY,
        json={"agent": "dev-platform", "text": ASK},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
    )


async def vote(product: Product, token: str, approval: str) -> Answer:
    return await product.send(
        "POST",
        f"/api/v1/approvals/{approval}/vote",
        json={"decision": "approve"},
        headers={"Authorization": f"Bearer {token}"},
    )


async def sent(product: Product, token: str, conversation: str, op: str) -> dict[str, Any]:
    """The first op of a kind in a conversation, once it is there."""
    headers = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(30):
        while True:
            heard = await product.send("GET", f"{SAY}/{conversation}/messages", headers=headers)
            for message in heard.body["messages"]:
                if message["op"]["op"] == op and message["state"] == "sent":
                    return message
            await asyncio.sleep(0.01)
