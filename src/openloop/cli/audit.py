"""`openloop audit`: who did what."""

from __future__ import annotations

import json

import click

from openloop.cli.client import connect
from openloop.cli.output import Column, Format, field, output_option, show_list
from openloop.cli.runs import limit_option, who
from openloop.cli.text import when

EVENTS = (
    Column(title="AT", text=lambda event: when(event["at"])),
    field("KIND", "kind"),
    Column(title="BY", text=lambda event: who(event["actor"])),
    Column(title="DETAIL", text=lambda event: json.dumps(event["detail"], ensure_ascii=False)),
    field("ID", "id", wide=True),
    field("SUBJECT", "subject", wide=True),
    field("RUN", "run_id", wide=True),
)


@click.group()
def audit() -> None:
    """See the record of every change of state."""


@audit.command("get")
@click.option("--run", metavar="ID", help="Only events of one run.")
@click.option("--kind", metavar="KIND", help="A kind (run.queued), or how it begins (approval.).")
@click.option("--cursor", metavar="CURSOR", help="Go on after a page: its next_cursor.")
@limit_option
@output_option
def get(run: str | None, kind: str | None, cursor: str | None, limit: int, output: Format) -> None:
    """List the newest events."""
    answer = connect().get("/api/v1/audit", run=run, kind=kind, limit=limit, cursor=cursor)
    show_list(
        answer,
        answer["items"],
        EVENTS,
        output=output,
        name=lambda event: f"audit/{event['id']}",
        nothing="No such event is on record.",
    )
