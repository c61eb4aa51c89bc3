"""The gate at its edges: how much it takes, what it shows, and what a call lets into its run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from openloop.actions.judged import Held, Refused, Started
from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Requester, RunFacts, Seen
from openloop.domain.model import ToolCall
from openloop.domain.policy import Allow, Call, Deny, Hold
from openloop.domain.sinks import SinkValue
from openloop.domain.tool import Arguments, Effect
from openloop.runtime import gate
from tests import make
from tests.runtime.test_gate import CONVERSATION, FACTS, REGISTRY, governing, issue, judge, refused

NOTHING: dict[str, Any] = {"tools": [], "approvals": {}}
READS = Call(
    toolset="github", permission="issues:read", effect=Effect.READ, resource="acme/platform"
)
WRITES = replace(READS, permission="issues:write", effect=Effect.WRITE)
RECALLS = Call(toolset="memory", permission="memory:search", effect=Effect.READ)


def long(size: int) -> tuple[str, str]:
    """A call whose arguments have exactly so many bytes."""
    head, tail = '{"repo": "acme/platform", "title": "', '"}'
    return "github__create_issue", head + "x" * (size - len(head) - len(tail)) + tail


def test_arguments_have_sixty_four_kibibytes_and_not_one_byte_more() -> None:
    [fits, too_long] = judge(long(65_536), long(65_537))
    assert "longer than 64 KiB" not in str(refused(fits).result.content)
    assert "longer than 64 KiB" in str(refused(too_long).result.content)
    [wide] = judge(("github__create_issue", '{"title": "' + "\u00e9" * 32_763 + '"}'))
    assert "longer than 64 KiB" in str(refused(wide).result.content)


def test_the_sixteenth_call_of_a_step_is_looked_at_and_the_next_is_not() -> None:
    judged = judge(*[issue(title=str(number)) for number in range(18)])
    assert [isinstance(each, Held) for each in judged] == [True] * 16 + [False] * 2
    assert [each.seq for each in judged] == list(range(2, 20))
    assert refused(judged[16]).result.content == {
        "refused": "Too many calls at once [limits: calls per step]"
    }


@pytest.mark.parametrize(
    "code",
    [
        *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
        *(0xFE00, 0xFE07, 0xFE0E, 0xE0100, 0xE0150, 0xE01EF),
        *(0x00, 0x0B, 0x1B, 0x7F, 0xAD, 0x200B, 0x202E, 0x2028, 0x2029, 0xE000, 0xE0041, 0xD800),
    ],
)
def test_a_character_that_nobody_sees_is_named(code: int) -> None:
    found = gate.hidden_characters({"a": ["b", {"c": f"x{chr(code)}y"}]})
    assert found == f"The arguments hold an invisible character (U+{code:04X})"
    assert gate.hidden_characters({chr(code): "a"}) == found


@pytest.mark.parametrize(
    "code",
    [0x0A, 0x09, 0x20, 0x034E, 0x0350, 0x1161, 0x17B6, 0x2801, 0x3165, 0xFE0F, 0xFE10, 0xE01F0],
)
def test_and_what_people_see_is_not(code: int) -> None:
    assert gate.hidden_characters({"a": [f"x{chr(code)}y", 1, None, True]}) is None


# --- revisions -----------------------------------------------------------------------------------


def test_the_stricter_of_both_revisions_decides() -> None:
    for by in (governing(NOTHING, {}), governing({}, NOTHING)):
        assert isinstance(gate.verdict(by, WRITES, FACTS), Deny)
    assert isinstance(gate.verdict(governing(), WRITES, FACTS), Hold)
    assert isinstance(gate.verdict(governing(), READS, FACTS), Allow)


def test_terms_are_those_of_every_revision_that_grants() -> None:
    assert len(gate.terms(governing({}, {}), READS)) == 2
    assert len(gate.terms(governing({}, NOTHING), READS)) == 1
    assert gate.terms(governing(NOTHING, NOTHING), READS) == []


# --- what a call lets in -------------------------------------------------------------------------


def shown(visible_in: str) -> dict[str, Any]:
    tool = {"name": "github", "type": "native", "permissions": ["issues:write"]}
    return {"tools": [{**tool, "visible_in": visible_in}]}


def test_a_read_goes_as_far_as_the_narrower_revision_says() -> None:
    for by in (
        governing(shown("private"), shown("public")),
        governing(shown("public"), shown("private")),
    ):
        assert gate.seen_by(by, READS) == Seen(
            source="github:acme/platform", visible_in=PlaceClass.PRIVATE
        )
    assert gate.seen_by(governing(), WRITES) is None
    assert gate.seen_by(governing(), RECALLS) is None


def test_what_is_started_notes_what_it_reads_and_what_is_held_nothing() -> None:
    read, recalled, held = judge(make.READ, ("memory__search", {"query": "postgres"}), issue())
    assert isinstance(read, Started)
    assert read.seen == Seen(source="github:acme/platform", visible_in=PlaceClass.INTERNAL)
    assert (read.rule, read.effect) == ("spec.tools[0].permissions: issues:read", Effect.READ)
    assert read.arguments == {"repo": "acme/platform", "number": 1}
    assert isinstance(recalled, Started)
    assert recalled.seen is None
    assert isinstance(held, Held)
    assert held.seen is None
    assert held.preconditions.get("target_version", "") == ""
    for each in (read, recalled, held):
        assert each.facts is not None
        assert each.facts["place"] == "internal"


def test_each_is_journaled_at_its_place_with_the_call_it_was() -> None:
    judged = judge(make.READ, issue(), ("nothing", {}))
    assert [(each.seq, each.call.id) for each in judged] == [
        (2, "call-0"),
        (3, "call-1"),
        (4, "call-2"),
    ]


# --- what is refused before ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "rule", "why"),
    [
        ("nothing", "{}", "no such tool", "There is no tool 'nothing'"),
        ("github__get_issue", "{", "schema", "The arguments are not JSON"),
        ("github__get_issue", "[1]", "schema", "The arguments are not a JSON object"),
        (
            "memory__search",
            '{"query": "a\\u0000"}',
            "schema",
            "The arguments hold a NUL character, which no text has",
        ),
    ],
)
def test_a_refusal_says_why_and_by_which_rule(
    name: str, arguments: str, rule: str, why: str
) -> None:
    [judged] = judge((name, arguments))
    assert refused(judged).rule == rule
    assert refused(judged).result.content == {"refused": f"{why} [{rule}]"}
    call = ToolCall(id="", name=name, arguments=arguments)
    assert gate.problem_with(REGISTRY, call) == why
    assert gate.looked_at(REGISTRY, call) is None
    assert gate.readable(REGISTRY, call) is None


def test_a_text_that_is_no_text_is_refused_like_any_other() -> None:
    [broken, empty] = judge(
        ("github__create_issue", '{"title": "\ud800"}'), ("github__get_issue", "")
    )
    assert refused(broken).rule == "schema"
    assert "are not JSON" not in str(refused(empty).result.content)


def test_what_a_service_said_is_noted_where_one_revision_had_it_asked() -> None:
    ben = replace(FACTS.requesters[0], links={"github": "#4711"})
    tool = {"name": "github", "type": "native", "permissions": ["issues:write"]}
    own = {"tools": [{**tool, "requester_rights": "own"}]}
    for by, asked in ((governing(own, {}), True), (governing({}, own), True), (governing(), False)):
        [judged] = gate.judge_calls(
            REGISTRY,
            by,
            CONVERSATION,
            [ToolCall(id="", name=make.READ[0], arguments=make.READ[1])],
            facts=replace(FACTS, requesters=(ben,)),
            first_seq=2,
            reason="",
        )
        assert judged.facts is not None
        assert ("may" in judged.facts["people"][0]) is asked  # pyright: ignore


def test_a_read_that_is_held_notes_how_far_it_may_go() -> None:
    held_reads = {"approvals": {"require_for": ["github.issues:read"], "approvers": ["@anna"]}}
    [judged] = judge(make.READ, by=governing(held_reads))
    assert isinstance(judged, Held)
    assert judged.seen == Seen(source="github:acme/platform", visible_in=PlaceClass.INTERNAL)


def test_what_can_be_read_is_what_the_policy_looks_at() -> None:
    name, arguments = make.READ
    call = ToolCall(id="", name=name, arguments=arguments)
    assert gate.problem_with(REGISTRY, call) is None
    looked_at = gate.looked_at(REGISTRY, call)
    assert looked_at is not None
    assert (looked_at.gated, looked_at.resource) == ("github.issues:read", "acme/platform")
    assert (looked_at.sinks, looked_at.texts, looked_at.kind) == ((), (), "repo")


def only_title(arguments: Arguments) -> tuple[SinkValue, ...]:
    return (SinkValue(argument="title", spellings=(str(arguments["title"]),)),)


DECLARED: list[tuple[Any, set[str]]] = [
    (None, {"repo", "title"}),
    (("title",), {"title"}),
    (only_title, {"title"}),
    ((), set()),
]


@pytest.mark.parametrize(("declared", "found"), DECLARED)
def test_a_write_carries_its_sinks_and_texts(declared: Any, found: set[str]) -> None:
    name, arguments = make.CREATE
    call = ToolCall(id="", name=name, arguments=arguments)
    writes, reads = REGISTRY.toolsets["github"].tools[:2]
    registry = make.registry_of(replace(writes, sinks=declared), reads)
    looked_at = gate.looked_at(registry, call)
    assert looked_at is not None
    assert {each.argument for each in looked_at.sinks} == found
    assert "Move to Postgres 16" in looked_at.texts
    assert looked_at.kind == "repo"
    other = make.registry_of(replace(writes, sinks=declared, resource_kind="channel"))
    looked_at = gate.looked_at(other, call)
    assert looked_at is not None
    assert looked_at.kind == "channel"


def test_a_refusal_of_a_schema_is_cut() -> None:
    [judged] = judge(issue(**{"x" * 5000: 1}))
    assert isinstance(judged, Refused)
    assert len(str(judged.result.content)) < 600


def test_a_card_goes_where_the_run_speaks_and_says_who_reads_there() -> None:
    assert gate.destination_of(CONVERSATION, FACTS) == {
        "surface": "slack",
        "tenant": "T0ACME",
        "container": "DEV",
        "class": "internal",
    }
    nowhere = RunFacts(requesters=(), surface="slack", place=None)
    assert gate.destination_of(CONVERSATION, nowhere)["class"] == ""


def test_a_guest_who_asks_is_refused_by_name() -> None:
    guest = Requester(name="eve", kind="guest")
    verdict = gate.verdict(governing(), READS, replace(FACTS, requesters=(guest,)))
    assert isinstance(verdict, Deny)
    assert verdict.reason == "eve is not a full member here (guest)"
