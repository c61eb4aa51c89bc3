"""`openloop init`: a first `.env` and first manifests."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command()
@click.option("--workspace", metavar="NAME", help="Name of the workspace.")
@click.option("--agent", metavar="NAME", help="Name of the agent.")
@click.option(
    "--person",
    "people",
    multiple=True,
    metavar="NAME[=EMAIL|ID]",
    help="A person who may approve, with an e-mail address or member id on Slack; the first one "
    "is the owner. Repeatable.",
)
@click.option("--channel", metavar="NAME", help="Slack channel of the agent.")
@click.option("--repo", "repos", multiple=True, metavar="OWNER/NAME", help="Repeatable.")
@click.option("--model", metavar="PROVIDER/NAME", help="The model that answers.")
@click.option("--budget", metavar="USD", help="Most to spend in a month.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="Where .env and the folder openloop/ are written.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: what is not given has its default.")
@click.option("--force", is_flag=True, help="Replace what is there without asking.")
def init(folder: Path, *, yes: bool, force: bool, **given: object) -> None:
    """Write a first .env and first manifests.

    Secrets are asked for without being shown, or taken from the environment under their own names
    (SLACK_BOT_TOKEN, SLACK_APP_TOKEN, SLACK_SIGNING_SECRET, GITHUB_TOKEN, OPENAI_API_KEY, ...).
    Nothing that is there is replaced unless you say so.
    """
    from openloop.cli.setup import asking, writing  # noqa: PLC0415  # --help imports no pydantic

    answers = asking.Interview(given, os.environ, asks=not yes).run()
    writing.write(answers, folder, asks=not yes, force=force)
