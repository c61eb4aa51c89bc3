"""The table of bad input: what comes in, by which door, and exactly what it is answered with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.cli.failures import Exit
from tests.api.access import STRANGE_ID
from tests.stories.doors import (
    WORKSPACE,
    Call,
    Click,
    Command,
    Delivery,
    Edit,
    Mention,
    Signing,
    mention,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stories.doors import Door

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What comes in, and what is answered.

    `finer` are the codes inside of `code`, `says` stands in what a person reads, and `runs` tells
    that there is something to do about it all the same.
    """

    name: str
    door: Door
    status: int
    code: str = ""
    finer: tuple[str, ...] = ()
    says: str = ""
    runs: bool = False

    def __str__(self) -> str:
        return f"{type(self.door).__name__.lower()}: {self.name}"


def nested(deep: int) -> bytes:
    """Objects in objects."""
    return b'{"a":' * deep + b"1" + b"}" * deep


# --- what Slack delivers --------------------------------------------------------------------------

_SIGNINGS: tuple[tuple[Signing, str], ...] = (
    ("another secret", "signature_mismatch"),
    ("another body", "signature_mismatch"),
    ("half a signature", "signature_mismatch"),
    ("not hexadecimal", "signature_mismatch"),
    ("not ASCII", "signature_mismatch"),
    ("another version", "signature_mismatch"),
    ("no signature", "signature_missing"),
    ("no timestamp", "timestamp_missing"),
    ("nothing", "timestamp_missing"),
    ("an hour old", "timestamp_outside_window"),
    ("an hour ahead", "timestamp_outside_window"),
    ("no number", "timestamp_invalid"),
    ("a fraction", "timestamp_invalid"),
    ("a negative number", "timestamp_invalid"),
    ("a huge number", "timestamp_invalid"),
    ("an empty timestamp", "timestamp_invalid"),
)
_MENTION = mention("summarize this")
_BODIES = (
    ("nothing", b"", 400, "json_syntax"),
    ("no JSON", b"hello", 400, "json_syntax"),
    ("half of the JSON", _MENTION[:-20], 400, "json_syntax"),
    ("two values", _MENTION * 2, 400, "json_syntax"),
    ("a list", b"[]", 400, "json_not_an_object"),
    ("100,000 deep", nested(100_000), 400, "json_too_deep"),
    ("100,000 open lists", b"[" * 100_000, 400, "json_too_deep"),
    ("a key twice", _MENTION[:-1] + b',"team_id":"T0OTHER"}', 400, "json_duplicate_key"),
    ("NaN", _MENTION.replace(b"1795414226,", b"NaN,"), 400, "json_syntax"),
    ("Infinity", _MENTION.replace(b"1795414226,", b"-Infinity,"), 400, "json_syntax"),
    ("invalid UTF-8", _MENTION.replace(b"summarize", b"\xff\xfe"), 400, "json_not_utf8"),
    ("half a surrogate", _MENTION.replace(b"summarize", b"\\ud800"), 400, "json_syntax"),
    ("10 MB", b"x" * 10 * MIB, 413, "body_too_large"),
    ("no challenge", b'{"type":"url_verification"}', 400, "challenge_missing"),
    # Signed and readable, but nothing to act on: Slack is told that it arrived.
    ("an empty object", b"{}", 200, ""),
    ("another team", mention("summarize", event_id="Ev0OTHER").replace(b"T0ACME", b"T0OTHER"),
     200, ""),
    ("ids that are no ids", _MENTION.replace(b"C0DEV", b"../../C0DEV"), 200, ""),
    ("a time that is none", _MENTION.replace(b"1795414226.000100", b"soon"), 200, ""),
)  # fmt: skip
_FORMS = (
    ("a form without a payload", b"a=b", "form_malformed"),
    ("a form with two payloads", b"payload={}&payload={}", "form_malformed"),
    ("a form whose payload is no JSON", b"payload=hello", "json_syntax"),
)
_FORM = "application/x-www-form-urlencoded"
_HUGE = b"x" * 10 * MIB


