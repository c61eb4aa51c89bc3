"""Facts of a run: what was typed, by whom, and what was read before, decide with the manifest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from openloop.domain import policy, sinks
from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Requester, RunFacts, Seen
from openloop.domain.policy import Allow, Call, Deny, Hold
from openloop.domain.principal import Role
from openloop.domain.sinks import SinkValue
from openloop.domain.tool import Effect
from openloop.domain.verdict import Verdict
from tests import make
from tests.domain.judging import READ, WORKSPACE, WRITE, agent, judge

# --- standing rules ------------------------------------------------------------------------------

STANDING = agent(
    "issues:write", allow=[{"permission": "github.issues:write", "repos": ["acme/platform"]}]
)
ANY_LINK = agent(
    "issues:write",
    allow=[{"permission": "github.issues:write", "repos": ["acme/platform"], "links": "any"}],
)


def asked_by(*people: Requester) -> RunFacts:
    return RunFacts(requesters=people, surface="slack", place=PlaceClass.INTERNAL)


def operator(typed: str = "", name: str = "ben") -> Requester:
    return Requester(name=name, kind="member", roles=(Role.OPERATOR,), typed=(typed,))


def sending(to: str = "bob@acme.example", text: str = "Hello.") -> Call:
    return Call(
        toolset="github",
        permission="issues:write",
        effect=Effect.WRITE,
        resource="acme/platform",
        sinks=(SinkValue(argument="to", spellings=(to,)),),
        texts=(to, text),
    )


def test_a_sink_that_was_typed_passes_and_another_is_held() -> None:
    facts = asked_by(operator("tell bob@acme.example about it"))
    assert isinstance(judge(sending(), STANDING, WORKSPACE, facts), Allow)
    elsewhere = judge(sending("mallory@evil.example"), STANDING, WORKSPACE, facts)
    assert isinstance(elsewhere, Hold)
    assert elsewhere.rule == "spec.approvals.allow[0] needs to to be typed by whoever asks"


def test_a_link_in_a_text_has_to_be_typed_too_unless_the_rule_takes_any() -> None:
    facts = asked_by(operator("tell bob@acme.example about it"))
    lured = sending(text="Sign in at https://evil.example/login")
    assert isinstance(judge(lured, STANDING, WORKSPACE, facts), Hold)
    assert isinstance(judge(lured, ANY_LINK, WORKSPACE, facts), Allow)


def test_a_standing_rule_speaks_for_roles_that_run_agents_and_not_for_every_member() -> None:
    call = sending()
    for role in Role:
        asking = Requester(
            name="anna", kind="member", roles=(role,), typed=("tell bob@acme.example",)
        )
        verdict = judge(call, STANDING, WORKSPACE, asked_by(asking))
        passes = role in (Role.OPERATOR, Role.ADMIN, Role.OWNER)
        assert isinstance(verdict, Allow if passes else Hold), role


def test_somebody_who_joins_without_a_role_makes_a_standing_call_wait() -> None:
    member = Requester(name="eve", kind="member", typed=("and mallory@evil.example",))
    facts = asked_by(operator("tell bob@acme.example"), member)
    for to in ("bob@acme.example", "mallory@evil.example"):
        assert isinstance(judge(sending(to), STANDING, WORKSPACE, facts), Hold)


@pytest.mark.parametrize("effect", [Effect.WRITE, Effect.DESTROY])
def test_a_run_is_tainted_from_the_start(effect: Effect) -> None:
    """Even one that has read nothing and was asked for by an owner alone, in private."""
    owner = Requester(name="anna", kind="member", roles=tuple(Role), typed=("do it",))
    facts = RunFacts(requesters=(owner,), surface="slack", place=PlaceClass.PRIVATE)
    asked_for = replace(WRITE, effect=effect)
    assert isinstance(judge(asked_for, agent("issues:write"), WORKSPACE, facts), Hold)


def mcp_agent(**approvals: Any) -> Any:
    tool = {
        "name": "mail",
        "type": "mcp",
        "server": "https://mcp.acme.example",
        "permissions": ["send"],
    }
    approvals = {"approvers": ["@maintainers"], **approvals}
    return make.agent_manifest({"tools": [tool], "approvals": approvals})


def test_a_tool_that_declares_no_sinks_passes_only_where_all_of_it_was_typed() -> None:
    manifest = mcp_agent(allow=[{"permission": "mail.send"}])
    facts = asked_by(operator("send Hello to bob@acme.example"))

    def judged(**arguments: object) -> Verdict:
        call = Call(
            toolset="mail",
            permission="send",
            effect=Effect.WRITE,
            sinks=sinks.every_argument(arguments),
            texts=tuple(sinks.leaves(arguments)),
        )
        return judge(call, manifest, WORKSPACE, facts)

    assert isinstance(judged(to="bob@acme.example", text="Hello"), Allow)
    assert judged(to="bob@acme.example", text="Hello there").rule == (
        "spec.approvals.allow[0] needs text to be typed by whoever asks"
    )
    for held in (judged(), judged(to=None, text="Hello"), judged(to=[], text="Hello")):
        assert isinstance(held, Hold)


# --- what was read goes nowhere wider ------------------------------------------------------------

TWO = make.agent_manifest(
    {
        "tools": [
            {
                "name": "github",
                "type": "native",
                "permissions": ["issues:write"],
                "repos": ["acme/platform", "acme/website"],
                "resources": {"acme/website": {"visible_in": "public"}},
            }
        ]
    }
)
WEBSITE = Call(
    toolset="github", permission="issues:write", effect=Effect.WRITE, resource="acme/website"
)


def having_read(
    source: str, visible_in: PlaceClass, *, place: PlaceClass = PlaceClass.INTERNAL, **more: Any
) -> RunFacts:
    seen = (Seen(source=source, visible_in=visible_in),)
    return RunFacts(requesters=(operator(),), surface="slack", place=place, seen=seen, **more)


def test_where_a_service_cannot_tell_who_reads_a_person_decides_and_no_rule() -> None:
    standing = make.agent_manifest(
        {
            "tools": [{"name": "github", "type": "native", "permissions": ["issues:write"]}],
            "approvals": {
                "approvers": ["@maintainers"],
                "allow": [{"permission": "github.issues:write", "repos": ["acme/platform"]}],
            },
        }
    )
    nothing_read = RunFacts(requesters=(operator(),), surface="slack", place=PlaceClass.INTERNAL)
    assert isinstance(judge(WRITE, standing, WORKSPACE, nothing_read), Allow)
    facts = having_read("github:acme/vault", PlaceClass.INTERNAL)
    assert isinstance(judge(WRITE, standing, WORKSPACE, facts), Hold)
    back = having_read("github:acme/platform", PlaceClass.INTERNAL)
    assert isinstance(judge(WRITE, standing, WORKSPACE, back), Allow)


def test_it_may_be_written_back_to_where_it_was_read() -> None:
    facts = having_read(
        "github:acme/platform",
        PlaceClass.INTERNAL,
        audiences={"github:acme/platform": PlaceClass.PUBLIC},
    )
    assert isinstance(judge(WRITE, TWO, WORKSPACE, facts), Hold)


@pytest.mark.parametrize(
    ("readers", "passes"),
    [(PlaceClass.INTERNAL, True), (PlaceClass.PUBLIC, False), (None, False)],
)
def test_who_reads_what_is_written_is_what_the_service_says(
    readers: PlaceClass | None,
    passes: bool,  # noqa: FBT001
) -> None:
    facts = having_read(
        "github:acme/vault", PlaceClass.INTERNAL, audiences={"github:acme/website": readers}
    )
    assert isinstance(judge(WEBSITE, TWO, WORKSPACE, facts), Hold if passes else Deny)


def test_in_a_place_that_became_wider_nothing_goes_on() -> None:
    facts = having_read("github:acme/platform", PlaceClass.INTERNAL, place=PlaceClass.SHARED)
    note = Call(toolset="memory", permission="memory:note", effect=Effect.NOTE)
    for call in (READ, WRITE, note):
        verdict = judge(call, TWO, WORKSPACE, facts)
        assert isinstance(verdict, Deny)
        assert verdict.rule == "rights: label"


@given(some.lists(some.sampled_from(list(PlaceClass))))
def test_the_label_is_the_narrowest_and_never_grows_wider(classes: list[PlaceClass]) -> None:
    label = PlaceClass.PUBLIC
    for count in range(len(classes) + 1):
        seen = tuple(Seen(source="x", visible_in=each) for each in classes[:count])
        now = RunFacts(requesters=(), surface="slack", place=None, seen=seen).label
        assert now.is_within(label)
        label = now
    assert label is min([*classes, PlaceClass.PUBLIC], key=lambda each: each.width)


@pytest.mark.parametrize("above", [None, *PlaceClass])
@pytest.mark.parametrize("own", [None, *PlaceClass])
def test_an_agent_is_never_wider_than_its_workspace(
    above: PlaceClass | None, own: PlaceClass | None
) -> None:
    tool: dict[str, Any] = {"name": "github", "type": "native", "permissions": ["issues:read"]}
    if own is not None:
        tool["visible_in"] = str(own)
    manifest = make.agent_manifest({"tools": [tool], "approvals": {}})
    workspace = make.workspace_manifest({"policy": {"visible_in": str(above)}} if above else None)
    terms = policy.terms_of(READ, manifest, workspace)
    assert terms is not None
    given = [each for each in (above, own) if each is not None]
    assert terms.visible_in is min(given or [PlaceClass.INTERNAL], key=lambda each: each.width)
