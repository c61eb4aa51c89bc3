"""A build that failed becomes a question to the agent that watches its repository."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.domain.manifest_agent import watch_word
from openloop.domain.task import INVESTIGATE
from openloop.storage import investigations

if TYPE_CHECKING:
    from openloop.domain.ids import RunId, WorkspaceId
    from openloop.domain.surface import FailedBuild, Inbound
    from openloop.storage.database import Transaction

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


def asked_about(inbound: Inbound) -> Inbound | None:
    """The event as a message in a thread; None where a build is a stranger's.

    It is said in the pull request where there is one, else at the commit. It counts as said by
    whoever pushed: the worker asks what they may there before any model hears of it.
    """
    build = inbound.build
    if build is None or build.is_fork:
        return None
    thread = inbound.thread
    if build.pulls:
        thread = replace(thread, root=str(min(build.pulls)))
    return replace(
        inbound,
        kind="message",
        thread=thread,
        text=_question(thread.place.container, build),
        addressed="mention",
        wanted_as=watch_word(thread.place.container, "checks"),
        priority="scheduled",
    )


async def may_begin(tx: Transaction, workspace: WorkspaceId, inbound: Inbound) -> bool:
    """Whether somebody is to be asked about this build now: each commit once, and nothing stale.

    Who is behind a build is looked up by the worker only, so each of them counts for themselves until
    then: a stranger's keeps nobody else's at the same commit from being looked into.
    """
    build = inbound.build
    return build is None or await investigations.begin(
        tx,
        workspace,
        inbound.thread.place,
        build,
        actor_id=inbound.actor.id,
        failed_at=inbound.occurred_at,
    )


async def note_run(tx: Transaction, inbound: Inbound, run_id: RunId | None) -> None:
    """Note which run a build has opened: as long as that is declined, it was not looked into."""
    if inbound.build is not None and run_id is not None:
        place, commit = inbound.thread.place, inbound.build.commit
        await investigations.note_run(tx, place, commit, actor_id=inbound.actor.id, run_id=run_id)


def _question(repo: str, build: FailedBuild) -> str:
    """Our own words; of the platform's only what cannot hold any."""
    where = f" on branch {build.branch}" if _PLAIN_NAME.fullmatch(build.branch) else ""
    return (
        f"{INVESTIGATE}: The build of commit {build.commit}{where} in {repo} failed. Find out why, with `investigate` "
        f"(repo {repo}, ref {build.commit}), and say what it is, how that is known, who could look at "
        "it and what would repair it."
    )
