"""Cards on GitHub: commands and check buttons for an App, and another way with a personal token."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import orjson
import pytest

from openloop.api.pages import RETURN_TO
from openloop.domain.errors import Unavailable
from openloop.domain.ids import new_id
from openloop.domain.surface import (
    Ask,
    Asked,
    Button,
    Card,
    Delivery,
    Field,
    Say,
    Settle,
    Whisper,
)
from openloop.testing.contracts.github import SECRET, shown
from openloop.testing.rigs.github.payloads import payload_of
from tests.integrations.github.conftest import BOT, surface_on, thread_of

if TYPE_CHECKING:
    from openloop.integrations.github.surface import GitHubSurface
    from openloop.testing.rigs.github import GitHubRig
    from openloop.testing.rigs.github.happened import Happened
    from openloop.testing.rigs.github.rows import Issue

ROOT = Path(__file__).parents[3]
TOKEN = "a-token-of-128-bits-22"
BUTTONS = (
    Button(action="approve", label="Approve", token=TOKEN, style="primary"),
    Button(action="deny", label="Reject", token=TOKEN, style="danger"),
)
CARD = Card(
    title="Open an issue in acme/platform",
    fields=(Field(label="Title", value="@anna `x` <b>"), Field(label="Labels", value=" a ")),
    body="```\n@anna\n```",
    reason="They *asked* @anna",
    notes=("Decides: @maintainers",),
)
ASK = Ask(approval="01a2", card=CARD, buttons=BUTTONS)


async def ask(surface: GitHubSurface, issue: Issue, op: Ask = ASK) -> str:
    receipt = await surface.perform(op, thread_of(issue), key=str(new_id()))
    assert receipt.outcome == "done"
    return receipt.message_ids[0]


async def test_on_a_pull_request_a_card_has_the_buttons_of_a_check(
    rig: GitHubRig, surface: GitHubSurface, pull: Issue
) -> None:
    heard: list[Happened] = []
    rig.state.watchers.append(heard.append)
    card = await ask(surface, pull)
    repository = rig.state.repositories["acme/platform"]
    (check,) = repository.reports.checks.values()
    assert pull.pull is not None
    assert check.suite.head_sha == pull.pull.head_sha
    assert [each.identifier for each in check.buttons] == ["approve", "deny"]
    assert check.conclusion == "action_required"
    assert "@anna" not in f"{check.title} {check.summary}"

    rig.state.ci.click(repository, check, "deny", by=rig.state.add_user("anna"))
    await surface.identify()
    clicked = next(each for each in heard if each.requested)
    delivery = Delivery(
        headers={"x-github-event": "check_run", "x-github-delivery": "guid"},
        body=orjson.dumps(payload_of(clicked, rig.api_url)),
        received_at=datetime.now(UTC),
        transport="poll",
    )
    (event,) = surface.accept(delivery).events
    assert event.choice is not None
    assert (event.choice.action, event.choice.token) == ("deny", TOKEN)
    assert event.thread == thread_of(pull)

    settle = Settle(message_id=card, approval="01a2", card=CARD, outcome="Rejected by anna")
    for _ in range(2):
        assert (await surface.perform(settle, thread_of(pull), key=str(new_id()))).outcome == "done"
    assert (check.buttons, check.conclusion, check.title) == ((), "neutral", "Rejected by anna")
    assert len(repository.reports.checks) == 1


async def test_a_card_that_is_asked_again_takes_the_checks_that_are_there(
    rig: GitHubRig, surface: GitHubSurface, pull: Issue
) -> None:
    await ask(surface, pull)
    await ask(surface, pull)
    assert len(rig.state.repositories["acme/platform"].reports.checks) == 1


async def test_an_issue_has_no_commit_and_its_card_has_commands(
    rig: GitHubRig, surface: GitHubSurface, issue: Issue
) -> None:
    await ask(surface, issue)
    (card,) = issue.comments
    assert f"\n/approve {TOKEN}\n" in card.body
    assert f"\n/reject {TOKEN}\n" in card.body
    words = shown(card.body)
    for text in ("@anna `x` <b>", "@anna", "They *asked* @\u200banna"):
        assert text in words
    assert rig.state.repositories["acme/platform"].reports.checks == {}


async def test_with_a_personal_token_github_decides_nothing_and_says_where(
    rig: GitHubRig, pull: Issue
) -> None:
    async with surface_on(rig, is_app=False) as surface:
        card = await ask(surface, pull)
        (said,) = pull.comments
        assert TOKEN not in said.body
        assert "openloop approvals approve 01a2" in said.body
        assert "](" not in said.body
        settle = Settle(message_id=card, approval="01a2", card=CARD, outcome="Approved by anna")
        await surface.perform(settle, thread_of(pull), key=str(new_id()))
    assert "openloop approvals" not in said.body
    assert "Approved by anna" in shown(said.body)
    assert rig.state.repositories["acme/platform"].reports.checks == {}


@pytest.mark.parametrize("is_private", [True, False])
@pytest.mark.parametrize("below", ["", "/openloop"])
async def test_where_browsers_log_in_it_links_to_the_approval_and_says_nothing_else_of_it(
    rig: GitHubRig, pull: Issue, below: str, *, is_private: bool
) -> None:
    """Whoever reads along on a public repository learns an id, and where this installation is."""
    rig.state.repositories["acme/platform"].private = is_private
    public_url, approval = f"https://agents.acme.example{below}", str(new_id())
    async with surface_on(rig, is_app=False, public_url=public_url) as surface:
        await ask(surface, pull, replace(ASK, approval=approval))
    (said,) = pull.comments
    found = re.search(r"\[Read it\]\((.*?)\)", said.body)
    assert found is not None
    address, _, query = found[1].partition("?")

    assert address == f"{public_url}/login"
    [(name, path)] = parse_qsl(query)
    assert (name, path) == ("return_to", f"{below}/api/v1/approvals/{approval}")
    assert RETURN_TO.fullmatch(path)
    assert f"openloop approvals approve {approval}" in said.body


def test_what_a_card_links_to_is_an_address_of_the_api() -> None:
    paths = orjson.loads((ROOT / "docs/reference/openapi.json").read_bytes())["paths"]
    assert "get" in paths["/api/v1/approvals/{approval_id}"]
    assert "return_to" in {each["name"] for each in paths["/login"]["get"]["parameters"]}


async def test_what_cannot_be_shown_whole_cannot_be_approved_here(
    surface: GitHubSurface, issue: Issue
) -> None:
    long = replace(CARD, body="x" * 60_000)
    other = Asked(approval="b", card=CARD, buttons=BUTTONS)
    await ask(surface, issue, Ask(approval="a", card=long, buttons=BUTTONS, others=(other,)))
    (card,) = issue.comments
    assert "too long to be shown here" in card.body
    assert card.body.count("/approve") == 1
    assert card.body.count("/reject") == 2


async def test_nor_by_a_button_of_its_check(
    rig: GitHubRig, surface: GitHubSurface, pull: Issue
) -> None:
    long = replace(CARD, body="x" * 60_000)
    other = Asked(
        approval="b", card=CARD, buttons=tuple(replace(b, token="b" * 22) for b in BUTTONS)
    )
    both = Ask(approval="a", card=long, buttons=BUTTONS, others=(other,))
    card = await ask(surface, pull, both)
    checks = rig.state.repositories["acme/platform"].reports.checks.values()
    offered = [["deny"], ["approve", "deny"]]
    assert [[each.identifier for each in check.buttons] for check in checks] == offered

    settle = Settle(
        message_id=card, approval="a", card=long, buttons=BUTTONS, outcome="1 of 2", others=(other,)
    )
    assert (await surface.perform(settle, thread_of(pull), key=str(new_id()))).outcome == "done"
    assert [[each.identifier for each in check.buttons] for check in checks] == offered


async def test_a_card_changes_no_check_that_its_arguments_name(
    rig: GitHubRig, surface: GitHubSurface, pull: Issue
) -> None:
    await ask(surface, pull)
    (first,) = rig.state.repositories["acme/platform"].reports.checks.values()
    spoof = replace(CARD, title="Another one", body=f"\n\n<!-- checks {first.id} -->\n\n")
    buttons = tuple(replace(each, token="another-token-22") for each in BUTTONS)
    card = await ask(surface, pull, Ask(approval="b", card=spoof, buttons=buttons))

    edited = tuple(replace(each, token="token-after-an-edit") for each in buttons)
    settle = Settle(message_id=card, approval="b", card=spoof, buttons=edited, outcome="1 of 2")
    assert (await surface.perform(settle, thread_of(pull), key=str(new_id()))).outcome == "done"
    _, second = rig.state.repositories["acme/platform"].reports.checks.values()
    assert (first.title, first.name) == ("Waits for a decision", f"OpenLoop: {CARD.title}")
    assert (first.external_id or "").endswith(TOKEN)
    assert second.title == "1 of 2"
    assert (second.external_id or "").endswith("token-after-an-edit")


async def test_those_who_are_asked_are_called_by_the_login_they_have_now(
    rig: GitHubRig, surface: GitHubSurface, issue: Issue
) -> None:
    anna = str(rig.state.add_user("anna").id)
    await ask(surface, issue, replace(ASK, mention_ids=(anna, "404", "not a login")))
    assert "Waiting for @anna\n" in issue.comments[0].body


async def test_a_whisper_is_a_sign_on_what_was_said_and_no_words(
    rig: GitHubRig, surface: GitHubSurface, issue: Issue
) -> None:
    said = rig.state.add_comment(issue, "/approve x", by=rig.state.add_user("anna"))
    for message_id, outcome in ((f"c{said.id}", "done"), ("k1", "refused"), ("", "refused")):
        whisper = Whisper(to_id="1", markdown="Not yours.", message_id=message_id)
        receipt = await surface.perform(whisper, thread_of(issue), key=str(new_id()))
        assert receipt.outcome == outcome
    assert [each.content for each in said.reactions] == ["confused"]
    assert [each.author.login == BOT for each in issue.comments] == [False]


async def test_nothing_is_taken_before_github_has_said_who_we_are(rig: GitHubRig) -> None:
    async with surface_on(rig) as surface:
        delivery = Delivery(
            headers={"x-github-event": "issue_comment", "x-github-delivery": "guid"},
            body=b"{}",
            received_at=datetime.now(UTC),
            transport="poll",
        )
        with pytest.raises(Unavailable):
            surface.accept(delivery)
        await surface.identify()
        assert surface.accept(delivery).events == ()
        assert SECRET not in repr(surface)


async def test_beside_a_commit_what_is_said_and_asked_are_checks(
    rig: GitHubRig, surface: GitHubSurface, pull: Issue
) -> None:
    assert pull.pull is not None
    thread = replace(thread_of(pull), root=f"commit/{pull.pull.head_sha}")
    reports, key = rig.state.repositories["acme/platform"].reports, str(new_id())
    for _ in range(2):  # said again after its answer was lost
        said = await surface.perform(Say(markdown="It is @anna's disk."), thread, key=key)
        assert said.outcome == "done"
    asked = await surface.perform(ASK, thread, key=str(new_id()))
    told, card = reports.checks.values()
    assert told.summary == "It is @\u200banna's disk."
    assert "@anna `x` <b>" in shown(card.text or "")
    assert [each.identifier for each in card.buttons] == ["approve", "deny"]

    settle = Settle(message_id=asked.message_ids[0], card=CARD, outcome="Rejected by anna")
    assert (await surface.perform(settle, thread, key=str(new_id()))).outcome == "done"
    assert (card.buttons, card.title) == ((), "Rejected by anna")
    assert pull.comments == []
    assert await surface.history(thread, limit=10) == ()
    async with surface_on(rig, is_app=False) as personal:
        refused = await personal.perform(Say(markdown="So."), thread, key=str(new_id()))
    assert refused.outcome == "refused"
