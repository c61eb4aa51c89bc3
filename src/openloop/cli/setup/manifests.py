"""The two manifests that `init` writes: small, valid, and meant to be changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openloop.cli.setup.answers import Answers, Somebody

_SOLO = """\
  # On, because there is one person: who asks may approve it too, and every card and the audit say
  # so. Take this line away as soon as somebody else can approve.
  solo_mode: true
"""


def workspace_manifest(answers: Answers) -> str:
    """The Workspace: people, roles, budget."""
    people = "".join(_person(person) for person in answers.people)
    references = ", ".join(f'"@{person.name}"' for person in answers.people)
    integrations = "".join(
        [
            f"    slack: {{ team: {answers.slack_team} }}\n" if answers.slack_team else "",
            f"    github: {{ repos: {_listed(answers.repos)} }}\n" if answers.repos else "",
        ]
    )
    if integrations:
        integrations = f"  integrations:\n{integrations}"
    return (
        "# yaml-language-server: $schema=workspace.schema.json\n"
        "apiVersion: openloop.ai/v1alpha1\n"
        "kind: Workspace\n"
        f"metadata: {{ name: {answers.workspace} }}\n"
        "spec:\n"
        f"  people:\n{people}"
        "  roles:\n"
        f'    owner: ["@{answers.people[0].name}"]\n'
        f"    approver: [{references}]\n"
        f"{_SOLO if answers.is_solo else ''}"
        f"  budget: {{ monthly_usd: {answers.monthly_usd} }}\n"
        f"{integrations}"
    )


def agent_manifest(answers: Answers) -> str:
    """The Agent: where it is, what it may do, who decides."""
    references = ", ".join(f'"@{person.name}"' for person in answers.people)
    return (
        "# yaml-language-server: $schema=agent.schema.json\n"
        "apiVersion: openloop.ai/v1alpha1\n"
        "kind: Agent\n"
        f"metadata: {{ name: {answers.agent}, workspace: {answers.workspace} }}\n"
        "spec:\n"
        "  surfaces:\n"
        "    - { type: console }\n"
        f"{_channel(answers)}"
        "  instructions: |\n"
        "    You help the people of this team. Say what you do not know. Keep answers short.\n"
        "  memory: { scope: channel, backend: postgres, retention_days: 90 }\n"
        f"  model_policy: {{ default: {answers.model} }}\n"
        f"{_tools(answers)}"
        "  approvals:\n"
        f"{_held(answers)}"
        f"    approvers: [{references}]\n"
        f"  budget: {{ monthly_usd: {answers.monthly_usd}, per_task_usd: 0.50, "
        "on_exceeded: block }\n"
    )


def _person(person: Somebody) -> str:
    known = [
        f"slack: {person.slack}" if person.slack else "",
        f"email: {json.dumps(person.email)}" if person.email else "",
    ]
    inside = ", ".join(each for each in known if each)
    return f"    {person.name}: {{ {inside} }}\n" if inside else f"    {person.name}: {{}}\n"


def _channel(answers: Answers) -> str:
    if answers.uses_slack:
        return f"    - {{ type: slack, channel: {json.dumps(answers.channel)} }}\n"
    if answers.channel:
        return (
            "    # Needs people.NAME.slack of every approver in workspace.yaml:\n"
            f"    # - {{ type: slack, channel: {json.dumps(answers.channel)} }}\n"
        )
    return ""


def _tools(answers: Answers) -> str:
    if not answers.repos:
        return ""
    permissions = '["issues:read", "issues:write", "pulls:read"]'
    return f"  tools:\n    - {{ name: github, type: native, permissions: {permissions} }}\n"


def _held(answers: Answers) -> str:
    return '    require_for: ["github.issues:write"]\n' if answers.repos else ""


def _listed(texts: tuple[str, ...]) -> str:
    return "[" + ", ".join(json.dumps(text) for text in texts) + "]"
