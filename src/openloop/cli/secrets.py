"""`openloop secrets`: what `secretref://store/NAME` refers to."""

from __future__ import annotations

import sys

import click

from openloop.cli.output import Column, Format, field, output_option, say, show_list
from openloop.cli.text import age

SECRETS = (
    field("NAME", "name"),
    field("VERSION", "version"),
    field("KEY", "key_id"),
    Column(title="AGE", text=lambda secret: age(secret["set_at"])),
    Column(title="SET BY", text=lambda secret: secret["set_by"]["name"]),
)


@click.group()
def secrets() -> None:
    """Keep secrets that settings refer to as secretref://store/NAME.

    They are encrypted in the database of this installation; the key for them is a file beside it.
    These commands need no server, and nobody can read a secret back.
    """


@secrets.command("set")
@click.argument("name")
def set_(name: str) -> None:
    """Keep a secret. The next start of a process that refers to it reads it.

    The value is typed at a prompt, or read from the standard input up to its last line break. It is
    never an argument: those are seen by everybody on the machine.
    """
    from openloop.cli import local_secrets as here  # noqa: PLC0415  # --help imports no psycopg

    version = here.set_secret(name, _value(name))
    say(f"kept: {name}, version {version}; a setting refers to it as secretref://store/{name}")


@secrets.command("list")
@output_option
def list_(output: Format) -> None:
    """List the names of the stored secrets. Their values cannot be shown."""
    from openloop.cli import local_secrets as here  # noqa: PLC0415  # --help imports no psycopg

    rows = here.list_secrets()
    show_list(
        {"items": rows},
        rows,
        SECRETS,
        output=output,
        name=lambda secret: f"secret/{secret['name']}",
        nothing="No secret is stored.",
    )


@secrets.command("delete")
@click.argument("name")
def delete(name: str) -> None:
    """Forget a secret. A process that refers to it does not start again."""
    from openloop.cli import local_secrets as here  # noqa: PLC0415  # --help imports no psycopg

    here.delete_secret(name)
    say(f"deleted: {name}")


@secrets.command("rotate")
def rotate() -> None:
    """Make a new master key for all secrets, and drop the old one.

    The values stay as they are. A rotation that breaks off is finished by the next one.
    """
    from openloop.cli import local_secrets as here  # noqa: PLC0415  # --help imports no psycopg

    key, count = here.rotate()
    say(f"rotated: {count} secrets are wrapped by the master key {key}")


def _value(name: str) -> str:
    if sys.stdin.isatty():
        return click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as error:
        message = "a secret is UTF-8 text; encode other bytes first, as base64"
        raise click.UsageError(message) from error
    return text.removesuffix("\n").removesuffix("\r")
