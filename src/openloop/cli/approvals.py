"""`openloop approvals`: held calls, and deciding them."""

from __future__ import annotations

import json
from typing import Any, Final

import click

from openloop.cli.client import Client, by_id, connect
from openloop.cli.output import Column, Format, Json, field, output_option, say, show_list, show_one
from openloop.cli.runs import limit_option, who
from openloop.cli.text import age, when
from openloop.domain.errors import Conflict, Edited, Forbidden

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
    field("PARKED", "parked", wide=True),
    field("RUN", "run_id", wide=True),
)
A_VOTE_IS_A_PERSONS: Final = (
    "A vote is a person's who has the role approver, and the token has to be their own: "
    "openloop tokens create --local --keep --role operator --principal NAME"
)
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; it is recorded.")
why_option = click.option("--reason", required=True, metavar="TEXT", help="Why; it is recorded.")
hash_option = click.option(
    "--hash",
    "seen",
    metavar="HASH",
    help="What you have read; needed where somebody has edited it.",
)


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
    answer = connect().get(
        "/api/v1/approvals",
        state=state,
        run=by_id("run", run) if run else None,
        limit=limit,
        cursor=cursor,
    )
    show_list(
        answer,
        answer["items"],
        APPROVALS,
        output=output,
        name=lambda approval: f"approval/{approval['id']}",
        nothing="Nothing that you may read is waiting for anybody.",
    )


@approvals.command("approve")
@click.argument("approval_id", metavar="ID")
@reason_option
@hash_option
@output_option
def approve(approval_id: str, reason: str, seen: str | None, output: Format) -> None:
    """Let a held call run, exactly as it is shown."""
    _vote(approval_id, "approve", reason, output, seen)


@approvals.command("reject")
@click.argument("approval_id", metavar="ID")
@reason_option
@hash_option
@output_option
def reject(approval_id: str, reason: str, seen: str | None, output: Format) -> None:
    """Refuse a held call; its run goes on without it."""
    _vote(approval_id, "deny", reason, output, seen)


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


@approvals.command("edit")
@click.argument("approval_id", metavar="ID")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument; VALUE is JSON, or a text where it is none.",
)
@click.option("--remove", multiple=True, metavar="NAME", help="An argument to leave out.")
@click.option("--hash", "seen", metavar="HASH", help="What you have read; else what is there now.")
@reason_option
@output_option
def edit(
    approval_id: str,
    changes: tuple[str, ...],
    remove: tuple[str, ...],
    seen: str | None,
    reason: str,
    output: Format,
) -> None:
    """Change what a held call would do. Every vote is void, and yours does not count."""
    client = connect()
    path = f"/api/v1/approvals/{by_id('approval', approval_id)}"
    approval = client.get(path)
    arguments = {name: value for name, value in approval["arguments"].items() if name not in remove}
    arguments |= dict(_argument(change) for change in changes)
    new = {"arguments": arguments, "hash": seen or approval["hash"], "reason": reason}
    _show(client.post(f"{path}/edit", new), output)


@approvals.command("withdraw")
@click.argument("approval_id", metavar="ID")
@why_option
@output_option
def withdraw(approval_id: str, reason: str, output: Format) -> None:
    """Take back what a run has asked for; it goes on without it."""
    path = f"/api/v1/approvals/{by_id('approval', approval_id)}/withdraw"
    _list(connect().post(path, {"reason": reason}), output)


@approvals.command("break-glass")
@click.argument("approval_id", metavar="ID")
@why_option
@output_option
def break_glass(approval_id: str, reason: str, output: Format) -> None:
    """Let a held call run without its approvers, in an emergency. Owners only, by their own click.

    This writes the reason down; the button to confirm it is in the thread where the call was asked
    about. It is good for an hour, and every other owner is told.
    """
    path = f"/api/v1/approvals/{by_id('approval', approval_id)}/break-glass"
    answer = connect().post(path, {"reason": reason})
    if answer["state"] == "pending":
        say("Now confirm it in the thread: press the button there within the hour.")
    _list(answer, output)


def _argument(change: str) -> tuple[str, Any]:
    name, equals, value = change.partition("=")
    if not (name and equals):
        message = f"{change!r} is not NAME=VALUE"
        raise click.BadParameter(message, param_hint="--set")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def vote(
    client: Client, approval_id: str, decision: str, reason: str = "", seen: str | None = None
) -> Json:
    """Decide an approval; a token that may not vote is told what kind it takes."""
    path = f"/api/v1/approvals/{by_id('approval', approval_id)}/vote"
    body = {"decision": decision, "reason": reason, **({"hash": seen} if seen else {})}
    try:
        return client.post(path, body)
    except Forbidden as error:
        if error.code == Forbidden.code:
            say(A_VOTE_IS_A_PERSONS)
        raise
    except Conflict as error:
        if error.code == Edited.code:
            say(f"Read it, and decide with its hash: openloop approvals get {approval_id}")
        raise


def _vote(
    approval_id: str, decision: str, reason: str, output: Format, seen: str | None = None
) -> None:
    _list(vote(connect(), approval_id, decision, reason, seen), output)


def _list(decided: Json, output: Format) -> None:
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
        ("Needs", "; ".join(_demand(each) for each in approval["demands"])),
        ("Votes", ", ".join(_given(approval))),
        ("Rule", approval["rule"]),
        ("Edited by", approval["edited_by_name"]),
        ("Parked", approval["parked"] and f"no card asks for it ({approval['parked']})"),
        ("Hash", approval["hash"]),
        ("Expires", when(approval["expires_at"])),
        ("Decided", _decision(approval)),
        ("Run", approval["run_id"]),
    ]
    show_one(approval, lines, output=output, name=f"approval/{approval['id']}")


def _demand(demand: Json) -> str:
    return f"{demand['quorum']} of {', '.join(demand['approvers'])}"


def _given(approval: Json) -> list[str]:
    """The votes that are for what would run now."""
    now = [
        each
        for each in approval["votes"]
        if (each["round"], each["attempt"]) == (approval["round"], approval["attempt"])
    ]
    return [f"{each['name']}: {each['decision']}" for each in now]


def _decision(approval: Json) -> str:
    if not approval["decided_at"]:
        return ""
    why = f": {approval['reason']}" if approval["reason"] else ""
    return f"by {approval['decided_by_name']}, {when(approval['decided_at'])}{why}"
