"""Checking what was made of the answers, and writing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from openloop.cli.output import say
from openloop.cli.setup import dotenv
from openloop.cli.setup.manifests import agent_manifest, workspace_manifest
from openloop.domain import manifest_schema
from openloop.domain.errors import Conflict, Invalid
from openloop.domain.manifest import check_references, parse_agent, parse_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from openloop.cli.setup.answers import Answers

_SOLO = """
You are the only person, so solo_mode is on: you may approve what you asked for yourself. Every
card and the audit say so. Take it out of workspace.yaml once somebody else can approve."""


def write(answers: Answers, folder: Path, *, asks: bool, force: bool) -> None:
    """Write `.env` and `openloop/`; nothing at all where anything is in the way.

    Raises:
        Invalid: an answer that no manifest takes
        Conflict: a file is there, and nobody may be asked
    """
    manifests = folder / "openloop"
    files = {
        manifests / "workspace.yaml": workspace_manifest(answers),
        manifests / "agent.yaml": agent_manifest(answers),
    }
    _refuse_invalid(*files.values())
    env = folder / ".env"
    if not force:
        _settle_what_is_there(files, env, answers.secrets, asks=asks)
    manifests.mkdir(parents=True, exist_ok=True)
    for kind in ("Workspace", "Agent"):
        schema = manifests / f"{kind.lower()}.schema.json"
        schema.write_text(manifest_schema.text(kind), encoding="utf-8")  # editors complete by it
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        say(f"wrote {path}")
    if answers.secrets:
        dotenv.merge(env, answers.secrets)
        say(f"wrote {env} ({', '.join(answers.secrets)}), for your eyes only: never commit it")
    if answers.is_solo:
        say(_SOLO)
    say(_next(answers, manifests))


def _next(answers: Answers, manifests: Path) -> str:
    steps = (
        ("openloop doctor", "look whether everything that is set works"),
        (f"openloop up -f {manifests}", "start, and apply the manifests"),
        (f"openloop chat {answers.agent}", "talk to the agent in this terminal"),
        (
            "openloop approvals get",
            "see what waits for a decision; `approve ID` and `reject ID` decide",
        ),
    )
    return "\n".join(["\nNext:", *(f"  {command}\n      {what}" for command, what in steps)])


def _refuse_invalid(workspace: str, agent: str) -> None:
    found = check_references(
        parse_agent(agent, name="agent.yaml"), parse_workspace(workspace, name="workspace.yaml")
    )
    if found:
        raise Invalid(str(found[0]), problems=[str(each) for each in found])


def _settle_what_is_there(
    files: dict[Path, str], env: Path, secrets: dict[str, str], *, asks: bool
) -> None:
    """Ask before anything is replaced; without a person to ask, refuse."""
    changed = [
        str(path)
        for path, text in files.items()
        if path.exists() and path.read_text("utf-8") != text
    ]
    if names := dotenv.already_set(env, secrets):
        changed.append(f"{', '.join(names)} in {env}")
    if not changed:
        return
    if not asks:
        message = f"Already there, and not replaced without --force: {'; '.join(changed)}"
        raise Conflict(message, code="files_exist")
    for each in changed:
        if not click.confirm(f"Replace {each}?", err=True):
            raise Conflict(f"Nothing was written: {each} stays", code="files_exist")
