"""The gate: nothing the model emits carries authority.

For each call, in this order: grant, schema, effect, approval. Each refusal names the rule that
decided it. Rights of people are checked before a run starts and before a message steers it;
budgets where a call costs money.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING, Any, cast

import orjson
import rfc8785

from openloop.actions.calls import Held, Judged, Refused, Started
from openloop.domain import policy
from openloop.domain.errors import OpenLoopError
from openloop.domain.policy import Allow, Call, Deny, Hold, Verdict
from openloop.domain.surface import Card
from openloop.domain.tool import ToolResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.actions.configuration import Governing
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import Conversation
    from openloop.domain.model import ToolCall
    from openloop.domain.tool import Arguments
    from openloop.tools.registry import Registered, Registry

MAX_ARGUMENT_BYTES = 64 * 1024
SHOWN = frozenset("\n\t\ufe0f")
"""Tells a sign to be shown as an emoji; it changes no word."""
INVISIBLE = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
    | {*range(0xFE00, 0xFE0F), *range(0xE0100, 0xE01F0)}
)
"""Fillers and variation selectors: letters and marks by their category, nothing to the eye."""
MAX_CALLS = 16
"""Calls of one model step; the rest is refused, so that a loop cannot flood a thread with cards."""


def verdict(governing: Governing, call: Call) -> Verdict:
    """The stricter of what the run's revision and the live one say."""
    begun = policy.judge(call, governing.begun, governing.workspace)
    if governing.begun is governing.live:
        return begun
    return policy.stricter(begun, policy.judge(call, governing.live, governing.workspace))


def judge_calls(
    registry: Registry,
    governing: Governing,
    conversation: Conversation,
    calls: Sequence[ToolCall],
    *,
    first_seq: int,
    reason: str,
) -> list[Judged]:
    """Decide every call of one model step. `reason` is the model's own words, shown as such."""
    return [
        _judge(registry, governing, conversation, call, first_seq + index, reason)
        if index < MAX_CALLS
        else _refused(call, first_seq + index, "limits: calls per step", "Too many calls at once")
        for index, call in enumerate(calls)
    ]


def _judge(
    registry: Registry,
    governing: Governing,
    conversation: Conversation,
    call: ToolCall,
    seq: int,
    reason: str,
) -> Judged:
    registered = registry.find(call.name)
    if registered is None:
        return _refused(call, seq, "no such tool", f"There is no tool {call.name!r}")
    arguments = _parse(call.arguments)
    if isinstance(arguments, str):
        return _refused(call, seq, "schema", arguments)
    problem = registered.problem_with(arguments)
    if problem is not None:
        return _refused(call, seq, "schema", problem[:500])
    looked_at = policy_call(registered, arguments)
    if isinstance(looked_at, str):
        return _refused(call, seq, "schema", looked_at)
    match verdict(governing, looked_at):
        case Deny(rule=rule, reason=why):
            return _refused(call, seq, rule, why)
        case Allow(rule=rule):
            return Started(
                seq=seq,
                call=call,
                rule=rule,
                effect=registered.tool.effect,
                arguments=arguments,
            )
        case Hold() as hold:
            hidden = hidden_characters(arguments)
            if hidden:
                return _refused(call, seq, "hidden characters", hidden)
            return _hold(
                registered, governing, conversation, call, seq, reason, hold, arguments, looked_at
            )


def _hold(
    registered: Registered,
    governing: Governing,
    conversation: Conversation,
    call: ToolCall,
    seq: int,
    reason: str,
    hold: Hold,
    arguments: Arguments,
    looked_at: Call,
) -> Held | Refused:
    try:
        canonical = rfc8785.dumps(arguments)  # pyright: ignore[reportArgumentType]  # parsed JSON
    except rfc8785.CanonicalizationError:
        return _refused(call, seq, "schema", "The arguments hold a number that JSON cannot")
    conditions = preconditions(registered, looked_at, hold, conversation)
    card = registered.tool.render(orjson.loads(canonical))
    notes = [*card.notes, f"Rule: {hold.rule}", f"Expires in {hold.expires_hours} h if undecided"]
    solo = governing.workspace.spec.solo_mode
    if solo:
        notes.append("Solo mode: people may approve what they asked for themselves")
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
            reason="".join(c for c in reason[:1000] if not _is_hidden(c)),
            notes=tuple(notes),
        ),
        approvers=hold.approvers,
        expires_hours=hold.expires_hours,
        solo_mode=solo,
    )


