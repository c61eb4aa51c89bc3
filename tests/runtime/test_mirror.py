"""Mirrored groups: by id, fresh within a minute, and empty once they are stale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.errors import Invalid, NotAnApprover, TryLater
from openloop.domain.groups import GroupMembers
from openloop.runtime.mirror import Mirror
from openloop.storage import groups
from tests import make
from tests.actions.deciding import decide
from tests.runtime.fakes import FakeSurface

if TYPE_CHECKING:
    from tests.make import Clock, Stage

GROUP = "S0MAINTAIN"
WITH_GROUP: dict[str, Any] = {
    "groups": {"maintainers": ["@priya"]},
    "access": {"slack_groups": {"maintainers": GROUP}},
}


@dataclass
class SlackLike(FakeSurface):
    """A platform with groups."""

    members: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    asked: list[str] = field(default_factory=list[str])
    tenant: str = make.TENANT

    async def group_members(self, group_id: str) -> GroupMembers:
        self.asked.append(group_id)
        if group_id not in self.members:
            raise TryLater("The platform is busy")
        return GroupMembers(tenant=self.tenant, ids=self.members[group_id])


@pytest.fixture
async def slack(stage: Stage) -> SlackLike:
    """Anna is a maintainer because Slack says so."""
    await stage.revise_workspace(WITH_GROUP)
    surface = SlackLike(members={GROUP: ("U0ANNA", "U0STRANGER")})
    stage.surface = surface
    return surface


def mirror(stage: Stage) -> Mirror:
    return Mirror(stage.database, {"slack": stage.surface})


async def may_anna(stage: Stage, root: str) -> bool:
    ref, _ = await stage.hold(await stage.mention(by="ben", root=root))
    try:
        await decide(stage, ref, "deny", by="anna")
    except NotAnApprover:
        return False
    return True


async def test_a_member_counts_once_the_platform_has_said_so(
    stage: Stage, slack: SlackLike
) -> None:
    assert not await may_anna(stage, "root-1")

    await mirror(stage).once()

    assert await may_anna(stage, "root-2")


async def test_whoever_is_taken_out_counts_no_more_within_a_minute(
    stage: Stage, slack: SlackLike, clock: Clock
) -> None:
    await mirror(stage).once()
    slack.members[GROUP] = ()
    await clock.advance(seconds=50)
    await mirror(stage).once()
    assert not await may_anna(stage, "root-1")


async def test_a_group_is_asked_for_by_one_worker_at_a_time(
    stage: Stage, slack: SlackLike, clock: Clock
) -> None:
    await mirror(stage).once()
    await mirror(stage).once()
    assert slack.asked == [GROUP]
    await clock.advance(seconds=31)
    await mirror(stage).once()
    assert slack.asked == [GROUP, GROUP]


async def test_what_nobody_could_confirm_for_five_minutes_is_empty(
    stage: Stage, slack: SlackLike, clock: Clock
) -> None:
    await mirror(stage).once()
    slack.members.clear()
    await clock.advance(minutes=4)
    await mirror(stage).once()
    assert await may_anna(stage, "root-1")

    await clock.advance(minutes=1, seconds=1)
    await mirror(stage).once()

    assert not await may_anna(stage, "root-2")
    async with stage.tx() as tx:
        (group,) = await groups.list_all(tx)
    assert (group.is_stale, group.problem) == (True, "The platform is busy")


async def test_ids_of_another_team_are_nobody(stage: Stage, slack: SlackLike) -> None:
    slack.tenant = "T0OTHER"
    await mirror(stage).once()
    assert not await may_anna(stage, "root-1")


async def test_a_group_that_the_manifest_mirrors_no_more_is_forgotten(
    stage: Stage, slack: SlackLike
) -> None:
    await mirror(stage).once()
    await stage.revise_workspace({"groups": {"maintainers": ["@priya"]}})
    assert await stage.count("mirrored_groups") == 0
    assert not await may_anna(stage, "root-1")


async def test_a_group_is_named_here_before_it_is_mirrored(stage: Stage) -> None:
    with pytest.raises(Invalid, match="name it in `groups` first"):
        await stage.revise_workspace({"access": {"slack_groups": {"strangers": GROUP}}})