def _deliveries() -> Iterator[Row]:
    for signing, code in _SIGNINGS:
        door = Delivery(body=_MENTION, signing=signing)
        yield Row(name=f"signed with {signing}", door=door, status=401, code=code)
    for name, body, status, code in _BODIES:
        yield Row(name=name, door=Delivery(body=body), status=status, code=code)
    for name, body, code in _FORMS:
        yield Row(name=name, door=Delivery(body=body, content_type=_FORM), status=400, code=code)
    for name, door, status, code in (
        ("10 MB, not announced", Delivery(body=_HUGE, is_chunked=True), 413, "body_too_large"),
        ("10 MB, not signed", Delivery(body=_HUGE, signing="nothing"), 413, "body_too_large"),
        ("a surface nobody has", Delivery(body=_MENTION, path="/surfaces/teams/events"),
         404, "surface_not_found"),
        ("a path that climbs", Delivery(body=_MENTION, path="/surfaces/../slack/events"),
         404, "surface_not_found"),
        ("a GET", Delivery(body=b"", method="GET"), 405, "method_not_allowed"),
    ):  # fmt: skip
        yield Row(name=name, door=door, status=status, code=code)
    # Slack's composer takes 40,000 characters, but an app may post more.
    yield Row(name="1 MB", door=Mention(text="x " * 500_000), status=200, runs=True)


# --- clicks ---------------------------------------------------------------------------------------

_VOID = "This button is not valid any more"
_NOT_YOURS = "Only @priya, @maintainers may decide this"
_CLOSED = "This is not open"
_CLICKS = (
    ("a stranger", Click(by="mallory"), "not_an_approver", _NOT_YOURS),
    ("a stranger's reject", Click(by="mallory", action="deny"), "not_an_approver", _NOT_YOURS),
    ("another member", Click(by="ben"), "not_an_approver", _NOT_YOURS),
    ("the requester", Click(by="anna"), "own_request", "You asked for this"),
    ("another anna", Click(by="U0ANNATOO"), "not_an_approver", _NOT_YOURS),
    ("an external anna", Click(by="U0ANNAEXT", is_told=False), "not_an_approver", ""),
    ("an unknown button", Click(by="priya", action="frobnicate"), "not_found", _VOID),
    ("an unknown token", Click(by="priya", value="A" * 22), "not_found", _VOID),
    ("a token that is none", Click(by="priya", value="' OR 1=1 --"), "not_found", _VOID),
    ("a huge token", Click(by="priya", value="A" * 2000), "not_found", _VOID),
    ("an undo of a card", Click(by="priya", action="undo"), "not_found", _VOID),
    ("a retry of what was not tried", Click(by="priya", action="retry"),
     "approval_already_decided", _CLOSED),
    ("`it happened` of what did not", Click(by="priya", action="happened"),
     "approval_already_decided", _CLOSED),
    ("a second decision", Click(by="priya", is_late=True), "approval_already_decided", ""),
    ("a late reject", Click(by="priya", action="deny", is_late=True),
     "approval_already_decided", ""),
    ("a late stranger", Click(by="mallory", is_late=True), "not_an_approver", _NOT_YOURS),
    ("a late requester", Click(by="anna", is_late=True), "own_request", "You asked for this"),
)  # fmt: skip


# --- the API --------------------------------------------------------------------------------------

