"""`openloop agents`: manifests and what is in force."""

from __future__ import annotations

from pathlib import Path

import click

from openloop.cli.agent_tests import test
from openloop.cli.applying import files_option, sent, show_applied
from openloop.cli.client import by_name, connect
from openloop.cli.output import (
    Column,
    Format,
    Json,
    field,
    output_option,
    show_list,
    show_one,
)
from openloop.cli.revisions import diff, history, rollback
from openloop.cli.sync import sync
from openloop.cli.text import age, when
from openloop.cli.verdicts import explain

AGENTS = (
    field("NAME", "name"),
    field("REVISION", "revision"),
    Column(title="PLACES", text=lambda agent: places(agent)),
    Column(title="APPLIED", text=lambda agent: age(agent["applied_at"])),
    Column(title="INACTIVE", text=lambda agent: inactive(agent)),
    field("DIGEST", "digest", wide=True),
)
CHECKED = (field("FILE", "file"), field("KIND", "kind"), field("NAME", "name"))


@click.group()
def agents() -> None:
    """Apply manifests and see what is in force."""


agents.add_command(diff)
agents.add_command(explain)
agents.add_command(history)
agents.add_command(rollback)
agents.add_command(sync)
agents.add_command(test)


@agents.command("apply")
@files_option
@output_option
def apply(paths: tuple[Path, ...], output: Format) -> int:
    """Make manifests the live ones.

    What widens rights waits for somebody else's approval. Names are resolved to stable ids.
    What only lacks configuration is taken and shown as inactive. Exit status 5 where something
    waits: what is in force stays so until then.
    """
    from openloop.cli.manifests import read_files  # noqa: PLC0415  # only where files are read

    return show_applied(connect().post("/api/v1/manifests/apply", sent(read_files(*paths))), output)


@agents.command("validate")
@files_option
@click.option("--server", is_flag=True, help="Ask the server too, which resolves every name.")
@output_option
def validate(paths: tuple[Path, ...], output: Format, *, server: bool) -> None:
    """Check manifests; no server is needed and nothing is changed."""
    from openloop.cli.manifests import check_files, read_files  # noqa: PLC0415  # needs pydantic

    files = read_files(*paths)
    checked = check_files(files)
    if server:
        show_applied(connect().post("/api/v1/manifests/validate", sent(files)), output)
        return
    show_list(
        {"items": checked},
        checked,
        CHECKED,
        output=output,
        name=lambda each: f"{each['kind'].lower()}/{each['name']}",
        nothing="There is no manifest.",
    )


@agents.command("get")
@click.argument("name", required=False)
@output_option
def get(name: str | None, output: Format) -> None:
    """List the agents, or show one."""
    if name is not None:
        _describe(name, output)
        return
    answer = connect().get("/api/v1/agents")
    show_list(
        answer,
        answer["items"],
        AGENTS,
        output=output,
        name=lambda agent: f"agent/{agent['name']}",
        nothing="There is no agent yet: openloop agents apply -f FILE",
    )


@agents.command("describe")
@click.argument("name")
@output_option
def describe(name: str, output: Format) -> None:
    """Show an agent with its manifest."""
    _describe(name, output)


def _describe(name: str, output: Format) -> None:
    agent = connect().get(f"/api/v1/agents/{by_name('agent', name)}")
    lines = [
        ("Name", agent["name"]),
        ("Revision", f"{agent['revision']} ({agent['digest']})"),
        ("Applied", when(agent["applied_at"])),
        ("Places", places(agent)),
        ("Inactive", "\n".join(f"{part['part']}: {part['reason']}" for part in agent["inactive"])),
        ("Manifest", agent["source"]),
    ]
    show_one(agent, lines, output=output, name=f"agent/{agent['name']}")


def places(agent: Json) -> str:
    """Where an agent listens."""
    named = (dict.fromkeys((place["surface"], place["name"])) for place in agent["bindings"])
    return ", ".join(" ".join(words) for words in named)


def inactive(agent: Json) -> str:
    """What of an agent cannot work yet, with the reasons."""
    return "; ".join(f"{part['part']}: {part['reason']}" for part in agent["inactive"])
