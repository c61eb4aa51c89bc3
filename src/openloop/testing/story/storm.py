"""A storm of GitHub deliveries on the whole product: doubled, out of order, limited, and killed.

People mention an App in many issues of many owners. Each delivery is made one to five times and in
no order, GitHub says "not so fast" now and then, and processes die. What has to be true afterwards is
counted by whoever looks: one run and one answer for each mention.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from openloop.integrations.github.permissions import EVENTS, PERMISSIONS
from openloop.testing.rigs.github import GitHubRig, SecondaryLimit
from openloop.testing.rigs.github.apps import GitHubApp, rig_key
from openloop.testing.rigs.github.webhooks import Webhooks
from openloop.testing.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from openloop.testing.rigs.github import Call
    from openloop.testing.rigs.github.rows import Issue

SECRET = "a-webhook-secret-of-the-storm"  # opens nothing
COMMENT = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments"
BOT = "openloop[bot]"
PER_OWNER = 25
"""Events of one owner: with an eye and an answer each, still below what may be written in a minute."""
PAUSE_SECONDS = 3
LIMITED_EVERY = 20
# What was on its way when GitHub said it cannot be taken back.
_ON_ITS_WAY_SECONDS = 0.3

_WORKSPACE = """
apiVersion: openloop.ai/v1alpha1
kind: Workspace
metadata: {{ name: acme }}
spec:
  people: {{ anna: {{ github: {anna} }} }}
  roles: {{ owner: ["@anna"] }}
  budget: {{ monthly_usd: 1000 }}
"""
_AGENT = """
apiVersion: openloop.ai/v1alpha1
kind: Agent
metadata: {{ name: storm, workspace: acme }}
spec:
  surfaces: [{bindings}]
  model_policy: {{ default: scripted/storm }}
  budget: {{ monthly_usd: 1000, per_task_usd: 1 }}
"""
_SCRIPT = """
price: { input_per_million: 0, output_per_million: 0 }
max_output_tokens: 4096
scenarios:
  - name: anything
    turns: [{ say: "Here I am.", usage: { input: 1, output: 1 } }]
"""


@dataclass(slots=True)
class Calls(list["Call"]):
    """What was asked of the rig, with the time of each."""

    at: list[float] = field(default_factory=list[float])

    def append(self, call: Call) -> None:
        self.at.append(time.monotonic())
        list["Call"].append(self, call)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """A storm that is under way; `issues` are those in which somebody asked."""

    rig: GitHubRig
    webhooks: Webhooks
    stack: Stack
    owners: Sequence[str]
    calls: Calls
    issues: list[Issue] = field(default_factory=list["Issue"])
    kills: list[float] = field(default_factory=list[float])

    def ask(self, events: int) -> None:
        """Let anna ask in this many more issues, one owner after the other."""
        state, asked = self.rig.state, len(self.issues)
        anna = state.users["anna"]
        for number in range(asked, asked + events):
            repository = state.repositories[f"{self.owners[number % len(self.owners)]}/platform"]
            body = f"@openloop are you there? ({number})"
            self.issues.append(state.add_issue(repository, f"Storm {number}", by=anna, body=body))

    def limit(self, events: int) -> None:
        """Let GitHub refuse a comment now and then, half with 403 and half with 429."""
        for number in range(max(events // LIMITED_EVERY, 1)):
            fault = SecondaryLimit(
                status=429 if number % 2 else 403, retry_after_seconds=PAUSE_SECONDS
            )
            self.rig.faults.fail(COMMENT, with_=fault, skip=LIMITED_EVERY // 2)

    async def kill(self, role: str) -> None:
        """kill -9."""
        await self.stack.kill(role)
        self.kills.append(time.monotonic())

    def answers(self, issue: Issue) -> int:
        """How often the App has answered in an issue."""
        said = (each.body for each in issue.comments if each.author.login == BOT)
        return sum("Here I am." in body for body in said)

    def answered(self) -> int:
        """In how many issues it has."""
        return sum(self.answers(issue) > 0 for issue in self.issues)

    @property
    def doubled(self) -> int:
        """Answers, and eyes, that are there more than once."""
        more = sum(max(self.answers(issue) - 1, 0) for issue in self.issues)
        return more + sum(len(issue.reactions) > 1 for issue in self.issues)

    @property
    def refused(self) -> int:
        """How often GitHub said "not so fast"."""
        return sum(call.status in (403, 429) for call in self.calls)

    @property
    def too_early(self) -> int:
        """Requests of an account within the time in which GitHub wanted none.

        What a process did not live to hear it cannot keep: a pause ends with a kill, and the answer
        to a request that the rig read just after the kill went to nobody.
        """
        early = 0
        for call, at in zip(self.calls, self.calls.at, strict=True):
            if call.status not in (403, 429):
                continue
            owner, until = call.parts.get("owner"), at + PAUSE_SECONDS - _ON_ITS_WAY_SECONDS
            if any(at - _ON_ITS_WAY_SECONDS <= killed <= until + 1 for killed in self.kills):
                continue
            early += sum(
                at + _ON_ITS_WAY_SECONDS < other_at < until
                for other, other_at in zip(self.calls, self.calls.at, strict=True)
                if other.parts.get("owner") == owner
            )
        return early


@asynccontextmanager
async def open_storm(home: Path, *, events: int, seed: int = 7) -> AsyncGenerator[Storm]:
    """The product, listening in as many repositories as that many events need."""
    owners = [f"org{number}" for number in range(max(events // PER_OWNER, 2))]
    async with GitHubRig(token="ghp_unused") as rig:  # opens nothing
        calls = rig.calls = Calls()
        state = rig.state
        anna = state.users["anna"] = replace(state.add_user("anna"), id=4_100_002)
        state.app = GitHubApp(
            state,
            permissions={each.name: each.level for each in PERMISSIONS},
            events=[each.name for each in EVENTS],
        )
        for owner in owners:
            state.add_repository(f"{owner}/platform", roles={"anna": "write"})
            state.app.install(owner)
        manifests = home / "manifests"
        manifests.mkdir(parents=True)
        bindings = ", ".join(f"{{ type: github, repo: {owner}/platform }}" for owner in owners)
        (manifests / "workspace.yaml").write_text(_WORKSPACE.format(anna=anna.id))
        (manifests / "storm.yaml").write_text(_AGENT.format(bindings=bindings))
        (home / "scripts").mkdir()
        (home / "scripts" / "storm.yaml").write_text(_SCRIPT)
        environ = {
            "OPENLOOP_SCRIPTS": str(home / "scripts"),
            "GITHUB_APP_ID": str(state.app.id),
            "GITHUB_APP_PRIVATE_KEY": rig_key(),
            "GITHUB_WEBHOOK_SECRET": SECRET,
            "GITHUB_API_URL": rig.api_url,
        }
        async with Stack(home=home / "home", manifests=manifests, environ=environ) as stack:
            url = f"{stack.url}/surfaces/github/events"
            async with Webhooks(rig, secret=SECRET, url=url, seed=seed) as webhooks:
                webhooks.dials.most_copies, webhooks.dials.reordered = 5, 20
                yield Storm(rig=rig, webhooks=webhooks, stack=stack, owners=owners, calls=calls)
