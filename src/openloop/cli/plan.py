"""`openloop plan`: what manifests would change, and what that would have changed so far."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openloop.cli.applying import files_option, sent
from openloop.cli.client import connect
from openloop.cli.failures import Exit
from openloop.cli.output import Format, Json, output_option, say, show_answer

if TYPE_CHECKING:
    from openloop.cli.client import Client

_LAST = re.compile(r"last:([1-9][0-9]{0,3})([hd])")
SIGNS = 12
_KINDS = ("allowed", "held", "denied")


def _hours(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    found = _LAST.fullmatch(text)
    if found is None:
        raise click.BadParameter("write last:30d or last:12h")
    return int(found[1]) * (24 if found[2] == "d" else 1)


@click.command()
@files_option
@click.option(
    "--against",
    metavar="last:30d",
    callback=_hours,
    help="Decide every recorded call of this time again, under the new policy.",
)
@click.option(
    "--acknowledge",
    metavar="PLAN",
    help="Say that what it widens and newly allows is meant; PLAN is what it asked for.",
)
@click.option("--markdown", is_flag=True, help="A report for a pull request.")
@output_option
def plan(
    paths: tuple[Path, ...],
    against: int | None,
    acknowledge: str | None,
    output: Format,
    *,
    markdown: bool,
) -> int:
    """Show what manifests would change.

    And how that widens rights. Nothing is changed, and a token that may only look is enough. Exit
    status 5 where something widens rights, or was newly allowed, that nobody has acknowledged.
    """
    from openloop.cli import planning  # noqa: PLC0415  # what is shown comes after what is asked
    from openloop.cli.manifests import read_files  # noqa: PLC0415  # only where files are read

    files, client = read_files(*paths), connect()
    planned: Json = client.post("/api/v1/manifests/plan", sent(files))
    dry_run = None if against is None else decide_again(client, sent(files), against)
    mark = fingerprint(planned, dry_run)
    if markdown:
        click.echo("\n".join(planning.markdown(planned, dry_run)))
    elif output in ("json", "yaml"):
        show_answer({"plan": planned, "dry_run": dry_run, "acknowledge": mark[:SIGNS]}, output)
    elif output == "name":
        for document in planned["documents"]:
            click.echo(f"{document['kind'].lower()}/{document['name']}")
    else:
        click.echo("\n".join(planning.lines(planned)))
        if dry_run is not None:
            click.echo("\n".join([planning.summary(dry_run), *planning.dry_run_lines(dry_run)]))
    if not planning.widens(planned) and not (dry_run and dry_run["newly"]["allowed"]):
        return Exit.OK
    if acknowledge is not None and acknowledge == mark[:SIGNS]:
        return Exit.OK
    say(f"This widens rights. Say that you have seen it: --acknowledge {mark[:SIGNS]}")
    return Exit.DENIED


def decide_again(client: Client, body: Json, hours: int) -> Json:
    """Every recorded call of these hours, decided again page by page; nothing is left out."""
    counts = ("runs", "calls", "undecided", "assumed")
    whole: Json = {**dict.fromkeys(counts, 0), "newly": {kind: [] for kind in _KINDS}}
    cursor: str | None = None
    while True:
        page = client.post("/api/v1/manifests/dry_run", {**body, "hours": hours, "cursor": cursor})
        for count in counts:
            whole[count] += page[count]
        for call in page["differing"]:
            whole["newly"][call["planned"]].append(call)
        cursor = page["next_cursor"]
        if cursor is None:
            return whole


def fingerprint(planned: Json, dry_run: Json | None) -> str:
    """What is acknowledged: this very plan, and these very calls that it newly allows."""
    allowed: list[Json] = dry_run["newly"]["allowed"] if dry_run is not None else []
    calls = sorted(f"{call['run_id']}:{call['step']}" for call in allowed)
    covered = json.dumps([planned["digest"], calls])
    return hashlib.sha256(covered.encode()).hexdigest()
