"""Who may do what where, all of it: `python -m tests.domain.truth_table` writes the table anew.

Each line is a tool, somebody who asks, and what GitHub says of them; each column a class of place.
The table is read by people, and compared with the policy by `test_truth_table`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from openloop.domain.audience import PlaceClass
from openloop.domain.facts import Access, Answered, Requester, RunFacts
from openloop.domain.policy import Allow, Call, Deny, Hold, Verdict, judge
from openloop.domain.principal import Role
from openloop.domain.tool import Effect
from tests import make

if TYPE_CHECKING:
    from openloop.domain.surface import PersonKind

PATH = Path(__file__).with_name("truth_table.txt")
PERSON = "#4711"
AGENT = make.agent_manifest(
    {
        "tools": [
            {
                "name": "github",
                "type": "native",
                "permissions": ["issues:write", "issues:destroy", "pulls:read"],
                "repos": ["acme/platform", "acme/website", "acme/payroll", "acme/vault"],
                "resources": {
                    "acme/website": {"visible_in": "public"},
                    "acme/payroll": {"visible_in": "private"},
                    "acme/vault": {"requester_rights": "own"},
                },
            }
        ],
        "approvals": {
            "require_for": ["github.pulls:read"],
            "approvers": ["@maintainers"],
            "allow": [{"permission": "github.issues:write", "repos": ["acme/website"]}],
        },
    }
)
WORKSPACE = make.workspace_manifest()


def _call(permission: str, resource: str, effect: Effect = Effect.READ) -> Call:
    return Call(toolset="github", permission=permission, effect=effect, resource=resource)


CALLS: dict[str, Call] = {
    "read internal": _call("issues:read", "acme/platform"),
    "read public": _call("issues:read", "acme/website"),
    "read private": _call("issues:read", "acme/payroll"),
    "read own rights": _call("issues:read", "acme/vault"),
    "read held": _call("pulls:read", "acme/platform"),
    "read elsewhere": _call("issues:read", "acme/other"),
    "write held": _call("issues:write", "acme/platform", Effect.WRITE),
    "write own rights": _call("issues:write", "acme/vault", Effect.WRITE),
    "write standing": _call("issues:write", "acme/website", Effect.WRITE),
    "destroy": _call("issues:destroy", "acme/platform", Effect.DESTROY),
    "note": Call(toolset="memory", permission="memory:note", effect=Effect.NOTE),
}
PEOPLE: dict[str, tuple[PersonKind, tuple[Role, ...]]] = {
    "member": ("member", ()),
    **{str(role): ("member", (role,)) for role in Role},
    "guest": ("guest", ()),
    "guest owner": ("guest", (Role.OWNER,)),
    "external": ("external", ()),
    "bot": ("bot", ()),
    "deactivated": ("deactivated", (Role.OWNER,)),
    "unknown": ("unknown", ()),
}
LINKS: dict[str, tuple[Access, ...] | None] = {
    "unlinked": None,
    "no rights": (),
    "may read": ("read",),
    "may write": ("read", "write"),
}
PLACES: dict[str, PlaceClass | None] = {**{str(each): each for each in PlaceClass}, "unknown": None}
SURFACES = ("slack", "github")
LETTERS: dict[type[Verdict], str] = {Allow: "allow", Hold: "hold", Deny: "-"}


def requester(person: str, link: str, *, service: str = "github") -> Requester:
    """Somebody who asks; everybody has another name and id."""
    kind, roles = PEOPLE[person]
    links = {} if LINKS[link] is None else {service: _id(person, link)}
    return Requester(name=f"{person}, {link}", kind=kind, roles=roles, links=links)


def _id(person: str, link: str) -> str:
    return f"{PERSON}-{person}-{link}"


def answered(person: str, link: str, call: Call) -> set[Answered]:
    """What GitHub says of that person about the repository of a call."""
    return {
        Answered(
            service="github",
            person=_id(person, link),
            resource=call.resource or "",
            access=access,
        )
        for access in LINKS[link] or ()
    }


def facts(asking: list[tuple[str, str]], call: Call, place: str, surface: str) -> RunFacts:
    """A run of these people in a place."""
    yes = [answered(person, link, call) for person, link in asking]
    return RunFacts(
        requesters=tuple(requester(person, link) for person, link in asking),
        surface=surface,
        place=PLACES[place],
        answered=frozenset[Answered]().union(*yes),
    )


def verdict(call: str, asking: list[tuple[str, str]], place: str, surface: str) -> Verdict:
    """What the policy says."""
    looked_at = CALLS[call]
    return judge(looked_at, AGENT, WORKSPACE, facts(asking, looked_at, place, surface))


def lines() -> Iterator[str]:
    """The table."""
    yield "# tool | who asks | GitHub says of them | surface |" + "|".join(
        f" {place:9}" for place in PLACES
    )
    for call, person, link, surface in product(CALLS, PEOPLE, LINKS, SURFACES):
        said = (verdict(call, [(person, link)], place, surface) for place in PLACES)
        cells = "|".join(f" {LETTERS[type(each)]:9}" for each in said)
        yield f"{call:16} | {person:11} | {link:9} | {surface:6} |{cells}".rstrip()


if __name__ == "__main__":
    PATH.write_text("\n".join(lines()) + "\n")
    sys.stdout.write(f"{PATH}\n")
