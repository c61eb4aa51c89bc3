"""Approvals over the API: edits, withdrawals and broken glasses under the same rules as a click."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from openloop.domain.approval import ApprovalState
from openloop.runtime import editing
from tests.actions.asking import hold_many, rule, stage_with
from tests.api.conftest import open_api, person_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage


@pytest.fixture
async def held(database: Database) -> Stage:
    """A workspace whose writes two maintainers have to approve."""
    return await stage_with(database, rule())


@pytest.fixture
async def api(database: Database, held: Stage) -> AsyncIterator[Api]:
    """The API beside its gate, with a token for each maintainer."""
    async with open_api(database, held.workspace, edit=partial(editing.edit, held.kit())) as opened:
        for name in ("anna", "priya"):
            opened.tokens[name] = await person_token(database, held.workspace, name)
        yield opened


async def test_an_edit_and_the_votes_on_it(api: Api, held: Stage) -> None:
    ref, _ = await held.hold()
    path = f"/api/v1/approvals/{(await held.approval(ref)).id}"
    before = (await api.get(path)).json()
    assert before["demands"][0]["quorum"] == 2
    voted = await api.post(f"{path}/vote", {"decision": "approve"}, by="priya")
    assert [v["name"] for v in voted.json()["votes"]] == ["priya"]
    assert voted.json()["state"] == "pending"

    new = {**before["arguments"], "title": "Move to Postgres 18"}
    body = {"arguments": new, "hash": before["hash"], "reason": "newer"}
    edited = (await api.post(f"{path}/edit", body, by="anna")).json()

    assert (edited["arguments"], edited["round"]) == (new, 2)
    assert edited["edited_by_name"] == "anna"
    assert edited["hash"] != before["hash"]
    for by, hash, code in (
        ("priya", None, "approval_edited"),
        ("priya", before["hash"], "approval_edited"),
        ("anna", edited["hash"], "own_edit"),
    ):
        refused = await api.post(f"{path}/vote", {"decision": "approve", "hash": hash}, by=by)
        assert refused.json()["code"] == code
    counted = await api.post(
        f"{path}/vote", {"decision": "approve", "hash": edited["hash"]}, by="priya"
    )
    assert counted.json()["state"] == "pending"  # one of two


async def test_what_the_gate_refuses_is_told_with_its_reason(api: Api, held: Stage) -> None:
    ref, _ = await held.hold()
    approval = await held.approval(ref)
    body = {"arguments": {"repo": "acme/other", "title": "x"}, "hash": approval.hash}
    refused = await api.post(f"/api/v1/approvals/{approval.id}/edit", body, by="anna")
    assert (refused.status_code, refused.json()["code"]) == (422, "arguments_refused")
    assert "not permitted" in refused.json()["detail"]


async def test_an_ask_can_be_taken_back(api: Api, held: Stage) -> None:
    ref, _ = await held.hold()
    path = f"/api/v1/approvals/{(await held.approval(ref)).id}/withdraw"

    taken = await api.post(path, {"reason": "not needed"}, by="operator")
    assert (taken.json()["state"], taken.json()["reason"]) == ("withdrawn", "not needed")
    again = await api.post(path, {"reason": "not needed"}, by="operator")
    assert (again.status_code, again.json()["code"]) == (409, "approval_already_decided")

    await held.work(ref)
    assert held.tracker.writes == []
    told = held.models.requests[-1].messages[-1].content
    assert "withdrawn before it was done: not needed" in told


async def test_a_token_offers_the_glass_and_does_not_break_it(api: Api, held: Stage) -> None:
    """The token of the owner's robot is nobody's; Priya's own offers her a button."""
    ref, _ = await held.hold()
    approval = await held.approval(ref)
    path = f"/api/v1/approvals/{approval.id}/break-glass"
    robot = await api.post(path, {"reason": "it burns"}, by="owner")
    assert (robot.status_code, robot.json()["code"]) == (403, "not_an_owner")

    api.tokens["priya"] = await person_token(
        held.database,
        held.workspace,
        "priya",
        role="owner",  # pyright: ignore[reportArgumentType]
    )
    offered = await api.post(path, {"reason": "it burns"}, by="priya")
    assert (offered.status_code, offered.json()["state"]) == (202, "pending")
    assert (await held.approval(ref)).state is ApprovalState.PENDING


async def test_no_token_of_any_button_is_told(api: Api, held: Stage) -> None:
    ref = await hold_many(held, "one", "two", "three")
    tokens = held.tokens()
    sent = (await api.get(f"/api/v1/conversations/{ref.id}/messages")).text
    assert len(set(tokens)) == 3
    assert not any(token in sent for token in tokens)
    assert '"approve"' in sent
