"""What somebody wants of a new installation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

MODELS: Final = {
    "openai": ("OPENAI_API_KEY", "openai/gpt-4o-mini"),
    "anthropic": ("ANTHROPIC_API_KEY", "anthropic/claude-sonnet-4-6"),
    "gemini": ("GEMINI_API_KEY", "gemini/gemini-2.5-flash"),
    "groq": ("GROQ_API_KEY", "groq/openai/gpt-oss-120b"),
    "mistral": ("MISTRAL_API_KEY", "mistral/mistral-small-latest"),
    "deepseek": ("DEEPSEEK_API_KEY", "deepseek/deepseek-v4-flash"),
    "xai": ("XAI_API_KEY", "xai/grok-4.20"),
}
"""For each provider with known prices: the variable of its key, and a model to begin with."""

_MEMBER = re.compile(r"[UW][A-Z0-9]{1,30}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    """A person: the name in the manifest, and what is known of them on Slack."""

    name: str
    email: str = ""
    slack: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that was asked. `secrets` are variables for `.env`."""

    workspace: str
    agent: str
    people: tuple[Somebody, ...]
    channel: str
    slack_team: str
    repos: tuple[str, ...]
    model: str
    monthly_usd: Decimal
    secrets: dict[str, str] = field(repr=False)

    @property
    def is_solo(self) -> bool:
        """Whether nobody else could approve."""
        return len(self.people) == 1

    @property
    def uses_slack(self) -> bool:
        """Whether the agent can be bound to a channel: its approvers are known on Slack."""
        return bool(self.channel) and all(person.slack for person in self.people)


def slug(text: str, *, otherwise: str) -> str:
    """A name of small letters, digits and inner hyphens, as near to the text as can be."""
    made = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    return made or otherwise


def somebody(text: str) -> Somebody:
    """Read `NAME`, `NAME=E-MAIL` or `NAME=SLACK-MEMBER-ID`."""
    name, _, known = text.partition("=")
    if _MEMBER.fullmatch(known):
        return Somebody(name=name, slack=known)
    return Somebody(name=name, email=known)


def is_member_id(text: str) -> bool:
    """Whether a text is a Slack member id."""
    return _MEMBER.fullmatch(text) is not None
