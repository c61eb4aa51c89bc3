"""People who leave a workspace, and who is in a user group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.errors import OpenLoopError
from openloop.domain.groups import GroupMembers
from openloop.domain.surface import Departure
from openloop.integrations.slack.decode import decode
from openloop.plugin import GroupSource
from openloop.testing.rigs.faults import Refuse

if TYPE_CHECKING:
    from openloop.domain.surface import Accepted
    from openloop.integrations.slack.surface import SlackSurface
    from openloop.testing.rigs.slack import SlackRig

BEN = {"id": "U0BEN", "team_id": "T0ACME", "name": "ben", "deleted": True}


def said(event: dict[str, Any]) -> Accepted:
    payload = {"type": "event_callback", "team_id": "T0ACME", "event_id": "Ev1", "event": event}
    return decode(payload, own_id="U0AGENT", attempt=0)


@pytest.mark.parametrize("kind", ["user_change", "team_join"])
def test_a_deactivated_person_is_a_departure(kind: str) -> None:
    accepted = said({"type": kind, "user": BEN})
    gone = Departure(surface="slack", installation="T0ACME", tenant="T0ACME", external_id="U0BEN")
    assert (accepted.departures, accepted.events) == ((gone,), ())


def test_whoever_is_of_another_team_is_gone_from_that_one() -> None:
    (gone,) = said({"type": "user_change", "user": {**BEN, "team_id": "T0OTHER"}}).departures
    assert (gone.installation, gone.tenant) == ("T0ACME", "T0OTHER")


@pytest.mark.parametrize(
    "user",
    [
        {**BEN, "deleted": False},
        {**BEN, "deleted": "true"},
        {key: value for key, value in BEN.items() if key != "deleted"},
        {**BEN, "id": ""},
        {**BEN, "id": "ben"},
        {**BEN, "team_id": "../T"},
        "U0BEN",
        None,
    ],
)
def test_every_other_change_of_a_person_is_nothing(user: object) -> None:
    accepted = said({"type": "user_change", "user": user})
    assert (accepted.departures, accepted.events) == ((), ())


async def test_the_members_of_a_user_group_are_ids_of_this_team(
    rig: SlackRig, slack: SlackSurface
) -> None:
    group = rig.usergroups.add("maintainers", members=["priya", "anna"])

    assert isinstance(slack, GroupSource)
    assert await slack.group_members(group.id) == GroupMembers(
        tenant="T0ACME", ids=("U0PRIYA", "U0ANNA")
    )


async def test_a_group_that_slack_does_not_tell_of_is_an_error_and_not_empty(
    rig: SlackRig, slack: SlackSurface
) -> None:
    with pytest.raises(OpenLoopError):
        await slack.group_members("S0NOBODY")
    rig.faults.fail("usergroups.users.list", with_=Refuse(error="missing_scope"))
    with pytest.raises(OpenLoopError):
        await slack.group_members("S0NOBODY")
