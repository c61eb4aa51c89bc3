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


_GOOD = mention("summarize this")
_FORM = "application/x-www-form-urlencoded"

DELIVERIES: tuple[BadDelivery, ...] = (
    *(
        BadDelivery(what=f"signed with {signing}", signing=signing, status=401, code=code)
        for signing, code in (
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
    BadDelivery(
        what="10 MB, announced", body=b"x" * 10 * MIB, status=413, code="body_too_large"
    ),
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
    code: str
    told: str
    action: str = "approve"
    value: str | None = None


_VOID = "This button is not valid any more"
_NOT_YOURS = "Only @priya, @maintainers may decide this"

CLICKS: tuple[BadClick, ...] = (
    BadClick(what="a stranger's", by="mallory", code="not_an_approver", told=_NOT_YOURS),
    BadClick(what="a stranger's reject", by="mallory", action="deny", code="not_an_approver", told=_NOT_YOURS),
    BadClick(what="another member's", by="ben", code="not_an_approver", told=_NOT_YOURS),
    BadClick(what="the requester's", by="anna", code="own_request", told="You asked for this"),
    BadClick(what="that of another anna", by="U0ANNATOO", code="not_an_approver", told=_NOT_YOURS),
    BadClick(what="an external anna's", by="U0ANNAEXT", code="not_an_approver", told=""),
    BadClick(what="an unknown button", by="priya", action="frobnicate", code="not_found", told=_VOID),
    BadClick(what="an unknown token", by="priya", value="A" * 22, code="not_found", told=_VOID),
    BadClick(what="a token that is none", by="priya", value="' OR 1=1 --", code="not_found", told=_VOID),
    BadClick(what="a huge token", by="priya", value="A" * 2000, code="not_found", told=_VOID),
    BadClick(what="an undo of a card", by="priya", action="undo", code="not_found", told=_VOID),
    BadClick(what="a retry of what was not tried", by="priya", action="retry", code="approval_already_decided", told="This is not open"),
    BadClick(what="`it happened` of what did not", by="priya", action="happened", code="approval_already_decided", told="This is not open"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BadManifest:
    """A change to the demo's agent that is refused with 422: `old` is replaced by `new`.

    `says` stands in one of the problems, behind its file, line and column.
    """

    what: str
    old: str
    new: str
    says: str
    code: str = "manifest_invalid"


_DAYS = "retention_days: 90"

MANIFESTS: tuple[BadManifest, ...] = (
    BadManifest(what="a typo in a key", old="approvals:", new="aprovals:", says="did you mean 'approvals'?"),
    BadManifest(what="a typo inside", old="require_for:", new="requires_for:", says="did you mean 'require_for'?"),
    BadManifest(what="a typo in a kind", old="kind: Agent", new="kind: Agnet", says="Expected one of Agent, Workspace"),
    BadManifest(what="another version", old="v1alpha1", new="v2", says="Expected openloop.ai/v1alpha1"),
    BadManifest(what="a key twice", old="spec:\n", new="spec:\n  instructions: a\n  instructions: b\n", says="was given already, on line 7"),
    BadManifest(what="an alias", old="spec:\n", new="spec:\n  instructions: *other\n", says="Aliases are not read"),
    BadManifest(what="an anchor", old="spec:\n", new="spec: &all\n", says="Anchors are not read"),
    BadManifest(what="a tag", old="spec:\n", new="spec:\n  instructions: !!python/object:os.system ls\n", says="Tags are not read"),
    BadManifest(what="an octal number", old=_DAYS, new="retention_days: 0132", says="octal or decimal?"),
    BadManifest(what="a new octal number", old=_DAYS, new="retention_days: 0o132", says="spec.memory.retention_days"),
    BadManifest(what="a sexagesimal number", old=_DAYS, new="retention_days: 1:30", says="Expected a whole number"),
    BadManifest(what="a number with an underscore", old=_DAYS, new="retention_days: 9_0", says="Expected a whole number"),
    BadManifest(what="a text for a number", old=_DAYS, new='retention_days: "90"', says="Expected a whole number"),
    BadManifest(what="a fraction of a day", old=_DAYS, new="retention_days: 90.5", says="Expected a whole number"),
    BadManifest(what="a yes for a scope", old="scope: channel", new="scope: yes", says="spec.memory.scope"),
    BadManifest(what="no value", old="scope: channel", new="scope: ", says="spec.memory.scope"),
    BadManifest(what="no budget", old="  budget: { monthly_usd: 50, per_task_usd: 0.50, on_exceeded: block }\n", new="", says="'budget' is missing"),
    BadManifest(what="a budget below zero", old="monthly_usd: 50", new="monthly_usd: -50", says="must not be negative"),
    BadManifest(what="a budget of nothing", old="monthly_usd: 50", new="monthly_usd: 0", says="above zero"),
    BadManifest(what="a budget of everything", old="monthly_usd: 50", new="monthly_usd: .inf", says="not a finite number"),
    BadManifest(what="two documents", old="spec:\n", new="spec: {}\n---\nspec:\n", says="A file holds one document"),
    BadManifest(what="no end", old="approvers: [", new="approvers: [[", says="dev-platform.yaml"),
    BadManifest(what="an unresolved person", old='"@priya"', new='"@pryia"', says="neither a person nor a group", code="manifest_refused"),
    BadManifest(what="an unresolved group", old='"@maintainers"', new='"@maintainer"', says="neither a person nor a group", code="manifest_refused"),
    BadManifest(what="another workspace", old="workspace: acme", new="workspace: acne", says="acne", code="manifest_refused"),
    BadManifest(what="a permission nobody has", old='"pulls:read"', new='"pulls:destroy"', says="pulls:destroy", code="manifest_refused"),
    BadManifest(what="a toolset nobody has", old="name: github,", new="name: gitlab,", says="gitlab", code="manifest_refused"),
    BadManifest(what="a model nobody has", old="default: scripted/dev-platform", new="default: scripted/nobody", says="scripted/nobody", code="manifest_refused"),
    BadManifest(what="a model without a price", old="default: scripted/dev-platform", new="default: openai/gpt-unheard-of", says="openai/gpt-unheard-of", code="manifest_refused"),
    BadManifest(what="300 KiB", old="spec:\n", new=f"# {'x' * 300 * 1024}\nspec:\n", says="files", code="request_invalid"),
)  # fmt: skip