_SAID = b'{"agent": "dev-platform", "text": "hello"}'
_SAY = "/api/v1/conversations"
_JSON = (
    ("nothing", b"", 422, "request_invalid"),
    ("not JSON", b"hello", 400, "json_syntax"),
    ("cut off", _SAID[:-1], 400, "json_syntax"),
    ("two values", _SAID + _SAID, 400, "json_syntax"),
    ("a list", b"[]", 400, "json_not_an_object"),
    ("a text", b'"hello"', 400, "json_not_an_object"),
    ("null", b"null", 400, "json_not_an_object"),
    ("a key twice", _SAID[:-1] + b', "text": "bye"}', 400, "json_duplicate_key"),
    ("NaN", b'{"agent": "dev-platform", "text": NaN}', 400, "json_syntax"),
    ("Infinity", b'{"agent": -Infinity}', 400, "json_syntax"),
    ("invalid UTF-8", b'{"agent": "\xff\xfe"}', 400, "json_not_utf8"),
    ("half a surrogate", b'{"agent": "\\ud800"}', 400, "json_syntax"),
    ("a large number", b'{"agent": 123456789012345678901234567890}', 400,
     "json_number_out_of_range"),
    ("100,000 deep", nested(100_000), 400, "json_too_deep"),
    ("100,000 open lists", b"[" * 100_000, 400, "json_too_deep"),
    ("1 MiB and a byte", b" " * (MIB + 1), 413, "body_too_large"),
    ("10 MB", b'{"text": "' + b"x" * 10_000_000 + b'"}', 413, "body_too_large"),
    ("a wrong type", b'{"agent": 7, "text": "hello"}', 422, "request_invalid"),
    ("a missing key", b'{"agent": "dev-platform"}', 422, "request_invalid"),
    ("an unknown key", _SAID[:-1] + b', "aproval": "none"}', 422, "request_invalid"),
    ("a NUL character", b'{"agent": "dev-platform", "text": "a\\u0000b"}', 422,
     "request_invalid"),
    ("an empty text", b'{"agent": "dev-platform", "text": ""}', 422, "request_invalid"),
    ("only spaces", b'{"agent": "dev-platform", "text": "  "}', 422, "console_malformed"),
    ("too long a text", b'{"agent": "dev-platform", "text": "%s"}' % (b"x" * 100_001), 422,
     "request_invalid"),
)  # fmt: skip
_LONG = b'{"files": [{"name": "a.yaml", "text": "%s"}]}' % (b"#" * 300 * 1024)
_RUNS = "/api/v1/runs"
_TOO_LARGE = "9223372036854775808"
_ADDRESSES = (
    ("no such route", "/api/v1/nothing", 404, "route_not_found"),
    ("no id", f"{_RUNS}/7", 422, "request_invalid"),
    ("a run nobody has", f"{_RUNS}/{STRANGE_ID}", 404, "not_found"),
    ("a NUL in the path", "/api/v1/agents/%00", 400, "request_malformed"),
    ("a NUL in the query", f"{_RUNS}?agent=%00", 400, "request_malformed"),
    ("invalid UTF-8 in the path", "/api/v1/agents/%ff%fe", 404, "not_found"),
    ("invalid UTF-8 in the query", "/api/v1/memories?q=%ff", 200, ""),
    ("an agent nobody has", f"{_RUNS}?agent=nobody", 404, "not_found"),
    ("a state that is none", f"{_RUNS}?state=sleeping", 422, "request_invalid"),
    ("limit 0", f"{_RUNS}?limit=0", 422, "request_invalid"),
    ("limit 201", f"{_RUNS}?limit=201", 422, "request_invalid"),
    ("a limit in words", f"{_RUNS}?limit=ten", 422, "request_invalid"),
    ("a cursor that is none", f"{_RUNS}?cursor=1", 422, "request_invalid"),
    ("too large a cursor", f"/audit?cursor={_TOO_LARGE}", 422, "request_invalid"),
    ("too large a position", f"{_SAY}/{STRANGE_ID}/messages?after={_TOO_LARGE}", 422,
     "request_invalid"),
    ("an event id that is none", "/api/v1/events?after=1", 400, "request_malformed"),
    ("too large an event id", "/api/v1/events?after=9999999999999999999-1", 400,
     "request_malformed"),
    ("SQL", "/audit?kind=x'%20OR%20true--", 200, ""),
)  # fmt: skip


