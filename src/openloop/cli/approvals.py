"""`openloop approvals`: held calls, and deciding them."""

from __future__ import annotations

import json
from typing import Final

import click

from openloop.cli.client import Client, by_id, connect
from openloop.cli.output import Column, Format, Json, field, output_option, say, show_list, show_one
from openloop.cli.runs import limit_option, who
from openloop.cli.text import age, when
from openloop.domain.errors import Forbidden

STATES: Final = (
    "pending",
    "approved",
    "denied",
    "expired",
    "withdrawn",
    "stale",
    "executing",
    "executed",
    "failed",
    "unknown",
)
APPROVALS = (
    field("ID", "id"),
    field("STATE", "state"),
    field("WHAT", "card", "title"),
    Column(title="ASKED BY", text=lambda approval: who(approval["requested_by"])),
    Column(title="AGE", text=lambda approval: age(approval["asked_at"])),
    field("DECIDED BY", "decided_by_name"),
    Column(title="APPROVERS", text=lambda each: ", ".join(each["approvers"]), wide=True),
    Column(title="EXPIRES", text=lambda each: when(each["expires_at"]), wide=True),
    field("RUN", "run_id", wide=True),
)
A_VOTE_IS_A_PERSONS: Final = (
    "A vote is a person's, so the token has to be one's own: "
    "openloop tokens create --local --keep --role operator --principal NAME"
)
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; it is recorded.")


@click.group()
def approvals() -> None:
    """See held calls and decide them."""


@approvals.command("get")
@click.argument("approval_id", required=False, metavar="[ID]")
@click.option("--state", type=click.Choice(STATES), help="Only approvals in this state.")
@click.option("--run", metavar="ID", help="Only those of one run.")
@click.option("--cursor", metavar="CURSOR", help="Go on after a page: its next_cursor.")
@limit_option
@output_option
def get(
    approval_id: str | None,
    state: str | None,
    run: str | None,
    cursor: str | None,
    limit: int,
    output: Format,
) -> None:
    """List the newest approvals, or show exactly what one would run."""
    if approval_id is not None:
        _show(connect().get(f"/api/v1/approvals/{by_id('approval', approval_id)}"), output)
        return
    answer = connect().get("/api/v1/approvals", state=state, run=run, limit=limit, cursor=cursor)
    show_list(
        answer,
        answer["items"],
        APPROVALS,
        output=output,
        name=lambda approval: f"approval/{approval['id']}",
        nothing="Nothing is waiting for anybody.",
    )


@approvals.command("approve")
@click.argument("approval_id", metavar="ID")
@reason_option
@output_option
def approve(approval_id: str, reason: str, output: Format) -> None:
    """Let a held call run, exactly as it is shown."""
    _vote(approval_id, "approve", reason, output)


@approvals.command("reject")
@click.argument("approval_id", metavar="ID")
@reason_option
@output_option
def reject(approval_id: str, reason: str, output: Format) -> None:
    """Refuse a held call; its run goes on without it."""
    _vote(approval_id, "deny", reason, output)


@approvals.command("retry")
@click.argument("approval_id", metavar="ID")
@reason_option
@output_option
def retry(approval_id: str, reason: str, output: Format) -> None:
    """Make a call again of which it is unknown whether it happened."""
    _vote(approval_id, "retry", reason, output)


@approvals.command("happened")
@click.argument("approval_id", metavar="ID")
@reason_option
@output_option
def happened(approval_id: str, reason: str, output: Format) -> None:
    """Say that a call happened of which it was unknown."""
    _vote(approval_id, "happened", reason, output)


def vote(client: Client, approval_id: str, decision: str, reason: str = "") -> Json:
    """Decide an approval; a token that may not vote is told what kind it takes."""
    path = f"/api/v1/approvals/{by_id('approval', approval_id)}/vote"
    try:
        return client.post(path, {"decision": decision, "reason": reason})
    except Forbidden as error:
        if error.code == Forbidden.code:
            say(A_VOTE_IS_A_PERSONS)
        raise


def _vote(approval_id: str, decision: str, reason: str, output: Format) -> None:
    decided = vote(connect(), approval_id, decision, reason)
    show_list(
        decided,
        [decided],
        APPROVALS,
        output=output,
        name=lambda approval: f"approval/{approval['id']}",
        nothing="",
    )


def _show(approval: Json, output: Format) -> None:
    card = approval["card"]
    lines = [
        ("Approval", approval["id"]),
        ("State", approval["state"]),
        ("What", card["title"]),
        *((each["label"], each["value"]) for each in card["fields"]),
        ("Text", card["body"]),
        ("Model says", card["reason"]),
        ("Notes", "\n".join(card["notes"])),
        ("Runs", f"{approval['tool']} {json.dumps(approval['arguments'], ensure_ascii=False)}"),
        ("Asked by", f"{who(approval['requested_by'])}, {when(approval['asked_at'])}"),
        ("Approvers", ", ".join(approval["approvers"])),
        ("Rule", approval["rule"]),
        ("Expires", when(approval["expires_at"])),
        ("Decided", _decision(approval)),
        ("Run", approval["run_id"]),
    ]
    show_one(approval, lines, output=output, name=f"approval/{approval['id']}")


def _decision(approval: Json) -> str:
    if not approval["decided_at"]:
        return ""
    why = f": {approval['reason']}" if approval["reason"] else ""
    return f"by {approval['decided_by_name']}, {when(approval['decided_at'])}{why}"
