"""The gate: nothing the model emits carries authority.

For each call, in this order: the tool is there, its arguments fit the schema, and then the policy
under both revisions: grant, rights, effect, approval. Each refusal names the rule that decided it.
Everything here is pure; `runtime.inquiry` finds out beforehand what the policy has to know.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import orjson

from openloop.actions.judged import Changed, Held, Judged, Refused, Started
from openloop.domain import noted_facts, policy, sinks
from openloop.domain.audience import narrowest
from openloop.domain.errors import OpenLoopError
from openloop.domain.facts import RunFacts, Seen, source_of, target_of
from openloop.domain.model import ToolCall
from openloop.domain.policy import Allow, Call, Deny, Hold, Verdict
from openloop.domain.tool import Effect, ToolResult
from openloop.runtime import binding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.actions.configuration import Governing
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import Conversation
    from openloop.domain.rights import Terms
    from openloop.domain.sinks import SinkValue
    from openloop.domain.tool import Arguments
    from openloop.plugin import Tool
    from openloop.tools.registry import Registered, Registry

MAX_ARGUMENT_BYTES = 64 * 1024
SHOWN = frozenset("\n\t\ufe0f")
"""Tells a sign to be shown as an emoji; it changes no word."""
INVISIBLE = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
    | {*range(0xFE00, 0xFE0F), *range(0xE0100, 0xE01F0)}
)
"""Fillers and variation selectors: letters and marks by their category, nothing to the eye."""
UNSEEN = "What this would change is not there, or cannot be looked at now"
MAX_CALLS = 16
"""Calls of one model step; the rest is refused, so that a loop cannot flood a thread with cards."""


def verdict(governing: Governing, call: Call, facts: RunFacts) -> Verdict:
    """The stricter of what the run's revision and the live one say."""
    begun = policy.judge(call, governing.begun, governing.workspace, facts)
    if governing.begun is governing.live:
        return begun
    live = policy.judge(call, governing.live, governing.workspace, facts)
    return policy.stricter(begun, live)


def terms(governing: Governing, call: Call) -> list[Terms]:
    """What both revisions say of the resource of a call, where they grant it."""
    both = (
        policy.terms_of(call, manifest, governing.workspace)
        for manifest in (governing.begun, governing.live)
    )
    return [each for each in both if each is not None]


def seen_by(governing: Governing, call: Call) -> Seen | None:
    """What a read lets into its run, by the narrower of both revisions; None for what only writes."""
    if call.effect is not Effect.READ or call.toolset == policy.BUILTIN:
        return None
    return Seen(
        source=source_of(call.toolset, call.resource),
        visible_in=narrowest(each.visible_in for each in terms(governing, call)),
    )


def judge_calls(
    registry: Registry,
    governing: Governing,
    conversation: Conversation,
    calls: Sequence[ToolCall],
    *,
    facts: RunFacts,
    first_seq: int,
    reason: str,
) -> list[Judged]:
    """Decide every call of one model step. `reason` is the model's own words, shown as such."""
    return [
        _judge(registry, governing, conversation, facts, call, first_seq + index, reason)
        if index < MAX_CALLS
        else _refused(call, first_seq + index, "limits: calls per step", "Too many calls at once")
        for index, call in enumerate(calls)
    ]


def _judge(
    registry: Registry,
    governing: Governing,
    conversation: Conversation,
    facts: RunFacts,
    call: ToolCall,
    seq: int,
    reason: str,
) -> Judged:
    read = _read(registry, call)
    if isinstance(read, Unreadable):
        return _refused(call, seq, read.rule, read.why)
    registered, arguments, looked_at = read
    asked = any(each.asks_service(facts) for each in terms(governing, looked_at))
    decided = _decide(
        registered, governing, conversation, facts, call, seq, reason, arguments, looked_at
    )
    return replace(decided, facts=noted_facts.note(looked_at, facts, was_asked=asked))