def _calls() -> Iterator[Row]:
    for name, body, status, code in _JSON:
        door = Call(path=_SAY, method="POST", body=body)
        yield Row(name=name, door=door, status=status, code=code)
    for name, path, status, code in _ADDRESSES:
        yield Row(name=name, door=Call(path=path), status=status, code=code)
    for name, door, status, code in (
        ("a wrong method", Call(path=_RUNS, method="PUT"), 405, "method_not_allowed"),
        ("a manifest of 300 KiB", Call(path="/api/v1/manifests/apply", method="POST", body=_LONG),
         422, "request_invalid"),
        ("no token", Call(path=_RUNS, token=""), 401, "not_authenticated"),
        ("an unknown token", Call(path=_RUNS, token="ol_owner_" + "A" * 43), 401,
         "not_authenticated"),
        ("a token that is none", Call(path=_RUNS, token="' OR 1=1 --"), 401,
         "not_authenticated"),
        ("a huge token", Call(path=_RUNS, token="A" * 8000), 401, "not_authenticated"),
    ):  # fmt: skip
        yield Row(name=name, door=door, status=status, code=code)


# --- manifests ------------------------------------------------------------------------------------

_DAYS = "retention_days: 90"
_BUDGET = "  budget: { monthly_usd: 50, per_task_usd: 0.50, on_exceeded: block }\n"
_MODEL = "default: scripted/dev-platform"
_WHOLE = "Expected a whole number"
_REFERENCE = "neither a person nor a group"
# Name, what is replaced by what, the one finer code, and what the problem says.
_UNREADABLE = (
    ("a typo in a key", "approvals:", "aprovals:", "manifest_unknown_key",
     "did you mean 'approvals'?"),
    ("a typo inside", "require_for:", "requires_for:", "manifest_unknown_key",
     "did you mean 'require_for'?"),
    ("a typo in a kind", "kind: Agent", "kind: Agnet", "manifest_invalid_value",
     "Expected one of Agent, Workspace"),
    ("another version", "v1alpha1", "v2", "manifest_invalid_value",
     "Expected openloop.ai/v1alpha1"),
    ("a key twice", "spec:\n", "spec:\n  instructions: a\n  instructions: b\n",
     "yaml_duplicate_key", "was given already, on line 7"),
    ("an alias", "spec:\n", "spec:\n  instructions: *other\n", "yaml_alias",
     "Aliases are not read"),
    ("an anchor", "spec:\n", "spec: &all\n", "yaml_anchor", "Anchors are not read"),
    ("a merge key", "spec:\n", "spec:\n  <<: { instructions: a }\n", "yaml_merge_key", ""),
    ("a tag", "spec:\n", "spec:\n  instructions: !!python/object:os.system ls\n", "yaml_tag",
     "Tags are not read"),
    ("an octal number", _DAYS, "retention_days: 0132", "yaml_ambiguous_number",
     "octal or decimal?"),
    ("a new octal number", _DAYS, "retention_days: 0o132", "yaml_ambiguous_number",
     "octal or decimal?"),
    ("a sexagesimal number", _DAYS, "retention_days: 1:30", "manifest_wrong_type", _WHOLE),
    ("a number with an underscore", _DAYS, "retention_days: 9_0", "manifest_wrong_type", _WHOLE),
    ("a text for a number", _DAYS, 'retention_days: "90"', "manifest_wrong_type", _WHOLE),
    ("a fraction of a day", _DAYS, "retention_days: 90.5", "manifest_wrong_type", _WHOLE),
    ("a yes for a scope", "scope: channel", "scope: yes", "manifest_invalid_value",
     "spec.memory.scope"),
    ("no value", "scope: channel", "scope: ", "manifest_empty_value", "spec.memory.scope"),
    ("no budget", _BUDGET, "", "manifest_missing_key", "'budget' is missing"),
    ("a budget below zero", "monthly_usd: 50", "monthly_usd: -50", "manifest_invalid_value",
     "must not be negative"),
    ("a budget of nothing", "monthly_usd: 50", "monthly_usd: 0", "manifest_invalid_value",
     "above zero"),
    ("a budget of everything", "monthly_usd: 50", "monthly_usd: .inf",
     "yaml_number_out_of_range", "not a finite number"),
    ("two documents", "spec:\n", "spec: {}\n---\nspec:\n", "yaml_several_documents",
     "A file holds one document"),
    ("no end", "approvers: [", "approvers: [[", "yaml_syntax", "dev-platform.yaml"),
)  # fmt: skip
# The same of what only the Workspace, a price list or a toolset can tell.
_UNRESOLVED = (
    ("an unresolved person", '"@priya"', '"@pryia"', ("name_unresolved",), _REFERENCE),
    ("an unresolved group", '"@maintainers"', '"@maintainer"', ("name_unresolved",), _REFERENCE),
    ("another workspace", "workspace: acme", "workspace: acne", ("workspace_mismatch",), "acne"),
    ("a permission nobody has", '"pulls:read"', '"pulls:destroy"', (), "pulls:destroy"),
    ("a toolset nobody has", "name: github,", "name: gitlab,", (), "gitlab"),
    ("a model nobody has", _MODEL, "default: scripted/nobody", (), "scripted/nobody"),
    ("a model without a price", _MODEL, "default: openai/gpt-unheard-of", (),
     "openai/gpt-unheard-of"),
)  # fmt: skip
# Of a Workspace.
_WORKSPACES = (
    ("a typo in a role", "approver:", "aprover:", "manifest_invalid_value", "aprover"),
    ("a person twice", "  people:\n", "  people:\n    priya: { slack: U0MALLORY }\n",
     "yaml_duplicate_key", "was given already"),
    ("one Slack user twice", "slack: U0ANNA", "slack: U0PRIYA", "identity_shared", "U0PRIYA"),
    ("an unresolved member", '["@priya", "@anna"]', '["@priya", "@anne"]',
     "name_unresolved", "@anne"),
    ("an octal budget", "monthly_usd: 200", "monthly_usd: 0200", "yaml_ambiguous_number", ""),
    ("yes for no", "solo_mode: false", "solo_mode: no", "manifest_wrong_type", "solo_mode"),
)  # fmt: skip


