"""`openloop runs`: what agents do and did."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from openloop.cli.client import Client, by_id, connect
from openloop.cli.output import (
    Column,
    Format,
    Json,
    field,
    json_line,
    output_option,
    say,
    show_list,
    show_one,
)
from openloop.cli.text import age, money, one_line, when
from openloop.cli.wording import step_line, who

STATES: Final = ("queued", "working", "waiting", "done", "failed", "cancelled", "declined")
OPEN: Final = ("queued", "working", "waiting")
RUNS = (
    field("ID", "id"),
    field("AGENT", "agent"),
    field("STATE", "state"),
    field("REQUEST", "request"),
    Column(title="COST", text=lambda run: money(run["cost_usd"])),
    Column(title="AGE", text=lambda run: age(run["queued_at"])),
    Column(title="BY", text=lambda run: who(run["requested_by"]), wide=True),
    field("MODEL", "model", wide=True),
    Column(
        title="TOKENS", text=lambda run: f"{run['input_tokens']}+{run['output_tokens']}", wide=True
    ),
    field("OUTCOME", "outcome", wide=True),
)
limit_option = click.option(
    "--limit",
    type=click.IntRange(1, 200),
    default=50,
    show_default=True,
    help="How many, at most.",
)
_LOOK_SECONDS: Final = 0.5


@click.group()
def runs() -> None:
    """See what agents do and did; stop them."""


@runs.command("get")
@click.argument("run_id", required=False, metavar="[ID]")
@click.option("--state", type=click.Choice(STATES), help="Only runs in this state.")
@click.option("--agent", metavar="NAME", help="Only runs of this agent.")
@click.option("--cursor", metavar="CURSOR", help="Go on after a page: its next_cursor.")
@limit_option
@output_option
def get(
    run_id: str | None,
    state: str | None,
    agent: str | None,
    cursor: str | None,
    limit: int,
    output: Format,
) -> None:
    """List the newest runs, or show one."""
    if run_id is not None:
        _describe(run_id, output)
        return
    answer = connect().get("/api/v1/runs", state=state, agent=agent, limit=limit, cursor=cursor)
    show_list(
        answer,
        answer["items"],
        RUNS,
        output=output,
        name=lambda run: f"run/{run['id']}",
        nothing="No run that you may read: mention an agent, or talk to one with openloop chat AGENT",
    )


@runs.command("describe")
@click.argument("run_id", metavar="ID")
@output_option
def describe(run_id: str, output: Format) -> None:
    """Show a run: who asked, what it did, what it cost."""
    _describe(run_id, output)


def _describe(run_id: str, output: Format) -> None:
    client = connect()
    run = client.get(f"/api/v1/runs/{by_id('run', run_id)}")
    steps: list[Json] = client.get(f"/api/v1/runs/{by_id('run', run_id)}/steps")["items"]
    lines = [
        ("Run", run["id"]),
        ("Agent", run["agent"]),
        ("State", f"{run['state']} {run['error_code']}".strip()),
        *(
            (("Paused", f"{pause['scope']}: {pause['reason']}"),)
            if (pause := run.get("pause"))
            else ()
        ),
        ("In line since", when(run.get("in_line_since"))),
        ("Asked by", f"{who(run['requested_by'])}, {when(run['queued_at'])}"),
        ("Request", run["request"]),
        ("Link", run["request_link"]),
        ("Outcome", run["outcome"]),
        ("Model", f"{run['model']} ({run['input_tokens']} in, {run['output_tokens']} out)"),
        ("Cost", money(run["cost_usd"])),
        ("Started", when(run["started_at"])),
        ("Ended", when(run["ended_at"])),
        ("Approvals", "\n".join(_approval(each) for each in run["approvals"])),
        ("Opened", "\n".join(each["link"] for each in run.get("opened", ()))),
        ("Steps", "\n".join(step_line(step) for step in steps)),
    ]
    show_one({**run, "steps": steps}, lines, output=output, name=f"run/{run['id']}")


@runs.command("logs")
@click.argument("run_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@click.option(
    "-o", "--output", type=click.Choice(("text", "json")), default="text", show_default=True
)
def logs(run_id: str, output: str, *, follow: bool) -> None:
    """Show the steps of a run, one a line, as they end."""
    client = connect()
    seen: dict[int, str] = {}
    while True:
        run = client.get(f"/api/v1/runs/{by_id('run', run_id)}")
        _show_new(client, run_id, seen, output)
        if not follow or run["state"] not in OPEN:
            break
        time.sleep(_LOOK_SECONDS)
    say(f"{run['state']}, {money(run['cost_usd'])}{_why(run)}")


def _show_new(client: Client, run_id: str, seen: dict[int, str], output: str) -> None:
    """Write every step that is new or has moved on."""
    for step in client.get(f"/api/v1/runs/{by_id('run', run_id)}/steps")["items"]:
        if seen.get(step["seq"]) == step["state"]:
            continue
        seen[step["seq"]] = step["state"]
        if output == "json":
            click.echo(json_line(step))
        else:
            click.echo(step_line(step))


def _why(run: Json) -> str:
    return f": {one_line(run['error_code'])}" if run["state"] == "failed" else ""


@runs.command("explain")
@click.argument("run_id", metavar="ID")
@click.option(
    "--to",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the bundle to a file, which `audit verify --bundle` reads.",
)
@output_option
def explain(run_id: str, file: Path | None, output: Format) -> None:
    """Explain a run: who asked, what decided, what it did and cost.

    With -o json it is one bundle that can be verified without the database.
    """
    from openloop.cli import explaining  # noqa: PLC0415  # only this command needs it

    bundle = connect().get(f"/api/v1/runs/{by_id('run', run_id)}/explain")
    explaining.show(bundle, file, output)


@runs.command("cancel")
@click.argument("run_id", metavar="ID")
@output_option
def cancel(run_id: str, output: Format) -> None:
    """Stop a run at its next step; what it has done stays done."""
    run = connect().post(f"/api/v1/runs/{by_id('run', run_id)}/cancel")
    show_list(
        run,
        [run],
        RUNS,
        output=output,
        name=lambda each: f"run/{each['id']}",
        nothing="",
    )


def _approval(approval: Json) -> str:
    return f"{approval['state']}: {one_line(approval['title'])} ({approval['id']})"
