"""`openloop memory`: what agents remember."""

from __future__ import annotations

import click

from openloop.cli.client import by_id, connect
from openloop.cli.output import Column, Format, field, output_option, say, show_list
from openloop.cli.runs import limit_option, who
from openloop.cli.text import age

MEMORIES = (
    field("ID", "id"),
    field("KIND", "kind"),
    field("TEXT", "text"),
    Column(title="BY", text=lambda memory: who(memory["author"])),
    Column(title="AGE", text=lambda memory: age(memory["effective_at"])),
    field("CONFIDENCE", "confidence"),
    Column(title="SCOPE", text=lambda each: f"{each['scope']} {each['scope_id']}", wide=True),
    field("SOURCE", "source_link", wide=True),
)


@click.group()
def memory() -> None:
    """See, search and forget what agents remember."""


@memory.command("get")
@click.option("--cursor", metavar="CURSOR", help="Go on after a page: its next_cursor.")
@limit_option
@output_option
def get(cursor: str | None, limit: int, output: Format) -> None:
    """List the newest memories."""
    _show(None, cursor, limit, output)


@memory.command("search")
@click.argument("words", nargs=-1, required=True)
@limit_option
@output_option
def search(words: tuple[str, ...], limit: int, output: Format) -> None:
    """List the memories that have all these words."""
    _show(" ".join(words), None, limit, output)


def _show(words: str | None, cursor: str | None, limit: int, output: Format) -> None:
    answer = connect().get("/api/v1/memories", q=words, limit=limit, cursor=cursor)
    show_list(
        answer,
        answer["items"],
        MEMORIES,
        output=output,
        name=lambda each: f"memory/{each['id']}",
        nothing="Nothing of the kind is remembered that you may read.",
    )


@memory.command("forget")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def forget(ids: tuple[str, ...]) -> None:
    """Take memories back: they are not recalled any more."""
    client = connect()
    for each in ids:
        client.delete(f"/api/v1/memories/{by_id('memory', each)}")
        say(f"forgotten: {each}")
