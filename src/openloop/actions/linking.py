"""Linking a person here to their id on a surface: a code goes there, and another comes back.

    here      `openloop link begin slack`     shows a code to whoever holds the token or is logged in
    there     `link CODE`, said to an agent   whispers a second code to whoever typed the first
    here      `openloop link confirm CODE`    both sides are the same person: linked

One code would link whoever can be talked into typing it. Names and e-mail addresses link nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.actions.fresh import refuse_old_login
from openloop.domain.audit import actor_as_who
from openloop.domain.errors import Conflict, Forbidden, NotFound
from openloop.domain.ids import new_id
from openloop.domain.login import OIDC, UNNAMED
from openloop.domain.surface import Whisper
from openloop.storage import audit, conversations, links, logins, outbox, principals, queue

if TYPE_CHECKING:
    from openloop.domain.audit import Who
    from openloop.domain.ids import LoginId, PrincipalId, WorkspaceId
    from openloop.domain.principal import Principal
    from openloop.domain.surface import Inbound
    from openloop.storage.database import Database, Transaction
    from openloop.storage.links import Link

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
TYPED = re.compile(r"\s*link\s+([A-Za-z2-9]{5})-?([A-Za-z2-9]{5})\s*", re.IGNORECASE)
NO_GOOD = "That code is not valid: it was typed before, is too old, or never was one."
TELL_NOBODY = (
    "To finish, enter this where you began: `openloop link confirm {code}`. Only if you began this "
    "yourself: whoever enters it acts as you."
)


class IdentityTaken(Conflict):
    """The id on the surface is somebody else's here already."""

    code = "identity_taken"


class CodeWrong(Forbidden):
    """The code is not the one that was shown on the surface."""

    code = "link_code_wrong"


class NobodyToLink(Forbidden):
    """A service is nobody on a surface."""

    code = "link_needs_a_person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What was linked. With `log_in_again` the login belongs to that person from now on."""

    surface: str
    tenant: str
    external_id: str
    principal: str
    log_in_again: bool = False


async def begin(
    database: Database,
    workspace: WorkspaceId,
    principal_id: PrincipalId,
    *,
    surface: str,
    by: Who,
    login: LoginId | None = None,
) -> str:
    """A code to type on the surface within ten minutes; `login` is what they came by, if it is one.

    Raises:
        NobodyToLink, LoginTooOld
    """
    code = _make_code()
    async with database.transaction(workspace) as tx:
        await refuse_old_login(tx, login, of=principal_id)
        if (await principals.get(tx, principal_id)).kind != "person":
            raise NobodyToLink(
                "This token is a service's: link with a token or a login of a person"
            )
        await links.begin(
            tx, workspace, principal_id=principal_id, surface=surface, code_sha256=_hash(code)
        )
        await audit.append(
            tx, workspace, "identity.link_begun", actor=by, subject=principal_id, surface=surface
        )
    return code


def code_in(inbound: Inbound) -> str | None:
    """The code that a message consists of, if somebody types one to an agent."""
    if inbound.kind != "message" or inbound.addressed == "followup":
        return None
    found = TYPED.fullmatch(inbound.text)
    return f"{found[1]}-{found[2]}".upper() if found else None


async def offer(database: Database, workspace: WorkspaceId, inbound: Inbound, code: str) -> bool:
    """Somebody typed a code on a surface: show them, and nobody else, the one that goes back."""
    back = _make_code()
    actor = inbound.actor
    async with database.transaction(workspace) as tx:
        addressee = await conversations.take_keys(
            tx,
            workspace,
            inbound.thread,
            delivery_key=inbound.delivery_key,
            subject_key=inbound.subject_key,
        )
        if not addressee.is_new:
            return False
        whose = await links.offer(
            tx,
            code_sha256=_hash(code),
            surface=actor.surface,
            tenant=actor.tenant,
            external_id=actor.id,
            confirm_sha256=_hash(back),
        )
        conversation = await conversations.open_conversation(
            tx, workspace, inbound.thread, id=new_id(), agent_id=addressee.agent_id
        )
        told = NO_GOOD if whose is None else TELL_NOBODY.format(code=back)
        await outbox.put(tx, workspace, conversation, Whisper(to_id=actor.id, markdown=told))
        await audit.append(
            tx,
            workspace,
            "identity.link_refused" if whose is None else "identity.link_offered",
            actor=actor_as_who(actor),
            subject=whose,
        )
        await queue.wake(tx, workspace, conversation)
    return whose is not None


