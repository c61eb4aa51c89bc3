"""The table of bad input: what is sent, and the exact status and code it is answered with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import orjson

from openloop.testing.rigs.slack import sign

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB = 1024 * 1024
HOUR = 3600

Signing = Literal[
    "good",
    "another secret",
    "another body",
    "half a signature",
    "not hexadecimal",
    "not ASCII",
    "another version",
    "no signature",
    "no timestamp",
    "nothing",
    "an hour old",
    "an hour ahead",
    "no number",
    "a fraction",
    "a negative number",
    "a huge number",
    "an empty timestamp",
]


def headers_for(signing: Signing, secret: str, body: bytes) -> Mapping[str, str]:
    """What a delivery carries that is signed like this."""
    now = int(time.time())
    times = {
        "an hour old": f"{now - HOUR}",
        "an hour ahead": f"{now + HOUR}",
        "no number": "yesterday",
        "a fraction": f"{now}.5",
        "a negative number": f"-{now}",
        "a huge number": "9" * 40,
        "an empty timestamp": "",
    }
    at = times.get(signing, f"{now}")
    good = sign(secret, at, body)
    signatures = {
        "another secret": sign("not-our-secret", at, body),
        "another body": sign(secret, at, body + b" "),
        "half a signature": good[:30],
        "not hexadecimal": f"v0={'g' * 64}",
        "not ASCII": "v0=ÄÖÜ",
        "another version": f"v1={good[3:]}",
    }
    headers = {
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": signatures.get(signing, good),
    }
    if signing in ("no timestamp", "nothing"):
        del headers["X-Slack-Request-Timestamp"]
    if signing in ("no signature", "nothing"):
        del headers["X-Slack-Signature"]
    return headers


def mention(text: str, *, event_id: str = "Ev0BAD", ts: str = "1795414226.000100") -> bytes:
    """A mention as Slack sends it."""
    return orjson.dumps(
        {
            "token": "legacy",
            "team_id": "T0ACME",
            "api_app_id": "A0OPENLOOP",
            "type": "event_callback",
            "event_id": event_id,
            "event_time": 1795414226,
            "authorizations": [{"team_id": "T0ACME", "user_id": "U0BOT", "is_bot": True}],
            "event": {
                "type": "app_mention",
                "user": "U0BEN",
                "text": f"<@U0BOT> {text}",
                "ts": ts,
                "channel": "C0DEV",
                "event_ts": ts,
            },
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BadDelivery:
    """A POST to where Slack delivers."""

    what: str
    status: int
    code: str
    body: bytes = mention("summarize this")
    signing: Signing = "good"
    content_type: str = "application/json"
    path: str = "/surfaces/slack/events"
    method: str = "POST"
    is_chunked: bool = False


def _nested(deep: int) -> bytes:
    return b'{"a":' * deep + b"1" + b"}" * deep


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
_GOOD = mention("summarize this")
_FORM = "application/x-www-form-urlencoded"

DELIVERIES: tuple[BadDelivery, ...] = (
    *(
        BadDelivery(what=f"signed with {signing}", signing=signing, status=401, code=code)
        for signing, code in _SIGNINGS
    ),
    BadDelivery(what="nothing", body=b"", status=400, code="json_syntax"),
    BadDelivery(what="no JSON", body=b"hello", status=400, code="json_syntax"),
    BadDelivery(what="half of the JSON", body=_GOOD[:-20], status=400, code="json_syntax"),
    BadDelivery(what="two values", body=_GOOD * 2, status=400, code="json_syntax"),
    BadDelivery(what="a list", body=b"[]", status=400, code="json_not_an_object"),
    BadDelivery(what="100,000 deep", body=_nested(100_000), status=400, code="json_too_deep"),
    BadDelivery(what="open lists", body=b"[" * 100_000, status=400, code="json_too_deep"),
    BadDelivery(
        what="a key twice",
        body=_GOOD[:-1] + b',"team_id":"T0OTHER"}',
        status=400,
        code="json_duplicate_key",
    ),
    BadDelivery(
        what="NaN", body=_GOOD.replace(b"1795414226,", b"NaN,"), status=400, code="json_syntax"
    ),
    BadDelivery(
        what="Infinity",
        body=_GOOD.replace(b"1795414226,", b"-Infinity,"),
        status=400,
        code="json_syntax",
    ),
    BadDelivery(
        what="invalid UTF-8",
        body=_GOOD.replace(b"summarize", b"\xff\xfe"),
        status=400,
        code="json_not_utf8",
    ),
    BadDelivery(
        what="half a surrogate",
        body=_GOOD.replace(b"summarize", b"\\ud800"),
        status=400,
        code="json_syntax",
    ),
    BadDelivery(what="10 MB, announced", body=b"x" * 10 * MIB, status=413, code="body_too_large"),
    BadDelivery(
        what="10 MB, not announced",
        body=b"x" * 10 * MIB,
        is_chunked=True,
        status=413,
        code="body_too_large",
    ),
    BadDelivery(
        what="10 MB, not signed",
        body=b"x" * 10 * MIB,
        signing="nothing",
        status=413,
        code="body_too_large",
    ),
    BadDelivery(
        what="a form without a payload",
        body=b"a=b",
        content_type=_FORM,
        status=400,
        code="form_malformed",
    ),
    BadDelivery(
        what="a form with two payloads",
        body=b"payload={}&payload={}",
        content_type=_FORM,
        status=400,
        code="form_malformed",
    ),
    BadDelivery(
        what="a form whose payload is no JSON",
        body=b"payload=hello",
        content_type=_FORM,
        status=400,
        code="json_syntax",
    ),
    BadDelivery(
        what="a challenge without a challenge",
        body=b'{"type":"url_verification"}',
        status=400,
        code="challenge_missing",
    ),
    BadDelivery(
        what="a surface nobody has",
        path="/surfaces/teams/events",
        status=404,
        code="surface_not_found",
    ),
    BadDelivery(
        what="a path that climbs",
        path="/surfaces/../slack/events",
        status=401,
        code="not_authenticated",
    ),
    BadDelivery(what="a GET", method="GET", body=b"", status=405, code="method_not_allowed"),
    # Signed and readable, but nothing to act on: Slack is told that it arrived.
    BadDelivery(what="an empty object", body=b"{}", status=200, code=""),
    BadDelivery(
        what="an event of another team",
        body=mention("summarize", event_id="Ev0OTHER").replace(b"T0ACME", b"T0OTHER"),
        status=200,
        code="",
    ),
    BadDelivery(
        what="ids that are no ids",
        body=_GOOD.replace(b"C0DEV", b"../../C0DEV"),
        status=200,
        code="",
    ),
    BadDelivery(
        what="a timestamp that is none",
        body=_GOOD.replace(b"1795414226.000100", b"soon"),
        status=200,
        code="",
    ),
)

HUGE_TEXT = "x " * 500_000
"""A mention of 1 MB: Slack's composer takes 40,000 characters, but an app may post more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadClick:
    """A click on the card of a request by Anna, who may approve what others ask for.

    `value` None is the token of the card. `code` is what the audit has, and `told` begins what
    the person reads in private; both empty where there is nobody to tell.
    """

    what: str
    by: str
    action: str
    value: str | None
    code: str
    told: str


