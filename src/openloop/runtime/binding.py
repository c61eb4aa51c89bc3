"""What binds an approval: the canonical bytes of the call, what decided the hold, one hash over both.

What is shown is rendered from these bytes and what runs are these bytes. What decided it is kept by
content and not by revision: an apply that changes none of it leaves an approval valid.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import orjson
import rfc8785

from openloop.actions.judged import Held
from openloop.domain.surface import Card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.domain.model import ToolCall
    from openloop.domain.policy import Call
    from openloop.domain.tool import Arguments
    from openloop.domain.verdict import Demand, Hold
    from openloop.tools.registry import Registered

LONGEST_REASON = 1000
LONGEST_VERSION = 200
UNKNOWN_NUMBER = "The arguments hold a number that JSON cannot"
WORDS = {
    "grant": "the permission",
    "effect": "its effect",
    "resource": "what it touches",
    "tool": "the tool",
    "target_version": "what it would change",
    "demands": "who decides it",
    "expires_hours": "how long it may wait",
    "may_edit": "whether people may edit it",
    "solo_mode": "solo mode",
    "destination": "the place, or who reads there",
}
EARLIER = "it was asked by an earlier version of OpenLoop"


class NotCanonical(Exception):
    """The arguments have no canonical form, so nobody could approve them."""


def bind(
    registered: Registered,
    call: ToolCall,
    looked_at: Call,
    hold: Hold,
    arguments: Arguments,
    *,
    seq: int,
    destination: dict[str, object],
    solo_mode: bool,
    reason: str,
    target_version: str = "",
) -> Held:
    """A held call with everything its approval is bound to. `reason` is the model's, made visible.

    Raises:
        NotCanonical
    """
    try:
        canonical = rfc8785.dumps(arguments)  # pyright: ignore[reportArgumentType]  # parsed JSON
    except rfc8785.CanonicalizationError as error:
        raise NotCanonical(UNKNOWN_NUMBER) from error
    conditions = preconditions(
        registered,
        looked_at,
        hold,
        destination=destination,
        solo_mode=solo_mode,
        target_version=target_version,
    )
    card = registered.tool.render(orjson.loads(canonical))
    return Held(
        seq=seq,
        call=call,
        rule=hold.rule,
        effect=registered.tool.effect,
        permission=looked_at.gated,
        arguments=canonical,
        preconditions=conditions,
        hash=digest(call.name, canonical, conditions),
        card=Card(
            title=card.title,
            fields=card.fields,
            body=card.body,
            reason=reason[:LONGEST_REASON],
            notes=(*card.notes, *notes(hold, solo_mode=solo_mode)),
        ),
        demands=hold.demands,
        expires_hours=hold.expires_hours,
        may_edit=hold.may_edit,
        solo_mode=solo_mode,
    )


def preconditions(
    registered: Registered,
    call: Call,
    hold: Hold,
    *,
    destination: dict[str, object],
    solo_mode: bool,
    target_version: str = "",
) -> dict[str, object]:
    """What decided that the call was held: where it differs at execution, the approval is stale.

    The position of a rule in its list is none of it, and neither is who belongs to a group.
    """
    return {
        "grant": call.gated,
        "effect": str(call.effect),
        "resource": call.resource or "",
        "tool": tool_digest(registered),
        "target_version": _shortened(target_version),
        "demands": _distinct([_demand(each) for each in hold.demands]),
        "expires_hours": hold.expires_hours,
        "may_edit": hold.may_edit,
        "solo_mode": solo_mode,
        "destination": destination,
    }


def differences(then: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Why what was asked is not what would be asked now, as a card says it; empty where it is."""
    if not now.keys() <= then.keys():
        return EARLIER
    changed = [key for key in now if now[key] != then[key]]
    if not changed:
        return ""
    why = f"{', '.join(WORDS[key] for key in changed)} changed since it was asked"
    if "target_version" in changed and then["target_version"]:
        why += f" (it was {then['target_version']}, and is {now['target_version']})"
    return why


def notes(hold: Hold, *, solo_mode: bool) -> list[str]:
    """Our own lines on a card: who decides, by which rule, until when."""
    lines = [f"Decides: {who(demand)}" for demand in hold.demands]
    lines += [f"Rule: {hold.rule}", f"Expires in {hold.expires_hours} h if undecided"]
    if solo_mode:
        lines.append("Solo mode: people may approve what they asked for themselves")
    elif not all(demand.not_requester for demand in hold.demands):
        lines.append("Whoever asked for this may approve it too, where the rule says so")
    return list(dict.fromkeys(lines))


def who(demand: Demand) -> str:
    """How many of whom, in words."""
    people = ", ".join(demand.approvers)
    return people if demand.quorum == 1 else f"{demand.quorum} of {people}"


def tool_digest(registered: Registered) -> str:
    """A fingerprint of what the tool declares; a changed tool voids what was approved for it."""
    declared = {
        "name": registered.model_name,
        "description": registered.tool.description,
        "parameters": dict(registered.tool.parameters),
        "permission": registered.tool.permission,
        "effect": str(registered.tool.effect),
    }
    return hashlib.sha256(rfc8785.dumps(declared)).hexdigest()  # pyright: ignore[reportArgumentType]


def digest(tool: str, arguments: bytes, conditions: dict[str, object]) -> str:
    """The hash that binds an approval to the bytes that were shown and what decided the hold."""
    bound = {"tool": tool, "arguments": arguments.decode(), "preconditions": conditions}
    return hashlib.sha256(rfc8785.dumps(bound)).hexdigest()  # pyright: ignore[reportArgumentType]


def _demand(demand: Demand) -> dict[str, object]:
    return {
        "approvers": sorted(demand.approvers),
        "quorum": demand.quorum,
        "not_requester": demand.not_requester,
        "escalation": [
            {"after_hours": stage.after_hours, "approvers": sorted(stage.approvers)}
            for stage in demand.escalation
        ],
    }


def _shortened(version: str) -> str:
    """A version as a card can show it; one that is long, or that people could not see, by its hash."""
    if len(version) <= LONGEST_VERSION and version.isprintable():
        return version
    return hashlib.sha256(version.encode(errors="surrogatepass")).hexdigest()


def _distinct(demands: list[dict[str, object]]) -> list[dict[str, object]]:
    """In one order and each once: two revisions that say the same demand the same."""
    written = {rfc8785.dumps(each): each for each in demands}  # pyright: ignore[reportArgumentType]
    return [written[key] for key in sorted(written)]
