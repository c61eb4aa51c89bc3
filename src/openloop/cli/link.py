"""`openloop link`: saying that you and your id on a surface are the same person."""

from __future__ import annotations

import click

from openloop.cli.client import connect, escape
from openloop.cli.output import say


@click.group()
def link() -> None:
    """Link yourself to your id on a surface, by two one-time codes."""


@link.command("begin")
@click.argument("surface", metavar="SURFACE")
def begin(surface: str) -> None:
    """Print what to say to an agent on SURFACE. It answers you alone with a second code."""
    begun = connect().post("/api/v1/links", {"surface": surface})
    say(f"Say this to an agent on {surface} within {begun['minutes']} minutes:")
    click.echo(begun["say"])
    say("Then: openloop link confirm CODE, with the code that it shows you.")


@link.command("confirm")
@click.argument("code", metavar="CODE")
def confirm(code: str) -> None:
    """Finish with the code that the surface showed you."""
    linked = connect().post("/api/v1/links/confirm", {"code": code})
    say(f"linked: {linked['surface']} {linked['external_id']} is {linked['principal']}")
    if linked["log_in_again"]:
        say(f"Log in again: your login is {linked['principal']}'s from now on.")


@link.command("remove")
@click.argument("surface", metavar="SURFACE")
def remove(surface: str) -> None:
    """Forget the id on SURFACE that you linked. What the manifest says stays."""
    connect().delete(f"/api/v1/links/{escape(surface)}")
    say(f"unlinked: {surface}")