_VOID = "This button is not valid any more"
_NOT_YOURS = "Only @priya, @maintainers may decide this"

CLICKS: tuple[BadClick, ...] = tuple(
    BadClick(what=what, by=by, action=action, value=value, code=code, told=told)
    for what, by, action, value, code, told in (
        ("a stranger's", "mallory", "approve", None, "not_an_approver", _NOT_YOURS),
        ("a stranger's reject", "mallory", "deny", None, "not_an_approver", _NOT_YOURS),
        ("another member's", "ben", "approve", None, "not_an_approver", _NOT_YOURS),
        ("the requester's", "anna", "approve", None, "own_request", "You asked for this"),
        ("that of another anna", "U0ANNATOO", "approve", None, "not_an_approver", _NOT_YOURS),
        ("an external anna's", "U0ANNAEXT", "approve", None, "not_an_approver", ""),
        ("an unknown button", "priya", "frobnicate", None, "not_found", _VOID),
        ("an unknown token", "priya", "approve", "A" * 22, "not_found", _VOID),
        ("a token that is none", "priya", "approve", "' OR 1=1 --", "not_found", _VOID),
        ("a huge token", "priya", "approve", "A" * 2000, "not_found", _VOID),
        ("an undo of a card", "priya", "undo", None, "not_found", _VOID),
        (
            "a retry of what was not tried",
            "priya",
            "retry",
            None,
            "approval_already_decided",
            "This is not open",
        ),
        (
            "`it happened` of what did not",
            "priya",
            "happened",
            None,
            "approval_already_decided",
            "This is not open",
        ),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadManifest:
    """A change to the demo's agent that is refused with 422: `old` is replaced by `new`.

    `says` stands in one of the problems, behind its file, line and column.
    """

    what: str
    old: str
    new: str
    says: str
    code: str


_DAYS = "retention_days: 90"

_BUDGET = "  budget: { monthly_usd: 50, per_task_usd: 0.50, on_exceeded: block }\n"
_MODEL = "default: scripted/dev-platform"

MANIFESTS: tuple[BadManifest, ...] = (
    *(
        BadManifest(what=what, old=old, new=new, says=says, code="manifest_invalid")
        for what, old, new, says in (
            ("a typo in a key", "approvals:", "aprovals:", "did you mean 'approvals'?"),
            ("a typo inside", "require_for:", "requires_for:", "did you mean 'require_for'?"),
            ("a typo in a kind", "kind: Agent", "kind: Agnet", "Expected one of Agent, Workspace"),
            ("another version", "v1alpha1", "v2", "Expected openloop.ai/v1alpha1"),
            (
                "a key twice",
                "spec:\n",
                "spec:\n  instructions: a\n  instructions: b\n",
                "was given already, on line 7",
            ),
            ("an alias", "spec:\n", "spec:\n  instructions: *other\n", "Aliases are not read"),
            ("an anchor", "spec:\n", "spec: &all\n", "Anchors are not read"),
            (
                "a tag",
                "spec:\n",
                "spec:\n  instructions: !!python/object:os.system ls\n",
                "Tags are not read",
            ),
            ("an octal number", _DAYS, "retention_days: 0132", "octal or decimal?"),
            ("a new octal number", _DAYS, "retention_days: 0o132", "spec.memory.retention_days"),
            ("a sexagesimal number", _DAYS, "retention_days: 1:30", "Expected a whole number"),
            (
                "a number with an underscore",
                _DAYS,
                "retention_days: 9_0",
                "Expected a whole number",
            ),
            ("a text for a number", _DAYS, 'retention_days: "90"', "Expected a whole number"),
            ("a fraction of a day", _DAYS, "retention_days: 90.5", "Expected a whole number"),
            ("a yes for a scope", "scope: channel", "scope: yes", "spec.memory.scope"),
            ("no value", "scope: channel", "scope: ", "spec.memory.scope"),
            ("no budget", _BUDGET, "", "'budget' is missing"),
            ("a budget below zero", "monthly_usd: 50", "monthly_usd: -50", "must not be negative"),
            ("a budget of nothing", "monthly_usd: 50", "monthly_usd: 0", "above zero"),
            (
                "a budget of everything",
                "monthly_usd: 50",
                "monthly_usd: .inf",
                "not a finite number",
            ),
            ("two documents", "spec:\n", "spec: {}\n---\nspec:\n", "A file holds one document"),
            ("no end", "approvers: [", "approvers: [[", "dev-platform.yaml"),
        )
    ),
    *(
        BadManifest(what=what, old=old, new=new, says=says, code="manifest_refused")
        for what, old, new, says in (
            ("an unresolved person", '"@priya"', '"@pryia"', "neither a person nor a group"),
            (
                "an unresolved group",
                '"@maintainers"',
                '"@maintainer"',
                "neither a person nor a group",
            ),
            ("another workspace", "workspace: acme", "workspace: acne", "acne"),
            ("a permission nobody has", '"pulls:read"', '"pulls:destroy"', "pulls:destroy"),
            ("a toolset nobody has", "name: github,", "name: gitlab,", "gitlab"),
            ("a model nobody has", _MODEL, "default: scripted/nobody", "scripted/nobody"),
            (
                "a model without a price",
                _MODEL,
                "default: openai/gpt-unheard-of",
                "openai/gpt-unheard-of",
            ),
        )
    ),
    BadManifest(
        what="300 KiB",
        old="spec:\n",
        new=f"# {'x' * 300 * 1024}\nspec:\n",
        says="files",
        code="request_invalid",
    ),
)