async def confirm(
    database: Database, workspace: WorkspaceId, principal_id: PrincipalId, code: str, *, by: Who
) -> Linked:
    """Link whoever typed the first code, with the second.

    Where the id there is a person's of the manifest, and whoever is here is known by a login only,
    it is the login that becomes that person's.

    Raises:
        CodeWrong, IdentityTaken, NotFound
    """
    async with database.transaction(workspace) as tx:
        waiting = await links.lock_offered(tx, principal_id)
        given = _hash(_normal(code))
        link = next(
            (
                each
                for each in waiting
                if each.confirm_sha256 and hmac.compare_digest(each.confirm_sha256, given)
            ),
            None,
        )
        if link is not None:
            return await _link(tx, workspace, link, by=by)
        await links.count_wrong(tx, principal_id)
        await audit.append(tx, workspace, "identity.link_refused", actor=by, subject=principal_id)
    if not waiting:
        raise NotFound("Nothing waits for a code: begin anew, and type the first code there")
    raise CodeWrong("This is not the code that was shown there")


async def _link(tx: Transaction, workspace: WorkspaceId, link: Link, *, by: Who) -> Linked:
    assert link.tenant is not None  # noqa: S101  # an offered link has both
    assert link.external_id is not None  # noqa: S101
    here = await principals.get(tx, link.principal_id)
    there = await principals.find_any_by_identity(
        tx, surface=link.surface, tenant=link.tenant, external_id=link.external_id
    )
    become = await _become(tx, workspace, link, here, there)
    await links.remove(tx, link.id)
    await audit.append(
        tx,
        workspace,
        "identity.linked",
        actor=by,
        subject=become.id,
        surface=link.surface,
        tenant=link.tenant,
        external_id=link.external_id,
        principal=become.name,
    )
    return Linked(
        surface=link.surface,
        tenant=link.tenant,
        external_id=link.external_id,
        principal=become.name,
        log_in_again=become.id != here.id,
    )


async def _become(
    tx: Transaction,
    workspace: WorkspaceId,
    link: Link,
    here: Principal,
    there: Principal | None,
) -> Principal:
    """The one person that both sides are from now on."""
    if there is None:
        await principals.set_identity(
            tx,
            workspace,
            here.id,
            surface=link.surface,
            tenant=link.tenant or "",
            external_id=link.external_id or "",
            origin="link",
        )
        return here
    if there.id != here.id:
        if not here.name.startswith(UNNAMED) or not there.active or there.kind != "person":
            message = f"That id is {there.name}'s here already; an owner can change the manifest"
            raise IdentityTaken(message)
        await principals.move_identities(tx, surface=OIDC, before=here.id, after=there.id)
        await logins.end_of(tx, here.id)
    return there


async def unlink(
    database: Database, workspace: WorkspaceId, principal_id: PrincipalId, *, surface: str, by: Who
) -> None:
    """Forget the ids on a surface that this person linked.

    Raises:
        NotFound: there is none; what the manifest says is changed there
    """
    async with database.transaction(workspace) as tx:
        if not await principals.clear_links(tx, principal_id, surface):
            raise NotFound(f"Nothing on {surface} was linked by a code")
        await audit.append(
            tx, workspace, "identity.unlinked", actor=by, subject=principal_id, surface=surface
        )


def _make_code() -> str:
    """Fifty random bits that people can type."""
    text = "".join(secrets.choice(ALPHABET) for _ in range(10))
    return f"{text[:5]}-{text[5:]}"


def _normal(code: str) -> str:
    text = code.strip().upper().replace("-", "")
    return f"{text[:5]}-{text[5:]}"


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
