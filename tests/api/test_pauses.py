"""The brake through the API: what is paused is seen, and the reason is everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.api.conftest import Api
    from tests.make import Stage

AGENT = {"scope": "agent", "agent": "dev-platform"}


async def test_a_pause_is_listed_and_shown_on_the_runs_that_wait_for_it(
    api: Api, stage: Stage
) -> None:
    ref = await stage.mention()
    made = await api.post("/api/v1/pauses", {**AGENT, "reason": "it is loud"}, by="admin")
    await stage.work(ref)

    (listed,) = (await api.get("/api/v1/pauses", by="viewer")).json()["items"]
    run = (await api.get(f"/api/v1/runs/{(await stage.run_of(ref)).id}")).json()

    assert made.status_code == 201
    assert (listed["reason"], listed["paused_by"]["name"]) == ("it is loud", "admin-robot")
    assert (run["state"], run["pause"]) == ("waiting", listed)

    assert (await api.post("/api/v1/pauses/resume", AGENT)).status_code == 204
    await stage.work(ref)
    run = (await api.get(f"/api/v1/runs/{run['id']}")).json()
    assert (run["state"], run["pause"]) == ("done", None)


async def test_a_vote_in_a_pause_is_refused_with_its_reason(api: Api, stage: Stage) -> None:
    ref, _ = await stage.hold()
    await api.post("/api/v1/pauses", {"scope": "workspace", "reason": "incident 4711"})
    approval = await stage.approval(ref)
    path = f"/api/v1/approvals/{approval.id}"

    seen = (await api.get(path)).json()
    await stage.press("approve", by="anna")

    assert seen["state"] == "pending"
    assert (await stage.approval(ref)).state == "pending"
    assert [event.detail["code"] for event in await stage.audit("click.refused")] == ["paused"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "installation", "reason": "x"},
        {"scope": "agent", "reason": "x"},
        {"scope": "workspace", "agent": "dev-platform", "reason": "x"},
        {"scope": "workspace", "reason": ""},
        {"scope": "workspace"},
    ],
)
async def test_a_pause_says_what_and_why(api: Api, wrong: dict[str, str]) -> None:
    answer = await api.post("/api/v1/pauses", wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
