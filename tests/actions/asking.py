"""What the tests of asking share: rules, several calls in one step, and edits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from openloop.runtime import editing
from tests import make
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.approval import Approval
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Stage

WRITES = "github.issues:write"
PEOPLE: dict[str, Any] = {
    "people": {
        "priya": {"slack": "U0PRIYA"},
        "anna": {"slack": "U0ANNA"},
        "ben": {"slack": "U0BEN"},
        "mallory": {"slack": "U0MALLORY"},
    },
    "groups": {"maintainers": ["@priya", "@anna"], "security": ["@mallory"]},
    "roles": {
        "owner": ["@priya", "@anna"],
        "approver": ["@maintainers", "@security", "@ben"],
        "operator": ["@ben"],
    },
}


def rule(**changes: Any) -> dict[str, Any]:
    """A rule that holds writes for two maintainers, with these parts replaced."""
    return {
        "match": {"permission": WRITES},
        "approvers": ["@maintainers"],
        "quorum": 2,
        "may_edit": True,
        **changes,
    }


async def stage_with(database: Database, *rules: Mapping[str, Any], **workspace: Any) -> Stage:
    """A workspace with four people, and an agent whose writes are held by these rules."""
    approvals = {"approvers": ["@maintainers"], "rules": list(rules)}
    return await make.stage(
        database, agent={"approvals": approvals}, workspace={**PEOPLE, **workspace}
    )


def create(title: str, **more: str) -> tuple[str, str]:
    """A call that is held."""
    arguments = {"repo": "acme/platform", "title": title, **more}
    return "github__create_issue", json.dumps(arguments)


async def hold_many(stage: Stage, *titles: str, **where: Any) -> ConversationRef:
    """A run whose one step asks for an issue of each title."""
    stage.models.turns = [reply("These.", *map(create, titles)), reply("All done.")]
    ref = await stage.mention(**where)
    await stage.work(ref)
    return ref


async def edit(stage: Stage, ref: ConversationRef, *, by: str, **changes: Any) -> Approval:
    """Somebody changes arguments of the newest approval, having read it."""
    approval = await stage.approval(ref)
    arguments = {**json.loads(approval.arguments), **changes}
    return await editing.edit(
        stage.kit(),
        stage.workspace,
        approval.id,
        arguments,
        seen=approval.hash,
        by=await stage.principal(by),
        via="api",
    )
