"""What commands that bring manifests have in common: their files, and what became of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from openloop.cli.failures import Exit
from openloop.cli.output import Column, Format, Json, field, say, show_list
from openloop.cli.text import one_line

if TYPE_CHECKING:
    from openloop.cli.manifests import File

APPLIED = (
    field("KIND", "kind"),
    field("NAME", "name"),
    field("REVISION", "revision"),
    Column(title="RESULT", text=lambda each: result(each)),
    Column(title="CHANGE", text=lambda each: each.get("change_id") or "", wide=True),
)
files_option = click.option(
    "-f",
    "--file",
    "paths",
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
    multiple=True,
    required=True,
    metavar="FILE|DIR",
    help="A manifest, a folder of them, or - for standard input. Repeatable.",
)


def show_applied(answer: Json, output: Format) -> int:
    """What became of each manifest, and what of it cannot work yet; the exit status."""
    rows: list[Json] = answer["results"]
    show_list(
        answer,
        rows,
        APPLIED,
        output=output,
        name=lambda each: f"{each['kind'].lower()}/{each['name']}",
        nothing="Nothing was applied.",
    )
    if output in ("table", "wide"):
        for each in rows:
            for part in each["inactive"]:
                told = f"{each['name']}: {part['part']} inactive: {part['reason']}"
                say(one_line(told))
    waiting = [each for each in rows if each.get("change_id")]
    for each in waiting:
        for widening in each["widenings"]:
            say(one_line(f"{each['name']}: {widening['path']} widens: {widening['sentence']}"))
    for change in dict.fromkeys(each["change_id"] for each in waiting):
        say(f"Waits for an approval: openloop changes approve {change}")
    return Exit.DENIED if waiting else Exit.OK


def result(each: Json) -> str:
    """What became of one manifest."""
    if each.get("change_id"):
        return "pending"
    return "applied" if each["changed"] else "unchanged"


def sent(files: tuple[File, ...]) -> Json:
    """Files as the API takes them."""
    return {"files": [{"name": file.name, "text": file.text} for file in files]}