def policy_call(registered: Registered, arguments: Arguments) -> Call | str:
    """What the policy looks at, or why the arguments name nothing it could look at."""
    resource = None
    if registered.tool.resource is not None:
        try:
            resource = registered.tool.resource(arguments)
        except OpenLoopError as error:
            return str(error)
    return Call(
        toolset=registered.toolset,
        permission=registered.tool.permission,
        effect=registered.tool.effect,
        resource=resource,
    )


def preconditions(
    registered: Registered, call: Call, hold: Hold, conversation: Conversation
) -> dict[str, object]:
    """What decided that the call was held: where it differs at execution, the approval is stale."""
    return {
        "permission": call.gated,
        "effect": str(call.effect),
        "resource": call.resource or "",
        "tool_digest": tool_digest(registered),
        "rule": hold.rule,
        "approvers": sorted(hold.approvers),
        "destination": f"{conversation.surface}:{conversation.tenant}:{conversation.container}",
    }


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


def recheck(
    registry: Registry, governing: Governing, conversation: Conversation, approval: Approval
) -> str | None:
    """Why an approved call may not run as approved, by the rules of now; None where it may."""
    if digest(approval.tool, approval.arguments, approval.preconditions) != approval.hash:
        return "the stored bytes are not those that were approved"
    registered = registry.find(approval.tool)
    if registered is None:
        return "the tool is not there any more"
    arguments: Arguments = orjson.loads(approval.arguments)
    call = policy_call(registered, arguments)
    if isinstance(call, str) or registered.problem_with(arguments) is not None:
        return "the tool takes other arguments now"
    match verdict(governing, call):
        case Deny(rule=rule):
            return f"it is not permitted any more ({rule})"
        case Allow():
            return None
        case Hold() as hold:
            now = preconditions(registered, call, hold, conversation)
            changed = sorted(k for k in now if now[k] != approval.preconditions.get(k))
            return f"{', '.join(changed)} changed since it was asked" if changed else None


def hidden_characters(value: Any) -> str | None:
    """Why people could not see what they approve: bidi and other invisible characters."""
    if isinstance(value, str):
        for character in value:
            if _is_hidden(character):
                return f"The arguments hold an invisible character (U+{ord(character):04X})"
        return None
    parts: list[Any] = []
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        parts = [*pairs.keys(), *pairs.values()]
    elif isinstance(value, list):
        parts = cast("list[Any]", value)
    return next((found for part in parts if (found := hidden_characters(part))), None)


def _is_hidden(character: str) -> bool:
    if character in SHOWN:
        return False
    category = unicodedata.category(character)
    return category in ("Cf", "Cc", "Co", "Cs", "Zl", "Zp") or ord(character) in INVISIBLE


def _holds_nul(value: Any) -> bool:
    # In what orjson writes, an odd number of backslashes before u0000 is the character itself.
    written = orjson.dumps(value).decode()
    return re.search(r"(?<!\\)(?:\\\\)*\\u0000", written) is not None


def _parse(text: str) -> Arguments | str:
    if len(text.encode(errors="surrogatepass")) > MAX_ARGUMENT_BYTES:
        return "The arguments are longer than 64 KiB"
    try:
        arguments: Any = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        return "The arguments are not JSON"
    if "\\u0000" in text and _holds_nul(arguments):
        return "The arguments hold a NUL character, which no text has"
    if isinstance(arguments, dict):
        return cast("Arguments", arguments)
    return "The arguments are not a JSON object"


def _refused(call: ToolCall, seq: int, rule: str, why: str) -> Refused:
    return Refused(seq=seq, call=call, rule=rule, result=ToolResult.refused(f"{why} [{rule}]"))