def _edits() -> Iterator[Row]:
    for name, old, new, finer, says in _UNREADABLE:
        yield _refused(name, Edit(old=old, new=new), "manifest_invalid", (finer,), says)
    for name, old, new, finer, says in _UNRESOLVED:
        yield _refused(name, Edit(old=old, new=new), "manifest_refused", finer, says)
    for name, old, new, finer, says in _WORKSPACES:
        edit = Edit(file=WORKSPACE, old=old, new=new)
        yield _refused(name, edit, "manifest_invalid", (finer,), says)


def _refused(name: str, edit: Edit, code: str, finer: tuple[str, ...], says: str) -> Row:
    return Row(name=name, door=edit, status=422, code=code, finer=finer, says=says)


_COMMANDS = (
    ("a typo in a key", Command(edit=Edit(old="approvals:", new="aprovals:")),
     "manifest_invalid", "did you mean 'approvals'?"),
    ("an alias", Command(edit=Edit(old="spec:\n", new="spec:\n  instructions: *other\n")),
     "manifest_invalid", "Aliases are not read"),
    ("an octal number", Command(edit=Edit(old=_DAYS, new="retention_days: 0132")),
     "manifest_invalid", "octal or decimal?"),
    ("an unresolved person", Command(edit=Edit(old='"@priya"', new='"@pryia"')),
     "manifest_refused", _REFERENCE),
    ("a person of the Workspace who is gone",
     Command(edit=Edit(file=WORKSPACE, old="anna: { slack", new="anne: { slack")),
     "manifest_invalid", "@anna"),
    ("an empty file", Command(raw=b""), "manifest_invalid", ""),
    ("invalid UTF-8", Command(raw=b"kind: \xff\xfe"), "manifest_unreadable", "is not UTF-8 text"),
    ("10 MB", Command(raw=b"#" * 10 * MIB), "manifest_unreadable", "larger than 256 KiB"),
)  # fmt: skip

ROWS: tuple[Row, ...] = (
    *_deliveries(),
    *(
        Row(name=name, door=click, status=200, code=code, says=says)
        for name, click, code, says in _CLICKS
    ),
    *_calls(),
    *_edits(),
    *(
        Row(name=name, door=command, status=Exit.INVALID, code=code, says=says)
        for name, command, code, says in _COMMANDS
    ),
)