def _decide(
    registered: Registered,
    governing: Governing,
    conversation: Conversation,
    facts: RunFacts,
    call: ToolCall,
    seq: int,
    reason: str,
    arguments: Arguments,
    looked_at: Call,
) -> Judged:
    match verdict(governing, looked_at, facts):
        case Deny(rule=rule, reason=why):
            return _refused(call, seq, rule, why)
        case Allow(rule=rule):
            return Started(
                seq=seq,
                call=call,
                rule=rule,
                effect=registered.tool.effect,
                arguments=arguments,
                seen=seen_by(governing, looked_at),
            )
        case Hold() as hold:
            return _hold(
                registered,
                governing,
                conversation,
                facts,
                call,
                seq,
                reason,
                hold,
                arguments,
                looked_at,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A call that is refused before the policy looks at it."""

    rule: str
    why: str


def readable(registry: Registry, call: ToolCall) -> tuple[Registered, Arguments, Call] | None:
    """A call's tool, arguments, and what the policy will look at; None where it is refused before."""
    read = _read(registry, call)
    return None if isinstance(read, Unreadable) else read


def looked_at(registry: Registry, call: ToolCall) -> Call | None:
    """What the policy will look at in a call; None where the call is refused before that."""
    read = readable(registry, call)
    return None if read is None else read[2]


def problem_with(registry: Registry, call: ToolCall) -> str | None:
    """Why a call is refused before the policy looks at it."""
    read = _read(registry, call)
    return read.why if isinstance(read, Unreadable) else None


def _read(registry: Registry, call: ToolCall) -> tuple[Registered, Arguments, Call] | Unreadable:
    registered = registry.find(call.name)
    if registered is None:
        return Unreadable(rule="no such tool", why=f"There is no tool {call.name!r}")
    arguments = _parse(call.arguments)
    if isinstance(arguments, str):
        return Unreadable(rule="schema", why=arguments)
    problem = registered.problem_with(arguments)
    if problem is not None:
        return Unreadable(rule="schema", why=problem[:500])
    looked_at = policy_call(registered, arguments)
    if isinstance(looked_at, str):
        return Unreadable(rule="schema", why=looked_at)
    return registered, arguments, looked_at


def _hold(
    registered: Registered,
    governing: Governing,
    conversation: Conversation,
    facts: RunFacts,
    call: ToolCall,
    seq: int,
    reason: str,
    hold: Hold,
    arguments: Arguments,
    looked_at: Call,
) -> Held | Refused:
    hidden = hidden_characters(arguments)
    if hidden:
        return _refused(call, seq, "hidden characters", hidden)
    version: str | None = ""
    if registered.tool.version is not None:
        version = facts.versions.get(target_of(call.name, arguments))
        if version is None:
            return _refused(call, seq, "target version", UNSEEN)
    try:
        held = binding.bind(
            registered,
            call,
            looked_at,
            hold,
            arguments,
            seq=seq,
            destination=destination_of(conversation, facts),
            solo_mode=governing.workspace.spec.solo_mode,
            target_version=version,
            reason="".join(c for c in reason if not _is_hidden(c)),
        )
    except binding.NotCanonical as error:
        return _refused(call, seq, "schema", str(error))
    return replace(held, seen=seen_by(governing, looked_at))


def destination_of(conversation: Conversation, facts: RunFacts) -> dict[str, object]:
    """Where the card and the answer go, by stable ids, and who can read there."""
    return {
        "surface": conversation.surface,
        "tenant": conversation.tenant,
        "container": conversation.container,
        "class": str(facts.place or ""),
    }


def policy_call(registered: Registered, arguments: Arguments) -> Call | str:
    """What the policy looks at, or why the arguments name nothing it could look at."""
    tool, resource = registered.tool, None
    try:
        if tool.resource is not None:
            resource = tool.resource(arguments)
        values = _sinks(tool, arguments) if tool.effect.leaves_us else ()
    except OpenLoopError as error:
        return str(error)
    return Call(
        toolset=registered.toolset,
        permission=tool.permission,
        effect=tool.effect,
        resource=resource,
        kind=tool.resource_kind,
        sinks=tuple(values),
        texts=tuple(sinks.leaves(arguments)) if tool.effect.leaves_us else (),
    )


def _sinks(tool: Tool, arguments: Arguments) -> Sequence[SinkValue]:
    """The values that decide whom a call reaches; all of them where the tool does not say which."""
    if tool.sinks is None:
        return sinks.every_argument(arguments)
    if callable(tool.sinks):
        return tool.sinks(arguments)
    return sinks.arguments_named(*tool.sinks)(arguments)


def recheck(
    registry: Registry,
    governing: Governing,
    conversation: Conversation,
    approval: Approval,
    *,
    facts: RunFacts,
) -> Changed | None:
    """What has changed about a held call by the rules of now; None where it stands as it was asked."""
    bound = binding.digest(approval.tool, approval.arguments, approval.preconditions)
    if bound != approval.hash:
        return Changed(reason="the stored bytes are not those that were approved")
    anew = _reconsider(
        registry, governing, conversation, facts, approval, orjson.loads(approval.arguments)
    )
    if anew is None:
        return None
    if isinstance(anew, str):
        return Changed(reason=anew)
    why = binding.differences(approval.preconditions, anew.preconditions)
    return Changed(reason=why, anew=anew) if why else None


def edited(
    registry: Registry,
    governing: Governing,
    conversation: Conversation,
    approval: Approval,
    arguments: Arguments,
    *,
    facts: RunFacts,
) -> Held | str:
    """A held call with other arguments, judged again; or why it may not be asked like that.

    What was held stays held, also where a standing rule would let the new arguments pass.
    """
    anew = _reconsider(registry, governing, conversation, facts, approval, arguments, is_held=True)
    assert anew is not None  # noqa: S101  # nothing passes without being held
    return anew


def _reconsider(
    registry: Registry,
    governing: Governing,
    conversation: Conversation,
    facts: RunFacts,
    approval: Approval,
    arguments: Arguments,
    *,
    is_held: bool = False,
) -> Held | str | None:
    """What a call would be held by now, why it may not be made, or None where nothing holds it."""
    registered = registry.find(approval.tool)
    if registered is None:
        return "the tool is not there any more"
    problem = registered.problem_with(arguments)
    call = policy_call(registered, arguments) if problem is None else problem
    if isinstance(call, str):
        return f"the tool does not take these arguments: {call[:500]}"
    match verdict(governing, call, facts):
        case Deny(rule=rule):
            return f"it is not permitted any more ({rule})"
        case Allow():
            if not is_held:
                return None
            hold = Hold(
                rule=approval.rule,
                demands=approval.demands,
                expires_hours=cast("int", approval.preconditions["expires_hours"]),
                may_edit=approval.may_edit,
            )
        case Hold() as hold:
            pass
    asked = ToolCall(id="", name=approval.tool, arguments="")
    seq, reason = approval.step_seq, approval.card.reason
    held = _hold(
        registered, governing, conversation, facts, asked, seq, reason, hold, arguments, call
    )
    if isinstance(held, Held):
        return held
    return str(cast("Mapping[str, object]", held.result.content)["refused"])


def hidden_characters(value: Any) -> str | None:
    """Why people could not see what they approve: bidi and other invisible characters."""
    if isinstance(value, str):
        if value.isascii() and value.isprintable():  # nearly every text
            return None
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
