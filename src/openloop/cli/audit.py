"""`openloop audit`: who did what, and the proof that nobody has changed it since."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openloop.cli.client import by_id, connect
from openloop.cli.output import Column, Format, field, output_option, say, show_list, show_one
from openloop.cli.runs import limit_option
from openloop.cli.text import when
from openloop.cli.wording import who

if TYPE_CHECKING:
    from openloop.cli.output import Json

EVENTS = (
    Column(title="AT", text=lambda event: when(event["at"])),
    field("KIND", "kind"),
    Column(title="BY", text=lambda event: who(event["actor"])),
    Column(title="DETAIL", text=lambda event: json.dumps(event["detail"], ensure_ascii=False)),
    field("ID", "id", wide=True),
    field("SUBJECT", "subject", wide=True),
    field("RUN", "run_id", wide=True),
)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """See the record of every change of state, and verify it."""


@audit.command("get")
@click.option("--run", metavar="ID", help="Only events of one run.")
@click.option("--kind", metavar="KIND", help="A kind (run.queued), or how it begins (approval.).")
@click.option("--cursor", metavar="CURSOR", help="Go on after a page: its next_cursor.")
@limit_option
@output_option
def get(run: str | None, kind: str | None, cursor: str | None, limit: int, output: Format) -> None:
    """List the newest events."""
    answer = connect().get(
        "/api/v1/audit",
        run=by_id("run", run) if run else None,
        kind=kind,
        limit=limit,
        cursor=cursor,
    )
    show_list(
        answer,
        answer["items"],
        EVENTS,
        output=output,
        name=lambda event: f"audit/{event['id']}",
        nothing="No such event is on record that you may read.",
    )


@audit.command("status")
@output_option
def status(output: Format) -> None:
    """Show how far the record is sealed, signed, and delivered."""
    answer = connect().get("/api/v1/audit/status")
    last = answer["checkpoint"]
    lines = [
        ("Sealed", f"up to link {answer['sealed']}"),
        (
            "Waiting",
            f"{answer['waiting']} events since {when(answer['waiting_since'])}"
            if answer["waiting"]
            else "",
        ),
        (
            "Checkpoint",
            f"{last['number']}, up to link {last['seq']}, {when(last['at'])}"
            if last
            else "none yet",
        ),
        ("Delivered", "\n".join(_destination(each) for each in answer["destinations"])),
    ]
    show_one(answer, lines, output=output, name="audit/status")


def _destination(place: Json) -> str:
    if place["failing_since"]:
        since = when(place["failing_since"])
        return f"{place['name']}: FAILING since {since}, has {place['delivered']}: {place['error']}"
    return f"{place['name']}: has {place['delivered']}"


@audit.command("export")
@click.option(
    "-f",
    "--format",
    "kind",
    type=click.Choice(("ndjson", "csv")),
    default="ndjson",
    show_default=True,
)
@click.option(
    "--to",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to a file; one that is there is gone on with.",
)
@click.option("--after", type=click.IntRange(min=0), default=0, help="Begin after this link.")
def export(kind: str, file: Path | None, after: int) -> None:
    """Write the sealed record, line by line.

    `audit verify --export` reads NDJSON; CSV is for people.
    """
    from openloop.cli import exporting  # noqa: PLC0415  # --help imports less

    exporting.export(connect(), "csv" if kind == "csv" else "ndjson", file, after)


@audit.command("verify")
@click.option("--export", "file", type=_FILE, metavar="FILE", help="An export: no server is asked.")
@click.option("--bundle", type=_FILE, metavar="FILE", help="What `runs explain` wrote of one run.")
@click.option(
    "--checkpoints",
    "places",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="A folder or file of checkpoints that were kept elsewhere; may be given more than once.",
)
@click.option(
    "--key",
    "pins",
    multiple=True,
    metavar="ID",
    help="The id of a signing key that you have compared; may be given more than once.",
)
@output_option
def verify(
    file: Path | None,
    bundle: Path | None,
    places: tuple[Path, ...],
    pins: tuple[str, ...],
    output: Format,
) -> int:
    """Verify that the record is what was sealed. Nothing may be missing at its end, either.

    Without --export or --bundle it is the server's record, with the effects that it tells of. The
    exit status is 1 where something is found.
    """
    from openloop.cli import auditing  # noqa: PLC0415  # --help imports no cryptography

    if bundle is not None:
        return auditing.verify_bundle_file(bundle, pins, output=output)
    if file is not None:
        return auditing.verify_file(file, places, pins, output=output)
    return auditing.verify_server(connect(), places, pins, output=output)


@audit.command("erase")
@click.option("--principal", metavar="NAME", help="A person or service of the workspace.")
@click.option(
    "--external-id", "external_ids", multiple=True, metavar="ID", help="Their id on a surface."
)
@click.option("--event", "events", multiple=True, type=int, metavar="ID", help="A single event.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def erase(
    principal: str | None,
    external_ids: tuple[str, ...],
    events: tuple[int, ...],
    output: Format,
    *,
    yes: bool,
) -> None:
    """Erase names and texts of a person from the record, for ever.

    What happened stays on record, and the chain still holds: it has only salted hashes of them.
    """
    if not yes:
        click.confirm("This cannot be taken back. Erase?", abort=True, err=True)
    body = {"principal": principal, "external_ids": external_ids, "events": events}
    answer = connect().post("/api/v1/audit/erase", body)
    lines = [("Erased", f"the personal text of {answer['events']} events")]
    show_one(answer, lines, output=output, name=f"erased/{answer['events']}")


@audit.command("rotate-key")
def rotate_key() -> None:
    """Sign checkpoints with a new key, which the old one introduces.

    On the machine that has the signing key; it needs the database, and no server.
    """
    from openloop.cli import local_audit  # noqa: PLC0415  # --help imports no psycopg

    key, rotated = local_audit.rotate_key()
    say(f"Key {key} signs from now on; it was introduced in {rotated} workspaces.")
    click.echo(key)
