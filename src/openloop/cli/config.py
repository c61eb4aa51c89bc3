"""`openloop config`: what manifests may say, and what is in force."""

from __future__ import annotations

from typing import Final

import click

from openloop.cli.output import Column, Format, Json, field, output_option, show_list

KINDS: Final = {"agent": "Agent", "workspace": "Workspace", "agenttest": "AgentTest"}
VALUES: Final = (
    field("PATH", "path"),
    Column(title="VALUE", text=lambda row: _text(row["value"])),
    Column(title="FROM", text=lambda row: _origin(row)),
)


@click.group()
def config() -> None:
    """See what manifests may say, and what is in force."""


@config.command("schema")
@click.argument("kind", type=click.Choice(tuple(KINDS.values()), case_sensitive=False))
def schema(kind: str) -> None:
    """Print the JSON Schema of a kind of manifest, for editors."""
    from openloop.domain import manifest_schema  # noqa: PLC0415  # --help imports no pydantic

    click.echo(manifest_schema.text(KINDS[kind.lower()]), nl=False)


@config.command("view")
@click.argument("agent", required=False)
@output_option
def view(agent: str | None, output: Format) -> None:
    """Show every value in force and its origin.

    Without AGENT, those of the Workspace manifest.
    """
    from openloop.cli.client import by_name, connect  # noqa: PLC0415  # `schema` calls no server

    path = "/api/v1/workspace/effective"
    if agent is not None:
        path = f"/api/v1/agents/{by_name('agent', agent)}/effective"
    answer = connect().get(path)
    show_list(
        answer,
        [{**value, "revision": answer["revision"]} for value in answer["values"]],
        VALUES,
        output=output,
        name=lambda row: row["path"],
        nothing="Nothing is in force.",
    )


def _text(value: object) -> str:
    from openloop.cli import planning  # noqa: PLC0415  # after what is asked

    return planning.shown(value)


def _origin(row: Json) -> str:
    match row["origin"]:
        case "manifest":
            return f"revision {row['revision']}, line {row['line']}"
        case "workspace":
            return "the Workspace manifest"
        case _:
            return "default"
