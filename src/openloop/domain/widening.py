"""Whether a change of configuration lets more happen than before, and in which ways.

Two questions are asked of it. The policy itself judges a grid of probe calls under both sides
(`probes`). And every value of a manifest has a rule below that says which way it widens; a value
that has none widens whenever it changes, so that a new key is never loosened by silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from openloop.domain import differences
from openloop.domain.audience import PlaceClass
from openloop.domain.differences import format_keys, text_of
from openloop.domain.probes import Side, Widening, probe

if TYPE_CHECKING:
    from openloop.domain.differences import Keyed, KeyPath
    from openloop.domain.manifest import Manifest
    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_workspace import WorkspaceManifest

__all__ = ["Side", "Widening", "agent_widenings", "workspace_widenings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Both sides as values, for rules that look at more than one of them."""

    before: Manifest
    after: Manifest
    was: WorkspaceManifest
    now: WorkspaceManifest


Rule: TypeAlias = Callable[["KeyPath", Any, Any, Scene], Iterator[str]]
"""Sentences about a value (None where it is absent) that widens."""


@dataclass(frozen=True, slots=True)
class Each:
    """The same rules for every entry of a list or mapping; to lose or gain one may be harmless."""

    rules: Tree
    may_go: bool = True
    may_come: bool = False


Tree: TypeAlias = "Rule | Each | Mapping[str, Tree]"


def agent_widenings(before: Side, after: Side) -> tuple[Widening, ...]:
    """Every way in which an agent may do more."""
    if before == after:
        return ()
    scene = Scene(before=before.agent, after=after.agent, was=before.workspace, now=after.workspace)
    found = [*_written(AGENT, scene), *_models(before, after), *probe(before, after)]
    return tuple(dict.fromkeys(found))


def workspace_widenings(
    before: WorkspaceManifest, after: WorkspaceManifest, agents: Mapping[str, AgentManifest]
) -> tuple[Widening, ...]:
    """Every way in which people and agents of a workspace may do more; `agents` are the live ones."""
    found = [*_written(WORKSPACE, Scene(before=before, after=after, was=before, now=after))]
    for name, agent in () if _is_same_for_agents(before, after) else agents.items():
        found += (
            Widening(path=f"agent {name}: {each.path}", sentence=each.sentence)
            for each in agent_widenings(
                Side(agent=agent, workspace=before), Side(agent=agent, workspace=after)
            )
        )
    return tuple(dict.fromkeys(found))


def _is_same_for_agents(before: WorkspaceManifest, after: WorkspaceManifest) -> bool:
    """Money, retention, asks and limits are no part of what is permitted: nothing is judged again."""
    was, now = before.spec, after.spec
    alike = replace(
        was,
        budget=now.budget,
        prices=now.prices,
        retention=now.retention,
        asks=now.asks,
        limits=now.limits,
    )
    return alike == now


def _written(tree: Tree, scene: Scene) -> Iterator[Widening]:
    before, after = differences.keyed(scene.before), differences.keyed(scene.after)
    yield from _walk(tree, (), before, after, scene)


def _walk(
    tree: Tree | None, path: KeyPath, before: Keyed, after: Keyed, scene: Scene
) -> Iterator[Widening]:
    if callable(tree):
        for sentence in tree(path, before, after, scene):
            yield Widening(path=format_keys(path), sentence=sentence)
        return
    if before == after:
        return
    if _is_mapping(before) and _is_mapping(after):
        was: Mapping[str, Keyed] = before if isinstance(before, Mapping) else {}
        now: Mapping[str, Keyed] = after if isinstance(after, Mapping) else {}
        for key in dict.fromkeys((*was, *now)):
            if isinstance(tree, Each):
                is_harmless = (key not in now and tree.may_go) or (key not in was and tree.may_come)
                if not is_harmless:
                    yield from _walk(tree.rules, (*path, key), was.get(key), now.get(key), scene)
            else:
                below = None if tree is None else tree.get(key)
                yield from _walk(below, (*path, key), was.get(key), now.get(key), scene)
        return
    sentence = f"{_shown(before)} becomes {_shown(after)}, and no rule says that this narrows"
    yield Widening(path=format_keys(path), sentence=sentence)


def _is_mapping(value: Keyed) -> bool:
    return value is None or value == () or isinstance(value, Mapping)


# --- rules for one value -------------------------------------------------------------------------


