"""`openloop agents diff | history | rollback`: what was in force, is, and could be again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from openloop.cli.applying import files_option, sent, show_applied
from openloop.cli.client import by_name, connect
from openloop.cli.failures import Exit, LocalFailure, exit_of, tell
from openloop.cli.output import Column, Format, Json, field, output_option, say, show_list
from openloop.cli.text import age, one_line, when
from openloop.domain.errors import OpenLoopError

HISTORY: Final = (
    field("REVISION", "number"),
    Column(title="AGE", text=lambda revision: age(revision["applied_at"])),
    field("APPLIED BY", "applied_by"),
    field("ORIGIN", "origin"),
    field("DIGEST", "digest"),
    Column(title="APPLIED", text=lambda revision: when(revision["applied_at"]), wide=True),
    Column(title="CHANGE", text=lambda revision: revision["change_id"] or "", wide=True),
)
_SIGNS: Final = {"wanted": "~", "elsewhere": "<", "both": "=", "conflict": "!"}
_LEGEND: Final = "~ these files change it, < somebody else did, = both did alike, ! both did"


@click.command("diff")
@files_option
@click.option(
    "--origin",
    default="cli",
    show_default=True,
    metavar="NAME",
    help="Whose last apply it is compared with too.",
)
@output_option
def diff(paths: tuple[Path, ...], origin: str, output: Format) -> int:
    """Compare manifests with what is in force.

    And with what was last applied from here. Exit status 0 where nothing would change, 1 where
    something would, 8 where the comparison failed.
    """
    try:
        return _diff(paths, origin, output)
    except (OpenLoopError, LocalFailure) as error:
        if exit_of(error) is not Exit.FAILURE:
            raise
        tell(error, as_json=output == "json")
        return Exit.NOT_COMPARED


def _diff(paths: tuple[Path, ...], origin: str, output: Format) -> int:
    from openloop.cli import planning  # noqa: PLC0415  # after what is asked
    from openloop.cli.manifests import read_files  # noqa: PLC0415  # only where files are read

    body = {**sent(read_files(*paths)), "origin": origin}
    answer = connect().post("/api/v1/manifests/diff", body)
    documents: list[Json] = answer["documents"]
    rows = [
        {**value, "name": planning.title(document)}
        for document in documents
        for value in document["values"]
    ]
    columns = (
        Column(title="", text=lambda row: _SIGNS[row["changed"]]),
        field("MANIFEST", "name"),
        field("PATH", "path"),
        Column(title="LIVE", text=lambda row: _text(row["live"])),
        Column(title="WANTED", text=lambda row: _text(row["wanted"])),
        Column(title="LAST APPLIED", text=lambda row: _text(row["last"])),
    )
    show_list(
        answer,
        rows,
        columns,
        output=output,
        name=lambda row: f"{row['name']} {row['path']}",
        nothing="Nothing differs.",
    )
    new = [document for document in documents if document["live_revision"] is None]
    for document in new:
        say(one_line(f"{planning.title(document)} is not in force yet"))
    if rows and output in ("table", "wide"):
        say(_LEGEND)
    return Exit.OK if all(document["same"] for document in documents) else Exit.FAILURE


def _text(value: object) -> str:
    from openloop.cli import planning  # noqa: PLC0415  # after what is asked

    return "" if value is None else planning.shown(value)


@click.command("history")
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@output_option
def history(name: str | None, limit: int, output: Format) -> None:
    """List the revisions of an agent, the newest first.

    Without NAME, those of the Workspace manifest.
    """
    path = "/api/v1/workspace/revisions"
    if name is not None:
        path = f"/api/v1/agents/{by_name('agent', name)}/revisions"
    answer = connect().get(path, limit=limit)
    show_list(
        answer,
        answer["items"],
        HISTORY,
        output=output,
        name=lambda revision: f"revision/{revision['number']}",
        nothing="There is no revision.",
    )


@click.command("rollback")
@click.argument("name", required=False)
@click.option("--workspace", is_flag=True, help="The Workspace manifest, not an agent.")
@click.option(
    "--to",
    "number",
    type=click.IntRange(min=1),
    metavar="REVISION",
    help="Which revision. Default: the one before the live one.",
)
@output_option
def rollback(name: str | None, number: int | None, output: Format, *, workspace: bool) -> int:
    """Apply an earlier revision again.

    One that widens rights waits for somebody else's approval.
    """
    if workspace == (name is not None):
        raise click.UsageError("Name an agent, or say --workspace")
    path = "/api/v1/workspace/rollback"
    if name is not None:
        path = f"/api/v1/agents/{by_name('agent', name)}/rollback"
    return show_applied(connect().post(path, {} if number is None else {"number": number}), output)
