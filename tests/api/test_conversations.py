"""Talking to an agent through the API: what `openloop chat` does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from openloop.domain.conversation import ConversationRef
from openloop.domain.surface import Whisper
from openloop.integrations.console.surface import ConsoleSurface
from openloop.runtime.courier import Courier
from openloop.runtime.worker import Worker
from openloop.storage import conversations, outbox, principals
from tests import make
from tests.api.conftest import Api, open_api, person_token
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from openloop.plugin import Surface
    from openloop.storage.database import Database
    from tests.make import Stage

SAY = "/api/v1/conversations"


async def say(api: Api, text: str, *, by: str = "operator", **more: Any) -> dict[str, Any]:
    answer = await api.post(SAY, {"agent": "dev-platform", "text": text, **more}, by=by)
    assert answer.status_code == 202, answer.text
    return answer.json()


async def heard(
    api: Api, conversation: str, *, by: str = "operator", after: int = 0
) -> dict[str, Any]:
    answer = await api.get(f"{SAY}/{conversation}/messages?after={after}", by=by)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def work(stage: Stage, api: Api) -> None:
    """Let a worker do everything that is due, on the console too."""
    kit = stage.kit()
    surfaces: dict[str, Surface] = {"slack": stage.surface, "console": ConsoleSurface()}
    courier = Courier(stage.database, surfaces, kit.worker)
    worker = Worker(replace(kit, surfaces=surfaces, courier=courier))
    for ref in await due(stage):
        await worker.advance(ref)


async def due(stage: Stage) -> list[ConversationRef]:
    async with stage.tx() as tx:
        return await conversations.list_due(tx, stage.workspace, limit=50)


def kinds(transcript: dict[str, Any]) -> list[str]:
    return [message["op"]["op"] for message in transcript["messages"]]


async def test_an_agent_answers_in_the_terminal(api: Api, stage: Stage) -> None:
    said = await say(api, "hello")
    before = await heard(api, said["conversation_id"])
    await work(stage, api)
    after = await heard(api, said["conversation_id"])

    assert (said["taken"], before["run"]["state"]) == ("run_queued", "queued")
    assert after["run"] == {
        "id": said["run_id"],
        "state": "done",
        "outcome": "answered",
        "error_code": "",
    }
    assert after["messages"][-1]["op"]["markdown"].startswith("All done.")


async def test_what_was_read_is_not_read_again(api: Api, stage: Stage) -> None:
    said = await say(api, "hello")
    await work(stage, api)
    first = await heard(api, said["conversation_id"])

    second = await heard(api, said["conversation_id"], after=first["last_seq"])

    assert (second["messages"], second["last_seq"]) == ([], first["last_seq"])


async def test_a_conversation_goes_on_and_the_agent_knows_what_was_said(
    api: Api, stage: Stage
) -> None:
    first = await say(api, "we use Postgres 15")
    await work(stage, api)
    second = await say(api, "which version?", thread=first["thread"])
    await work(stage, api)

    assert second["conversation_id"] == first["conversation_id"]
    assert second["run_id"] != first["run_id"]
    asked = stage.models.requests[-1].messages[1].content
    assert "we use Postgres 15" in asked
    assert "which version?" in asked


async def test_the_person_is_named_to_the_agent(api: Api, stage: Stage, database: Database) -> None:
    await say(api, "hello", by=await person_token(database, stage.workspace, "ben"))
    await work(stage, api)

    assert "Request of ben:" in stage.models.requests[-1].messages[1].content


async def test_words_while_it_works_steer_the_run(api: Api) -> None:
    first = await say(api, "hello")
    second = await say(api, "and in French", thread=first["thread"])

    assert (second["taken"], second["run_id"]) == ("steered", None)
    assert second["conversation_id"] == first["conversation_id"]


async def test_stop_ends_a_run_and_is_refused_where_nothing_runs(api: Api, stage: Stage) -> None:
    first = await say(api, "hello")
    await say(api, "stop", thread=first["thread"])
    await work(stage, api)

    assert (await heard(api, first["conversation_id"]))["run"]["state"] == "cancelled"
    lonely = await api.post(SAY, {"agent": "dev-platform", "text": "stop"})
    assert (lonely.status_code, lonely.json()["code"]) == (422, "message_not_taken")


async def test_a_thread_that_is_not_there_is_not_found(api: Api, stage: Stage) -> None:
    await say(api, "hello")
    for thread in ("01999999-0000-7000-8000-000000000000", "root-1", "../x"):
        answer = await api.post(SAY, {"agent": "dev-platform", "text": "hello", "thread": thread})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert len(await stage.runs()) == 1


async def test_who_may_only_see_does_not_speak(api: Api) -> None:
    spoken = await api.post(SAY, {"agent": "dev-platform", "text": "hello"}, by="viewer")
    assert spoken.status_code == 403


async def test_a_held_call_is_decided_with_a_vote_and_its_token_is_not_shown(
    api: Api, stage: Stage, database: Database
) -> None:
    stage.models.turns = [reply("I will open it.", make.CREATE), reply("It is open.")]
    ben = await person_token(database, stage.workspace, "ben")
    said = await say(api, "open an issue", by=ben)
    await work(stage, api)
    shown = await heard(api, said["conversation_id"], by=ben)
    (asked,) = [m for m in shown["messages"] if m["op"]["op"] == "Ask"]
    assert shown["run"]["state"] == "waiting"
    assert all(set(b) == {"action", "label", "style"} for b in asked["op"]["buttons"])

    vote = await api.post(
        f"/api/v1/approvals/{asked['approval_id']}/vote",
        {"decision": "approve"},
        by=await person_token(database, stage.workspace, "anna"),
    )
    assert (vote.status_code, vote.json()["state"]) == (200, "approved")
    await work(stage, api)
    after = await heard(api, said["conversation_id"], by=ben, after=shown["last_seq"])

    assert "Settle" in kinds(after)
    assert after["run"]["state"] == "done"
    assert len(stage.tracker.issues) == 1


async def test_nobody_approves_what_they_asked_for_in_the_terminal(
    api: Api, stage: Stage, database: Database
) -> None:
    """Anna is an approver, and asked for this herself: on the console she is her principal."""
    roles = {**make.WORKSPACE["roles"], "operator": ["@anna"]}
    await stage.revise_workspace({"roles": roles})
    anna = await person_token(database, stage.workspace, "anna")
    stage.models.turns = [reply("I will open it.", make.CREATE), reply("It is open.")]
    said = await say(api, "open an issue", by=anna)
    await work(stage, api)
    shown = await heard(api, said["conversation_id"], by=anna)
    (asked,) = [m for m in shown["messages"] if m["op"]["op"] == "Ask"]

    vote = await api.post(
        f"/api/v1/approvals/{asked['approval_id']}/vote", {"decision": "approve"}, by=anna
    )

    assert (vote.status_code, vote.json()["code"]) == (403, "own_request")
    assert stage.tracker.issues == {}


async def test_a_word_for_one_person_alone_is_shown_to_nobody_else(
    api: Api, stage: Stage, database: Database
) -> None:
    said = await say(api, "hello")
    async with stage.tx() as tx:
        admin = await principals.find_by_name(tx, "admin-robot")
        assert admin is not None
        op = Whisper(to_id=str(admin.id), markdown="for you alone")
        await outbox.put(tx, stage.workspace, said["conversation_id"], op)

    theirs = await heard(api, said["conversation_id"], by="admin")
    others = await heard(api, said["conversation_id"], by="owner")

    assert "Whisper" in kinds(theirs)
    assert "Whisper" not in kinds(others)
    assert theirs["last_seq"] == others["last_seq"]


async def test_without_the_console_it_says_so(database: Database, stage: Stage) -> None:
    async with open_api(database, stage.workspace, surfaces={}) as api:
        answer = await api.post(SAY, {"agent": "dev-platform", "text": "hello"})

    assert (answer.status_code, answer.json()["code"]) == (503, "console_not_installed")