def harmless(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """It gives nobody a right, whatever it says."""
    yield from ()


def judged(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """The probe calls decide."""
    yield from ()


def changed(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Any change may widen."""
    if before != after:
        yield f"{_shown(before)} becomes {_shown(after)}"


def replaced(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Another one than before; a new entry is looked at elsewhere."""
    if before is not None and before != after:
        yield f"{_shown(before)} becomes {_shown(after)}"


def larger(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """More of it widens; where it is absent there is no limit."""
    if before is not None and (after is None or Decimal(str(after)) > Decimal(str(before))):
        yield f"{before} becomes {'no limit' if after is None else after}"


def added(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """More of it widens, and so does having it at all."""
    if after is not None and (before is None or Decimal(str(after)) > Decimal(str(before))):
        yield f"{_shown(before)} becomes {after}"


def smaller(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Less of it widens, and so does its absence, whose meaning is written elsewhere."""
    if before != after and (
        before is None or after is None or Decimal(str(after)) < Decimal(str(before))
    ):
        yield f"{_shown(before)} becomes {_shown(after)}"


def more(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Each new entry widens."""
    known = set(_entries(before))
    added = [each for each in _entries(after) if each not in known]
    if added:
        yield f"{', '.join(added)} is new" if len(added) == 1 else f"{', '.join(added)} are new"


def allowed(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """A switch that widens when it is turned on."""
    if after and not before:
        yield "it is turned on"


def dropped(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """A switch that widens when it is turned off."""
    if before and not after:
        yield "it is turned off"


def fewer(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Each entry that is gone widens."""
    kept = set(_entries(after))
    yield from (f"{each} is gone" for each in _entries(before) if each not in kept)


def shown_at_most(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Absent, each tool has its own class, `internal` where it names none; else no tool has a wider one."""
    was = PlaceClass(before) if before is not None else PlaceClass.INTERNAL
    now = PlaceClass(after) if after is not None else PlaceClass.PUBLIC
    if before != after and not now.is_within(was):
        yield f"{_shown(before)} becomes {_shown(after)}"


def ranked(*order: str, absent: str = "") -> Rule:
    """A word of this order, the narrowest first; one that is not in it is wider than all of them."""

    def rank(word: str | None) -> int:
        word = word or absent
        return order.index(word) if word in order else len(order)

    def rule(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
        if before != after and (rank(after) > rank(before) or rank(after) == len(order)):
            yield f"{_shown(before)} becomes {_shown(after)}"

    return rule


def _entries(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value  # pyright: ignore[reportUnknownVariableType]
    else:
        for item in value or ():
            yield item if isinstance(item, str) else text_of(item)


def _shown(value: Any) -> str:
    if value is None or value == ():
        return "nothing"
    if isinstance(value, tuple):
        return text_of(list(value))  # pyright: ignore[reportUnknownArgumentType]
    return value if isinstance(value, str) else text_of(value)


# --- rules for people ----------------------------------------------------------------------------


def new_members(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Whom a list of references stands for, rather than how it is written."""
    was = {n for each in before or () for n in scene.was.members(each)}
    now = {n for each in after or () for n in scene.now.members(each)}
    yield from (f"@{name} is new" for name in sorted(now - was))


def role_members(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Whoever gets a role, also by a group that it names; and whoever owns the workspace no more."""
    was: Mapping[str, Any] = before or {}
    now: Mapping[str, Any] = after or {}
    for role in dict.fromkeys((*was, *now)):
        had = {name for each in was.get(role) or () for name in scene.was.members(each)}
        has = {name for each in now.get(role) or () for name in scene.now.members(each)}
        yield from (f"{role}: @{name} is new" for name in sorted(has - had))
        if role == "owner":
            yield from (f"owner: @{name} is none any more" for name in sorted(had - has))


def extension_members(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """The same for an extension: without a list of its own, others decide it."""
    if before and not after and scene.after.spec.budget.extension is not None:
        yield f"{_shown(before)} becomes nothing"
    yield from new_members(path, before, after, scene)


def existing_group(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """A new group gives nothing until something names it, and that is a widening of its own."""
    if before is not None:
        yield from new_members(path, before, after, scene)


def another_identity(path: KeyPath, before: Any, after: Any, scene: Scene) -> Iterator[str]:
    """Somebody acts under a name that rights were given to, or by an id that has them elsewhere.

    A new person has no rights here by being named, but on GitHub those of the id that they are said
    to have, and in a mirrored group those of whoever has the id on Slack.
    """
    name, key = path[-2], path[-1]
    if after is None or after == before:
        return
    if name in scene.was.spec.people:
        yield f"{after} acts as @{name}" if key != "email" else f"{after} is @{name}"
    elif key == "github":
        yield f"@{name} acts with the rights of {after}"
    elif key == "slack" and scene.now.spec.access.slack_groups:
        yield f"@{name} is in the mirrored groups of {after}"


def _models(before: Side, after: Side) -> Iterator[Widening]:
    """What is said in a place goes to every model that a run may use."""
    for model in sorted(after.agent.models - before.agent.models):
        yield Widening(path="spec.model_policy", sentence=f"{model} is new: it reads the threads")


# --- which way each value widens -----------------------------------------------------------------

_MATCH: Final[Tree] = {
    "permission": harmless,
    "effect": judged,
    "repos": judged,
    "channels": judged,
    "hosts": judged,
}
_RESOURCE: Final[Tree] = {"visible_in": judged, "requester_rights": judged}
_ALLOWANCE: Final[Mapping[str, Tree]] = {
    "monthly_usd": larger,
    "daily_usd": larger,
    "monthly_tokens": larger,
    "daily_tokens": larger,
}
_AT_A_LIMIT: Final[Mapping[str, Tree]] = {
    "on_exceeded": ranked("block", "ask", "warn", absent="block"),
    "extension": {
        "usd": added,
        "tokens": added,
        "at_most_per_month": added,
        "approvers": extension_members,
    },
}
AGENT: Final[Tree] = {
    "metadata": {"name": harmless, "workspace": changed},
    "spec": {
        "surfaces": more,
        "instructions": harmless,
        "memory": {
            "scope": ranked("channel", "agent", "workspace"),
            "backend": changed,
            "retention_days": larger,
        },
        # The models are compared as a set: see `_models`.
        "model_policy": {
            "default": harmless,
            "routes": harmless,
            "timeouts": {"call_seconds": harmless},
        },
        "tools": Each(
            {
                "name": harmless,
                "type": replaced,
                "permissions": judged,
                "repos": judged,
                "channels": judged,
                "hosts": judged,
                "visible_in": judged,
                "requester_rights": judged,
                "resources": Each(_RESOURCE),
                "server": changed,
                "effects": Each(ranked("destroy", "write", "read", absent="write"), may_go=False),
            }
        ),
        "approvals": {
            "require_for": judged,
            "approvers": new_members,
            "allow": Each(
                {
                    "permission": harmless,
                    "repos": judged,
                    "channels": judged,
                    "hosts": judged,
                    "links": judged,
                }
            ),
            # Which of them matches what, and what it asks for, the probe calls see.
            "rules": Each(
                {
                    "match": _MATCH,
                    "approvers": judged,
                    "quorum": judged,
                    "expires_hours": judged,
                    "not_requester": judged,
                    "may_edit": judged,
                    "escalation": judged,
                }
            ),
            "expires_hours": larger,
        },
        "budget": {
            **_ALLOWANCE,
            "per_task_usd": larger,
            "per_task_tokens": larger,
            **_AT_A_LIMIT,
        },
        "limits": {
            "steps": larger,
            "output_tokens": larger,
            "wall_minutes": larger,
            "concurrency": larger,
        },
        "wake": more,
        "guests": ranked("deny"),
    },
}
WORKSPACE: Final[Tree] = {
    "metadata": {"name": changed},
    "spec": {
        "people": Each(
            {
                "slack": another_identity,
                "github": another_identity,
                "email": another_identity,
                "login": another_identity,
            }
        ),
        "groups": Each(existing_group),
        "roles": role_members,
        "solo_mode": allowed,
        "asks": {"per_run": larger, "per_approver": larger},
        "limits": {"concurrency": larger},
        "budget": {
            **_ALLOWANCE,
            "per_place": _ALLOWANCE,
            "per_person": _ALLOWANCE,
            **_AT_A_LIMIT,
        },
        "integrations": {"github": {"repos": more}, "slack": {"team": changed}},
        "prices": Each(
            {
                "input_per_million": smaller,
                "output_per_million": smaller,
                "cached_per_million": smaller,
                "max_output_tokens": larger,
                "context_window": larger,
            },
            may_go=False,
        ),
        "retention": {
            "messages_days": larger,
            "tool_payload_days": larger,
            "memories_days": larger,
        },
        "access": {
            "login": {"groups_claim": changed, "roles": Each(more)},
            # Who is in such a group is said elsewhere, so another one may be anybody.
            "slack_groups": Each(changed),
        },
        # Agents that are not there yet would be held to it too: the probe calls do not see them.
        "policy": {
            "require_for": fewer,
            "rules": Each(
                {
                    "match": Each(changed, may_go=False),
                    "approvers": new_members,
                    "quorum": smaller,
                    "expires_hours": larger,
                    "not_requester": dropped,
                    "may_edit": allowed,
                    "escalation": changed,
                },
                may_go=False,
                may_come=True,
            ),
            "visible_in": shown_at_most,
            "requester_rights": ranked("own", "grant", absent="grant"),
        },
    },
}
