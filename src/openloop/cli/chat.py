"""`openloop chat`: a conversation with an agent in a terminal."""

from __future__ import annotations

import click


@click.command()
@click.argument("agent")
@click.option("--thread", metavar="ID", help="Go on with an earlier conversation.")
@click.option(
    "--priority",
    type=click.Choice(["interactive", "scheduled", "batch"]),
    default="interactive",
    show_default=True,
    help="How soon a new conversation is worked on where others wait, too.",
)
def chat(agent: str, thread: str | None, priority: str) -> int:
    """Talk to an agent.

    Every line is a message; so is every line of a pipe, one after the other. /approve ID and
    /reject ID decide a held call, /stop stops the run, /quit ends. After a pipe the exit status is
    1 where a run failed.
    """
    from openloop.cli.client import connect  # noqa: PLC0415  # --help calls nobody
    from openloop.cli.talk import Talk  # noqa: PLC0415  # nor this

    return Talk(connect(), agent.removeprefix("agent/"), thread, priority).run()
