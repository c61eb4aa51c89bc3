"""`openloop people`: who is who, and who has left."""

from __future__ import annotations

import click

from openloop.cli.client import by_name, connect
from openloop.cli.output import Column, Format, Json, field, output_option, say, show_list
from openloop.cli.text import age

PEOPLE = (
    field("NAME", "name"),
    field("KIND", "kind"),
    Column(title="ROLES", text=lambda each: ", ".join(each["roles"])),
    Column(title="ACTIVE", text=lambda each: "yes" if each["active"] else "no"),
    Column(title="IDS", text=lambda each: ids(each)),
)
GROUPS = (
    field("GROUP", "name"),
    field("SURFACE", "surface"),
    field("MIRRORS", "external_id"),
    Column(title="MEMBERS", text=lambda each: str(len(each["members"]))),
    Column(title="ASKED", text=lambda each: age(each["mirrored_at"])),
    Column(title="STALE", text=lambda each: "yes, counts as empty" if each["is_stale"] else "no"),
    field("PROBLEM", "problem", wide=True),
)


@click.group()
def people() -> None:
    """See people, services and groups; say that somebody has left."""


@people.command("list")
@output_option
def list_(output: Format) -> None:
    """List people and services with their ids, also who has left."""
    answer = connect().get("/api/v1/principals")
    show_list(
        answer,
        answer["items"],
        PEOPLE,
        output=output,
        name=lambda each: f"principal/{each['name']}",
        nothing="Nobody is here.",
    )


@people.command("groups")
@output_option
def groups(output: Format) -> None:
    """List the groups that mirror one of a platform."""
    answer = connect().get("/api/v1/groups")
    show_list(
        answer,
        answer["items"],
        GROUPS,
        output=output,
        name=lambda each: f"group/{each['name']}",
        nothing="No group is mirrored.",
    )


@people.command("offboard")
@click.argument("name", metavar="NAME")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is recorded.")
def offboard(name: str, reason: str) -> None:
    """Say that a person has left. Logins and tokens end at once, their asks are withdrawn."""
    path = f"/api/v1/principals/{by_name('principal', name)}/offboard"
    left = connect().post(path, {"reason": reason})
    say(
        f"left: {name}; ended {left['logins']} logins and {left['tokens']} tokens, stopped "
        f"{left['runs']} runs, withdrew {left['approvals']} approvals"
    )


@people.command("restore")
@click.argument("name", metavar="NAME")
def restore(name: str) -> None:
    """Say that a person is back, with the roles of the manifest. Tokens and logins stay ended."""
    connect().post(f"/api/v1/principals/{by_name('principal', name)}/restore")
    say(f"restored: {name}")


def ids(principal: Json) -> str:
    """The ids of a principal elsewhere, in a line."""
    return ", ".join(f"{each['surface']}:{each['external_id']}" for each in principal["identities"])
