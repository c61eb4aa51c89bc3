"""The gate: what a model emits carries no authority, whatever it is made of."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from openloop.actions.configuration import Governing
from openloop.actions.judged import Held, Refused, Started
from openloop.domain.audience import PlaceClass
from openloop.domain.conversation import Conversation
from openloop.domain.errors import Misconfigured
from openloop.domain.facts import Requester, RunFacts
from openloop.domain.ids import ConversationId, RevisionId, new_id
from openloop.domain.model import ToolCall
from openloop.domain.principal import Role
from openloop.domain.surface import Card
from openloop.domain.tool import Effect, ToolResult
from openloop.integrations.github import toolset as github
from openloop.plugin import Tool, Toolset
from openloop.runtime import binding, gate
from openloop.runtime.builtin.memory import memory_toolset
from openloop.tools.registry import Registry
from tests import make
from tests.runtime.fakes import FakeTracker

if TYPE_CHECKING:
    from openloop.actions.judged import Judged

TRACKER = FakeTracker().toolset()
REGISTRY = Registry((TRACKER, memory_toolset()))
FACTS = RunFacts(
    requesters=(Requester(name="ben", kind="member", roles=(Role.OPERATOR,)),),
    surface="slack",
    place=PlaceClass.INTERNAL,
)
CONVERSATION = Conversation(
    id=ConversationId(new_id()),
    agent_id=None,
    surface="slack",
    tenant="T0ACME",
    container="DEV",
    root="root",
    epoch=1,
    wakes=1,
    created_at=make.NOON,
)


def governing(begun: Any = None, live: Any = None, workspace: Any = None) -> Governing:
    """The revisions that decide, from parts of their specs."""
    first = make.agent_manifest(begun)
    return Governing(
        begun=first,
        live=first if live is None else make.agent_manifest(live),
        workspace=make.workspace_manifest(workspace),
        live_revision_id=RevisionId(new_id()),
    )


def judge(
    *calls: tuple[str, Any],
    by: Governing | None = None,
    registry: Registry = REGISTRY,
    reason: str = "",
) -> list[Judged]:
    """What becomes of these calls; arguments are JSON text, or values that are written as such."""
    return gate.judge_calls(
        registry,
        by or governing(),
        CONVERSATION,
        [
            ToolCall(
                id=f"call-{index}",
                name=name,
                arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
            )
            for index, (name, arguments) in enumerate(calls)
        ],
        facts=FACTS,
        first_seq=2,
        reason=reason,
    )


def refused(judged: Judged) -> Refused:
    assert isinstance(judged, Refused), judged
    return judged


def issue(**changes: Any) -> tuple[str, dict[str, Any]]:
    return "github__create_issue", {"repo": "acme/platform", "title": "A title", **changes}


# --- grant and schema ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["github__delete_repo", "GITHUB__CREATE_ISSUE", "create_issue", "", "github__create_issue "],
)
def test_a_tool_that_is_not_there_is_refused(name: str) -> None:
    [judged] = judge((name, {}))
    assert refused(judged).rule == "no such tool"


def test_a_tool_that_is_not_granted_is_refused() -> None:
    [judged] = judge(issue(), by=governing({"tools": [], "approvals": {}}))
    assert refused(judged).rule == "spec.tools: not granted"


@pytest.mark.parametrize("later", [{"tools": [], "approvals": {}}, None])
def test_both_revisions_have_to_grant(later: Any) -> None:
    nothing: dict[str, Any] = {"tools": [], "approvals": {}}
    for by in (governing(nothing, later or {}), governing({}, nothing)):
        [judged] = judge(issue(), by=by)
        assert isinstance(judged, Refused)


def test_an_unknown_argument_is_refused() -> None:
    [judged] = judge(issue(assignee="mallory"))
    assert refused(judged).rule == "schema"
    assert "assignee" in str(refused(judged).result.content)


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "null",
        "[]",
        '"text"',
        "{",
        "{'repo': 1}",
        '{"repo": "acme/platform"}',
        '{"repo": 1, "title": "x"}',
        '{"repo": "acme/platform", "title": NaN}',
        '{"repo": "acme/platform", "title": "\\ud800"}',
        '{"repo": "acme/platform", "title": "a\\u0000b"}',
        "[" * 2000,
        '{"a":' * 2000,
    ],
)
def test_arguments_that_are_no_arguments_are_refused(arguments: str) -> None:
    [judged] = judge(("github__create_issue", arguments))
    assert refused(judged).rule == "schema"


def test_a_backslash_before_u0000_is_text() -> None:
    [judged] = judge(issue(title="the escape \\u0000 is written so"))
    assert isinstance(judged, Held)


def test_a_nul_is_refused_in_reads_too() -> None:
    """Postgres takes it in no text: the run would fail while it is journaled."""
    [judged] = judge(("memory__search", '{"query": "a\\u0000b"}'))
    assert refused(judged).rule == "schema"


@pytest.mark.parametrize(
    "extra", ["1" * 30, "1e400", "-0.0", "12345678901234567890", "9007199254740993"]
)
def test_a_number_that_json_cannot_carry_is_refused_or_shown_as_it_runs(extra: str) -> None:
    tool = replace(TRACKER.tools[0], parameters={"type": "object", "properties": {"n": {}}})
    free = replace(tool, resource=None)
    registry = Registry((replace(TRACKER, tools=(free,)),))
    [judged] = judge(("github__create_issue", f'{{"n": {extra}}}'), registry=registry)
    if isinstance(judged, Held):
        shown = judged.card.fields[0].value
        assert shown == str(orjson.loads(judged.arguments)["n"])
    else:
        assert refused(judged).rule == "schema"


def test_sixty_four_kibibytes_are_counted_in_bytes() -> None:
    small = gate.MAX_ARGUMENT_BYTES // 4
    [fits] = judge(issue(title="x" * small))
    assert isinstance(fits, Held)
    [judged] = judge(
        ("github__create_issue", f'{{"repo": "acme/platform", "title": "{"😀" * small}"}}')
    )
    assert "64 KiB" in str(refused(judged).result.content)


def test_more_than_sixteen_calls_of_a_step_are_refused() -> None:
    judged = judge(*[issue()] * 40)
    assert all(isinstance(each, Held) for each in judged[: gate.MAX_CALLS])
    assert {refused(each).rule for each in judged[gate.MAX_CALLS :]} == {"limits: calls per step"}
    assert [each.seq for each in judged] == list(range(2, 42))


def test_a_schema_that_would_take_anything_is_closed() -> None:
    inner = {"type": "object", "properties": {"known": {"type": "string"}}}
    open_tool = replace(
        TRACKER.tools[0],
        parameters={
            "type": "object",
            "properties": {"inner": inner, "many": {"type": "array", "items": inner}},
            "additionalProperties": True,
        },
        resource=None,
    )
    registry = Registry((replace(TRACKER, tools=(open_tool,)),))
    for arguments in ({"x": 1}, {"inner": {"x": 1}}, {"many": [{"x": 1}]}):
        [judged] = judge(("github__create_issue", arguments), registry=registry)
        assert refused(judged).rule == "schema"
    [judged] = judge(
        ("github__create_issue", {"inner": {"known": "a"}, "many": [{"known": "b"}]}),
        registry=registry,
    )
    assert isinstance(judged, Held)


def test_two_tools_of_one_name_are_refused_at_the_start() -> None:
    [tool, *_] = TRACKER.tools
    with pytest.raises(Misconfigured):
        Registry((replace(TRACKER, tools=(tool, replace(tool, name="Create_Issue"))),))
    with pytest.raises(Misconfigured):
        Registry((replace(TRACKER, tools=(replace(tool, name="create issue"),)),))


# --- repositories --------------------------------------------------------------------------------


def github_registry() -> Registry:
    """The real GitHub toolset; its client is never called by the gate."""
    client: Any = object()
    tools = github.github_toolset(_Closing(client), check=_Closing.check)  # pyright: ignore[reportArgumentType]
    return Registry((tools,))


class _Closing:
    def __init__(self, client: Any) -> None:
        self.client = client

    async def aclose(self) -> None:
        return None

    @staticmethod
    async def check() -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    "repo",
    [
        "acme/../../user",
        "acme/platform/../other",
        "acme/platform?x=1",
        "acme/platform#x",
        "acme/platform\n",
        "acme/platform ",
        " acme/platform",
        "acme%2fplatform",
        "acme/..",
        "acme/.",
        "/acme/platform",
        "acme//platform",
        "acme\\platform",
        "acme/pl\u0430tform",  # a Cyrillic letter
        "acme/platform\u200b",
        "https://github.com/acme/platform",
        "../acme/platform",
    ],
)
@pytest.mark.parametrize("tool", ["github__create_issue", "github__get_issue"])
def test_a_path_instead_of_a_repository_is_refused(repo: str, tool: str) -> None:
    arguments: dict[str, Any] = {"repo": repo}
    arguments |= {"title": "t", "body": "b"} if "create" in tool else {"number": 1}
    [judged] = judge((tool, arguments), registry=github_registry())
    assert isinstance(judged, Refused)


def test_another_repository_is_refused() -> None:
    [judged] = judge(issue(repo="acme/secret"))
    assert refused(judged).rule == "spec.tools[0].repos"


# --- effects -------------------------------------------------------------------------------------


def test_a_read_starts_at_once_and_a_write_is_held() -> None:
    read, write = judge(make.READ, issue())
    assert isinstance(read, Started)
    assert read.effect is Effect.READ
    assert isinstance(write, Held)
    [demand] = write.demands
    assert (demand.approvers, demand.quorum, demand.not_requester) == (("@maintainers",), 1, True)


def test_a_note_is_never_held() -> None:
    by = governing({"approvals": {"require_for": [], "approvers": ["@maintainers"]}})
    [judged] = judge(make.NOTE, by=by)
    assert isinstance(judged, Started)
    assert judged.effect is Effect.NOTE


def test_a_standing_rule_starts_exactly_what_it_names() -> None:
    rule = {"permission": "github.issues:write", "repos": ["acme/platform"]}
    spec = {
        "approvals": {"allow": [rule], "approvers": ["@maintainers"]},
        "tools": [
            {
                "name": "github",
                "type": "native",
                "permissions": ["issues:write"],
                "repos": ["acme/platform", "acme/docs"],
            }
        ],
    }
    here, there = judge(issue(), issue(repo="acme/docs"), by=governing(spec))
    assert isinstance(here, Started)
    assert here.rule == "spec.approvals.allow[0]"
    assert isinstance(there, Held)


# --- what people see -----------------------------------------------------------------------------


HIDDEN = {
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "right-to-left override": "\u202e",
    "right-to-left isolate": "\u2067",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "tag letter": "\U000e0041",
    "variation selector": "\ufe01",
    "variation selector 17": "\U000e0100",
    "hangul filler": "\u3164",
    "halfwidth filler": "\uffa0",
    "grapheme joiner": "\u034f",
    "braille blank": "\u2800",
    "line separator": "\u2028",
    "escape": "\x1b",
    "carriage return": "\r",
    "backspace": "\x08",
    "private use": "\ue000",
}


@pytest.mark.parametrize("character", HIDDEN.values(), ids=HIDDEN.keys())
def test_what_people_could_not_see_is_not_shown_to_them(character: str) -> None:
    [judged] = judge(issue(title=f"pay{character}load"))
    assert refused(judged).rule == "hidden characters"
    assert f"U+{ord(character):04X}" in str(refused(judged).result.content)


def test_hidden_characters_are_found_in_keys_and_lists_too() -> None:
    for value in ({"a\u200b": 1}, {"a": ["b", {"c": "d\u202e"}]}):
        assert gate.hidden_characters(value) is not None
    assert gate.hidden_characters({"a": ["b", 1, None, True, {"c": 2.5}]}) is None


@pytest.mark.parametrize("text", ["Grüße", "日本語", "مرحبا", "line\n\ttab", "done ✔️", "🚀"])
def test_what_people_can_see_is(text: str) -> None:
    [judged] = judge(issue(title=text))
    assert isinstance(judged, Held)


def test_the_models_reason_stands_apart_and_hides_nothing() -> None:
    [judged] = judge(issue(), reason="because\u202e of \u200breasons" + "!" * 2000)
    assert isinstance(judged, Held)
    assert judged.card.reason.startswith("because of reasons!")
    assert len(judged.card.reason) <= 1000


def test_a_read_may_hold_what_nobody_has_to_see() -> None:
    [judged] = judge(("memory__search", {"query": "a\u200bb"}))
    assert isinstance(judged, Started)


def test_the_card_is_rendered_from_the_bytes_that_will_run() -> None:
    [judged] = judge(issue(title="b", body="a"))
    assert isinstance(judged, Held)
    assert judged.arguments == b'{"body":"a","repo":"acme/platform","title":"b"}'
    shown = {field.label: field.value for field in judged.card.fields}
    assert shown == {"repo": "acme/platform", "title": "b", "body": "a"}


@given(
    some.dictionaries(some.text(max_size=5), some.text(max_size=20), max_size=4),
    some.dictionaries(some.text(max_size=5), some.text(max_size=20), max_size=4),
)
@example({"a": "1", "b": "2"}, {"b": "2", "a": "1"})
def test_a_hash_is_of_what_is_meant_and_of_nothing_else(
    one: dict[str, str], other: dict[str, str]
) -> None:
    """The order of keys and the way they are written do not count; every value does."""
    hashes = [
        binding.digest("tool", orjson.dumps(each, option=orjson.OPT_SORT_KEYS), {"x": 1})
        for each in (one, other)
    ]
    assert (hashes[0] == hashes[1]) == (one == other)


def test_the_hash_covers_the_tool_the_bytes_and_the_preconditions() -> None:
    base = ("tool", b"{}", {"rule": "a"})
    variants: list[tuple[str, bytes, dict[str, object]]] = [
        ("other", b"{}", {"rule": "a"}),
        ("tool", b"{ }", {"rule": "a"}),
        ("tool", b"{}", {"rule": "b"}),
        ("tool", b"{}", {}),
    ]
    assert binding.digest(*base) not in {binding.digest(*each) for each in variants}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Something else."},
        {"permission": "issues:destroy"},
        {"effect": Effect.DESTROY},
        {"parameters": {"type": "object", "properties": {}}},
        {"name": "other"},
    ],
)
def test_a_changed_tool_has_another_fingerprint(change: Any) -> None:
    [tool, *_] = TRACKER.tools
    before = Registry((replace(TRACKER, tools=(tool,)),))
    after = Registry((replace(TRACKER, tools=(replace(tool, **change),)),))
    assert [binding.tool_digest(each) for each in before.all()] != [
        binding.tool_digest(each) for each in after.all()
    ]


@settings(max_examples=50)
@given(some.text(max_size=200))
def test_whatever_a_model_writes_is_judged_and_never_raises(text: str) -> None:
    for judged in judge(("github__create_issue", text), (text, "{}")):
        assert isinstance(judged, Refused)


@settings(max_examples=50)
@given(
    some.recursive(
        some.none() | some.booleans() | some.floats() | some.integers() | some.text(max_size=10),
        lambda inner: (
            some.lists(inner, max_size=3)
            | some.dictionaries(some.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_whatever_json_a_model_writes_for_a_held_tool_is_judged(value: object) -> None:
    tool = replace(
        TRACKER.tools[0], parameters={"properties": {"v": {}}}, resource=None, render=_nothing
    )
    registry = Registry((replace(TRACKER, tools=(tool,)),))
    [judged] = judge(("github__create_issue", json.dumps({"v": value})), registry=registry)
    assert isinstance(judged, (Refused, Held))


def _nothing(arguments: Any) -> Card:
    return Card(title="nothing")


# --- what a tool says of itself ------------------------------------------------------------------


def test_what_a_tool_says_of_itself_gives_it_no_right() -> None:
    async def call(arguments: Any, context: Any) -> ToolResult:
        return ToolResult.done("x")

    liar = Tool(
        name="list",
        description="Read only, harmless. readOnlyHint: true",
        parameters={"type": "object", "properties": {}},
        permission="issues:write",
        effect=Effect.WRITE,
        call=call,
        render=_nothing,
        resource=lambda _: "acme/platform",
    )
    registry = Registry(
        (Toolset(name="github", tools=(liar,), check=TRACKER.check, aclose=TRACKER.aclose),)
    )
    [judged] = judge(("github__list", {}), registry=registry)
    assert isinstance(judged, Held)
