"""Linking: two codes, one each way; a name, an address or one code alone link nobody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from openloop.actions import linking
from openloop.actions.linking import CodeWrong, IdentityTaken, Linked, NobodyToLink
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import NotFound
from openloop.domain.login import OIDC, name_of
from openloop.storage import principals
from tests import make
from tests.actions.deciding import whispers

if TYPE_CHECKING:
    from openloop.domain.ids import PrincipalId
    from tests.make import Clock, Stage

CODE = re.compile(r"confirm ([A-Z2-9]{5}-[A-Z2-9]{5})")
ISSUER = "https://id.example"


async def cleo(stage: Stage) -> PrincipalId:
    """A person whom only the identity provider knows."""
    async with stage.tx() as tx:
        id = await principals.put(
            tx, stage.workspace, name=name_of(ISSUER, "cleo"), kind="person", roles=()
        )
        await principals.set_identity(
            tx,
            stage.workspace,
            id,
            surface=OIDC,
            tenant=ISSUER,
            external_id="cleo",
            origin="login",
        )
    return id


async def begin(stage: Stage, who: PrincipalId) -> str:
    return await linking.begin(stage.database, stage.workspace, who, surface="slack", by=SYSTEM)


async def type_it(stage: Stage, code: str, *, by: str, root: str = "root-1") -> str | None:
    """Somebody types the code on Slack; the one that is whispered back to them."""
    before = len(whispers(stage))
    ref = await stage.take(make.inbound(f"link {code}", by=by, root=root))
    assert ref.run_id is None
    async with stage.tx() as tx:
        conversations = await tx.tuples("SELECT id FROM conversations")
    for (id,) in conversations:
        await stage.kit().courier.drain(make.ConversationRef(workspace=stage.workspace, id=id))
    told = whispers(stage)[before:]
    found = CODE.search(told[0]) if told else None
    return found[1] if found else None


async def confirm(stage: Stage, who: PrincipalId, code: str) -> Linked:
    return await linking.confirm(stage.database, stage.workspace, who, code, by=SYSTEM)


async def behind(stage: Stage, user: str, *, tenant: str = make.TENANT) -> str | None:
    async with stage.tx() as tx:
        found = await principals.find_by_identity(
            tx, surface="slack", tenant=tenant, external_id=user
        )
    return found.name if found else None


async def test_two_codes_link_a_login_to_an_id_that_is_nobodys(stage: Stage) -> None:
    who = await cleo(stage)
    back = await type_it(stage, await begin(stage, who), by="cleo")
    assert back is not None
    assert await behind(stage, "U0CLEO") is None

    linked = await confirm(stage, who, back.lower().replace("-", ""))

    assert (linked.external_id, linked.log_in_again) == ("U0CLEO", False)
    assert await behind(stage, "U0CLEO") == name_of(ISSUER, "cleo")
    assert await stage.kinds("identity.") == [
        "identity.link_begun",
        "identity.link_offered",
        "identity.linked",
    ]


async def test_the_code_opens_no_run_and_is_not_kept(stage: Stage) -> None:
    code = await begin(stage, await cleo(stage))
    await type_it(stage, code, by="cleo")
    assert await stage.count("runs") == 0
    assert await stage.count("messages") == 0


async def test_the_code_alone_links_nobody(stage: Stage) -> None:
    """Somebody is talked into typing a code: without theirs in return nothing comes of it."""
    who = await cleo(stage)
    await type_it(stage, await begin(stage, who), by="ben")

    with pytest.raises(CodeWrong):
        await confirm(stage, who, "AAAAA-AAAAA")

    assert await behind(stage, "U0BEN") == "ben"


async def test_whoever_reads_the_code_on_the_surface_cannot_use_it_here(stage: Stage) -> None:
    who = await cleo(stage)
    back = await type_it(stage, await begin(stage, who), by="cleo")
    assert back is not None

    with pytest.raises(NotFound):
        await confirm(stage, (await stage.principal("ben")).id, back)

    assert await behind(stage, "U0CLEO") is None


async def test_a_code_is_typed_once_and_in_time(stage: Stage, clock: Clock) -> None:
    who = await cleo(stage)
    code = await begin(stage, who)
    assert await type_it(stage, code, by="cleo") is not None
    assert await type_it(stage, code, by="mallory", root="root-2") is None

    late = await begin(stage, who)
    await clock.advance(minutes=10, seconds=1)
    assert await type_it(stage, late, by="cleo", root="root-3") is None


async def test_a_new_code_makes_the_old_one_void(stage: Stage) -> None:
    who = await cleo(stage)
    old = await begin(stage, who)
    await begin(stage, who)
    assert await type_it(stage, old, by="cleo") is None


async def test_a_few_wrong_codes_make_the_link_void(stage: Stage) -> None:
    who = await cleo(stage)
    back = await type_it(stage, await begin(stage, who), by="cleo")
    assert back is not None
    for _ in range(5):
        with pytest.raises(CodeWrong):
            await confirm(stage, who, "AAAAA-AAAAA")
    with pytest.raises(NotFound):
        await confirm(stage, who, back)


async def test_a_login_becomes_the_person_of_the_manifest_who_answers_for_it(stage: Stage) -> None:
    """Anna is in the manifest by her Slack id: what she logs in as is hers from now on."""
    who = await cleo(stage)
    back = await type_it(stage, await begin(stage, who), by="anna")
    assert back is not None

    linked = await confirm(stage, who, back)

    assert (linked.principal, linked.log_in_again) == ("anna", True)
    async with stage.tx() as tx:
        found = await principals.find_by_identity(
            tx, surface=OIDC, tenant=ISSUER, external_id="cleo"
        )
    assert found is not None
    assert found.name == "anna"


async def test_two_people_of_the_manifest_never_become_one(stage: Stage) -> None:
    ben = (await stage.principal("ben")).id
    back = await type_it(stage, await begin(stage, ben), by="anna")
    assert back is not None
    with pytest.raises(IdentityTaken):
        await confirm(stage, ben, back)
    assert await behind(stage, "U0ANNA") == "anna"


async def test_a_service_links_nobody(stage: Stage) -> None:
    async with stage.tx() as tx:
        robot = await principals.ensure_service(tx, stage.workspace, "robot")
    with pytest.raises(NobodyToLink):
        await begin(stage, robot)


async def test_the_same_id_in_another_team_is_somebody_else(stage: Stage) -> None:
    """Ids of Slack are unique in a team: the manifest's count in the installed one only."""
    assert await behind(stage, "U0PRIYA") == "priya"
    assert await behind(stage, "U0PRIYA", tenant="T0OTHER") is None
    who = await cleo(stage)
    back = await type_it(stage, await begin(stage, who), by="cleo")
    assert back is not None
    await confirm(stage, who, back)
    assert await behind(stage, "U0CLEO", tenant="T0OTHER") is None


async def test_a_new_revision_of_the_manifest_keeps_what_people_linked(stage: Stage) -> None:
    who = await cleo(stage)
    back = await type_it(stage, await begin(stage, who), by="cleo")
    assert back is not None
    await confirm(stage, who, back)

    await stage.revise_workspace({"solo_mode": True})

    assert await behind(stage, "U0CLEO") == name_of(ISSUER, "cleo")
    await linking.unlink(stage.database, stage.workspace, who, surface="slack", by=SYSTEM)
    assert await behind(stage, "U0CLEO") is None
    with pytest.raises(NotFound):
        await linking.unlink(stage.database, stage.workspace, who, surface="slack", by=SYSTEM)


async def test_words_that_only_begin_like_a_code_are_for_the_agent(stage: Stage) -> None:
    for text in ("link ABCDE-FGHJK please", "link the two issues", "please link ABCDE-FGHJK"):
        received = await stage.say(text, root=f"root-{text}")
        assert received.run_id is not None
