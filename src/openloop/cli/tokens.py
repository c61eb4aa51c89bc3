"""`openloop tokens`: who may call the API."""

from __future__ import annotations

from typing import Final

import click

from openloop.cli.client import by_name, connect
from openloop.cli.output import Column, Format, field, output_option, say, show_list
from openloop.cli.text import age, when

ROLES: Final = ("viewer", "operator", "approver", "admin", "owner", "sync")
RIGHTS: Final = ("see", "oversee", "run", "vote", "configure", "audit", "tokens", "erase", "sync")
TOKENS = (
    field("ID", "id"),
    field("NAME", "name"),
    field("PRINCIPAL", "principal"),
    field("ROLE", "role"),
    Column(title="RIGHTS", text=lambda token: ",".join(token["only"] or ("all",))),
    Column(title="AGE", text=lambda token: age(token["created_at"])),
    Column(title="EXPIRES", text=lambda token: when(token["expires_at"])),
    Column(title="LAST USED", text=lambda token: age(token["last_used_at"])),
    Column(title="REVOKED", text=lambda token: when(token["revoked_at"])),
)


def _rights(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """The rights of a list with commas."""
    if value is None:
        return None
    named = tuple(dict.fromkeys(each.strip() for each in value.split(",")))
    if unknown := [each for each in named if each not in RIGHTS]:
        message = f"{', '.join(map(repr, unknown))}: rights are {', '.join(RIGHTS)}"
        raise click.BadParameter(message)
    return named


@click.group()
def tokens() -> None:
    """Make, list and revoke API tokens."""


@tokens.command("create")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option(
    "--only",
    metavar="RIGHT,...",
    callback=_rights,
    help="Carry these rights of the role, and no others. Default: all of them.",
)
@click.option("--name", default="cli", show_default=True, help="What the token is for.")
@click.option(
    "--principal",
    metavar="NAME",
    help="A person of the workspace, or a service, made where it is new. Default: the name.",
)
@click.option("--days", type=click.IntRange(1, 90), default=90, show_default=True)
@click.option("--local", is_flag=True, help="Ask the database, not the server: needs no token.")
@click.option("--keep", is_flag=True, help="With --local: leave it for this command line too.")
def create(
    role: str,
    only: tuple[str, ...] | None,
    name: str,
    principal: str | None,
    days: int,
    *,
    local: bool,
    keep: bool,
) -> None:
    """Make a token and print it: the only time that it is shown."""
    if keep and not local:
        raise click.UsageError("--keep goes with --local")
    if local:
        from openloop.cli import local as here  # noqa: PLC0415  # --help imports no psycopg

        text = here.create_token(
            role=role, only=only, name=name, principal=principal or name, days=days, keep=keep
        )
    else:
        wanted: dict[str, object] = {"role": role, "name": name, "principal": principal or name}
        wanted |= {"days": days} if only is None else {"days": days, "only": only}
        text = connect().post("/api/v1/tokens", wanted)["token"]
    say("This token is shown once. It is good until it expires or is revoked.")
    click.echo(text)


@tokens.command("list")
@output_option
def list_(output: Format) -> None:
    """List the tokens, newest first, also expired and revoked ones."""
    answer = connect().get("/api/v1/tokens")
    show_list(
        answer,
        answer["items"],
        TOKENS,
        output=output,
        name=lambda token: f"token/{token['id']}",
        nothing="There is no token.",
    )


@tokens.command("revoke")
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """End a token at once."""
    connect().delete(f"/api/v1/tokens/{by_name('token', token_id)}")
    say(f"revoked: {token_id}")
