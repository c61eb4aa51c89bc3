"""Bad input, all of it: exact answers, never a 500, nothing widened, and nothing else lost."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from openloop.testing.story.stage import CHANNEL
from tests.stories.bad_input import (
    CLICKS,
    DELIVERIES,
    HUGE_TEXT,
    MANIFESTS,
    MIB,
    headers_for,
    mention,
)
from tests.stories.manifests import read_files
from tests.stories.product import Product, open_product

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from openloop.testing.rigs.slack import Message
    from tests.stories.bad_input import BadClick, BadDelivery
    from tests.stories.product import Answer

ASK = "<@U0BOT> summarize this thread and open an issue"


@pytest.fixture
async def product(conninfo: str, home: Path, examples: Path) -> AsyncIterator[Product]:
    async with open_product(
        conninfo,
        home=home,
        manifests=examples / "demo",
        scripts=examples / "demo" / "scripts",
    ) as product:
        yield product


async def test_every_bad_delivery_is_answered_exactly(product: Product) -> None:
    wrong: list[str] = []
    for row in DELIVERIES:
        answer = await deliver(product, row)
        if (answer.status, answer.code) != (row.status, row.code):
            wrong.append(f"{row.what}: {answer.status} {answer.code}")
    assert wrong == []
    assert await runs(product) == 0
    await a_good_mention_works(product)


async def test_a_mention_of_a_megabyte_is_answered_in_its_thread(product: Product) -> None:
    said = await product.slack.say(CHANNEL, by="ben", text="<@U0BOT> hello", deliver=False)
    body = mention(HUGE_TEXT, event_id="Ev0HUGE", ts=said.ts)
    assert 1_000_000 < len(body) < MIB
    headers = headers_for("good", product.slack.signing_secret, body)
    answer = await product.send("POST", "/surfaces/slack/events", body=body, headers=headers)
    assert (answer.status, answer.code) == (200, "")
    assert (await product.slack.reply_to(said)).text
    await a_good_mention_works(product)


async def test_every_bad_click_is_refused_in_private(product: Product) -> None:
    slack = product.slack
    slack.people.add("anna", id="U0ANNATOO")
    slack.people.add("anna", id="U0ANNAEXT", kind="external")
    root = await slack.say(CHANNEL, by="anna", text=ASK)
    card = await slack.reply_to(root)
    wrong: list[str] = []
    for row in CLICKS:
        told, code = await click(product, card, row)
        if code != row.code or not told.startswith(row.told):
            wrong.append(f"{row.what}: {code} {told!r}")
    assert wrong == []
    assert product.github.calls == []
    assert slack.current(card).buttons == card.buttons
    await slack.click(card, action_id="approve", by="priya")
    assert (await slack.reply_to(root, count=2)).text
    assert len(product.github.calls) == 1
    for row in CLICKS:
        _, code = await click(product, card, row)
        assert code in (row.code, "approval_already_decided"), row.what
    assert len(product.github.calls) == 1


async def test_every_bad_manifest_is_refused_as_a_whole(product: Product, examples: Path) -> None:
    files = {file.name: file.text for file in read_files(examples / "demo")}
    before = (await product.api("GET", "/api/v1/agents/dev-platform")).body
    wrong: list[str] = []
    for row in MANIFESTS:
        assert row.old in files["dev-platform.yaml"], row.what
        text = files["dev-platform.yaml"].replace(row.old, row.new, 1)
        answer = await apply(product, {"dev-platform.yaml": text})
        problems = " ".join((answer.body["detail"], *answer.body["problems"]))
        if (answer.status, answer.code) != (422, row.code) or row.says not in problems:
            wrong.append(f"{row.what}: {answer.status} {answer.code} {problems[:150]}")
    assert wrong == []
    after = (await product.api("GET", "/api/v1/agents/dev-platform")).body
    assert after == before
    assert (await apply(product, files)).status == 200
    await a_good_mention_works(product)


async def deliver(product: Product, row: BadDelivery) -> Answer:
    headers = {
        "Content-Type": row.content_type,
        **headers_for(row.signing, product.slack.signing_secret, row.body),
    }
    body = _pieces(row.body) if row.is_chunked else BytesIO(row.body)
    return await product.send(row.method, row.path, body=body, headers=headers)


async def _pieces(body: bytes) -> AsyncGenerator[bytes]:
    for at in range(0, len(body), 64 * 1024):
        yield body[at : at + 64 * 1024]


async def click(product: Product, card: Message, row: BadClick) -> tuple[str, str]:
    """Click, and answer what the person was told in private and what the audit says."""
    slack = product.slack
    shown, refused = len(slack.ephemerals), len(await product.audit("click.refused"))
    status = await slack.click(
        card, action_id=row.action, by=row.by, value=row.value or card.buttons[0].value, forged=True
    )
    assert status == 200, row.what
    events = await product.audit("click.refused")
    assert len(events) == refused + 1
    code = events[0]["detail"]["code"]
    if not row.told:
        return "", code
    await slack.until(lambda: len(slack.ephemerals) > shown)
    told = slack.ephemerals[-1]
    assert told.user == slack.people.get(row.by).id
    return told.text, code


async def apply(product: Product, files: dict[str, str]) -> Answer:
    written = [{"name": name, "text": text} for name, text in files.items()]
    return await product.api("POST", "/api/v1/manifests/apply", {"files": written})


async def runs(product: Product) -> int:
    return len((await product.api("GET", "/api/v1/runs")).body["items"])


async def a_good_mention_works(product: Product) -> None:
    """Whatever came before: the next person is answered."""
    said = await product.slack.say(CHANNEL, by="ben", text="<@U0BOT> what can you do?")
    assert "I can summarize" in (await product.slack.reply_to(said)).text
    assert product.slack.lost == []
