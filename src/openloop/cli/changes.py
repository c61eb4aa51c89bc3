"""`openloop changes`: configuration that widens rights, and waits for somebody else."""

from __future__ import annotations

from typing import Final

import click

from openloop.cli.applying import show_applied
from openloop.cli.client import by_id, connect
from openloop.cli.output import Column, Format, Json, field, output_option, say, show_list, show_one
from openloop.cli.runs import limit_option
from openloop.cli.text import age, when
from openloop.domain.errors import Forbidden

STATES: Final = ("pending", "approved", "rejected", "superseded", "expired", "stale")
CHANGES = (
    field("ID", "id"),
    field("STATE", "state"),
    Column(title="WHAT", text=lambda change: what(change)),
    field("PROPOSED BY", "proposed_by"),
    Column(title="AGE", text=lambda change: age(change["proposed_at"])),
    field("DECIDED BY", "decided_by"),
    field("ORIGIN", "origin", wide=True),
    field("VERSION", "version", wide=True),
    Column(title="EXPIRES", text=lambda change: when(change["expires_at"]), wide=True),
)
NEEDS_A_PERSON: Final = (
    "Somebody else approves it, with a token of their own: "
    "openloop tokens create --local --keep --role admin --principal NAME"
)


@click.group()
def changes() -> None:
    """See and decide changes of the configuration that widen rights."""


@changes.command("get")
@click.argument("change_id", required=False, metavar="[ID]")
@click.option("--state", type=click.Choice(STATES), help="Only changes in this state.")
@click.option("--cursor", metavar="CURSOR", help="Go on after a page: its next_cursor.")
@limit_option
@output_option
def get(
    change_id: str | None, state: str | None, cursor: str | None, limit: int, output: Format
) -> None:
    """List changes, or show exactly what one of them would change."""
    if change_id is not None:
        _show(connect().get(f"/api/v1/changes/{by_id('change', change_id)}"), output)
        return
    answer = connect().get("/api/v1/changes", state=state, limit=limit, cursor=cursor)
    show_list(
        answer,
        answer["items"],
        CHANGES,
        output=output,
        name=lambda change: f"change/{change['id']}",
        nothing="Nothing is waiting for anybody.",
    )


@changes.command("approve")
@click.argument("change_id", metavar="ID")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is recorded.")
@output_option
def approve(change_id: str, reason: str, output: Format) -> None:
    """Agree to a change that somebody else proposed. It is applied as it was shown."""
    try:
        answer = _vote(change_id, "approve", reason)
    except Forbidden as error:
        if error.code in ("own_proposal", "not_a_person"):
            say(NEEDS_A_PERSON)
        raise
    show_applied(answer, output)


@changes.command("reject")
@click.argument("change_id", metavar="ID")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is recorded.")
@output_option
def reject(change_id: str, reason: str, output: Format) -> None:
    """Refuse a change, or take back your own. What is in force stays so."""
    answer = _vote(change_id, "reject", reason)["change"]
    show_list(
        answer,
        [answer],
        CHANGES,
        output=output,
        name=lambda change: f"change/{change['id']}",
        nothing="",
    )


def what(change: Json) -> str:
    """Which manifests it is about."""
    return ", ".join(f"{each['kind']} {each['name']}" for each in change["documents"])


def _vote(change_id: str, decision: str, reason: str) -> Json:
    path = f"/api/v1/changes/{by_id('change', change_id)}/vote"
    return connect().post(path, {"decision": decision, "reason": reason})


def _show(change: Json, output: Format) -> None:
    from openloop.cli import planning  # noqa: PLC0415  # lists do not need it

    decided = (
        f"by {change['decided_by']}, {when(change['decided_at'])}" if change["decided_at"] else ""
    )
    shown = [
        ("Change", change["id"]),
        ("State", change["state"]),
        ("Proposed", f"by {change['proposed_by']}, {when(change['proposed_at'])}"),
        ("From", " ".join((change["origin"], change["version"])).strip()),
        ("Expires", when(change["expires_at"])),
        ("Decided", f"{decided}{': ' if change['reason'] else ''}{change['reason']}"),
        ("Changes", "\n".join(planning.lines(change))),
    ]
    show_one(change, shown, output=output, name=f"change/{change['id']}")
