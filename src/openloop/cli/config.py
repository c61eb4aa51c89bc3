"""`openloop config`: what manifests may say."""

from __future__ import annotations

import click


@click.group()
def config() -> None:
    """See what manifests may say."""


@config.command("schema")
@click.argument("kind", type=click.Choice(("Agent", "Workspace"), case_sensitive=False))
def schema(kind: str) -> None:
    """Print the JSON Schema of a kind of manifest, for editors."""
    from openloop.domain import manifest_schema  # noqa: PLC0415  # --help imports no pydantic

    click.echo(manifest_schema.text(kind.capitalize()), nl=False)
