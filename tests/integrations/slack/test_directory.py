"""Who somebody is and where something is, as Slack says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.domain.errors import Unavailable
from openloop.domain.surface import Place
from openloop.testing.rigs.faults import DropAnswer, Refuse, ServerError, TooMany

if TYPE_CHECKING:
    from openloop.domain.surface import PersonKind
    from openloop.integrations.slack.surface import SlackSurface
    from openloop.testing.rigs.faults import Fault
    from openloop.testing.rigs.slack import PersonKind as RigKind
    from openloop.testing.rigs.slack import SlackRig


@pytest.mark.parametrize(
    ("rig_kind", "kind"),
    [
        ("member", "member"),
        ("guest", "guest"),
        ("single_channel_guest", "guest"),
        ("external", "external"),
        ("bot", "bot"),
        ("deactivated", "deactivated"),
    ],
)
async def test_each_kind_of_user_is_told_apart(
    rig: SlackRig, slack: SlackSurface, rig_kind: RigKind, kind: PersonKind
) -> None:
    person = rig.people.add("somebody", kind=rig_kind)
    assert (await slack.person("T0ACME", person.id)).kind == kind


async def test_a_member_elsewhere_is_external_here(rig: SlackRig, slack: SlackSurface) -> None:
    assert (await slack.person("T0PARTNER", "U0PRIYA")).kind == "external"
    assert (await slack.person("T0ACME", "U0PRIYA")).kind == "member"


async def test_whom_slack_does_not_know_is_unknown(rig: SlackRig, slack: SlackSurface) -> None:
    rig.faults.fail("users.info", with_=Refuse(error="user_not_found"))
    assert (await slack.person("T0ACME", "U0PRIYA")).kind == "unknown"
    assert (await slack.person("T0ACME", "U0PRIYA")).kind == "member"


@pytest.mark.parametrize(
    "fault", [TooMany(), ServerError(), DropAnswer(), Refuse(error="token_revoked")]
)
async def test_a_person_is_not_judged_while_slack_cannot_be_asked(
    rig: SlackRig, slack: SlackSurface, fault: Fault
) -> None:
    rig.faults.fail("users.info", with_=fault)
    with pytest.raises(Unavailable):
        await slack.person("T0ACME", "U0PRIYA")
    assert (await slack.person("T0ACME", "U0PRIYA")).kind == "member"


async def test_an_answer_about_a_person_is_remembered(rig: SlackRig, slack: SlackSurface) -> None:
    for _ in range(3):
        await slack.person("T0ACME", "U0PRIYA")
    assert len(rig.calls_of("users.info")) == 1
    assert len(rig.calls_of("auth.test")) == 1


@pytest.mark.parametrize("name", ["#dev-platform", "dev-platform", " #Dev-Platform", "C0DEV"])
async def test_a_channel_is_found_by_name_and_id(slack: SlackSurface, name: str) -> None:
    expected = Place(surface="slack", tenant="T0ACME", container="C0DEV")
    assert await slack.find_place(name) == expected


@pytest.mark.parametrize("name", ["#nowhere", "C0NOWHERE", "", "#"])
async def test_what_is_not_there_is_not_found(slack: SlackSurface, name: str) -> None:
    assert await slack.find_place(name) is None


async def test_several_names_take_one_listing(rig: SlackRig, slack: SlackSurface) -> None:
    rig.channels.add("general", id="C0GEN")
    for name in ("#general", "#dev-platform", "#general"):
        assert await slack.find_place(name) is not None
    assert len(rig.calls_of("conversations.list")) <= 2
