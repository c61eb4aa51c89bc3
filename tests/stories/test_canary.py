"""One secret of each kind, pushed through every sink by people, a tool, a model and errors: 0 hits."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
import psycopg
import pytest

from openloop.domain.redaction import REDACTED
from openloop.storage.embedded import EmbeddedPostgres
from openloop.testing import processes
from openloop.testing.rigs.faults import ServerError
from openloop.testing.rigs.github.faults import Raw
from openloop.testing.rigs.slack import SlackRig
from openloop.testing.stack import ApiRefused
from openloop.testing.story.stage import CHANNEL, GITHUB_TOKEN, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openloop.testing.rigs.slack import Message
    from openloop.testing.story.stage import Stage

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not processes.is_supported(), reason="looks for processes in /proc"),
]

# What the rigs know is known to them by these names; the last one only the model gateway has.
PROVIDER_KEY = "sk-proj-canaryofthemodelgateway0123456789"
PASSPHRASE = 'a "quoted" canary, with\\slashes & spaces'
AGENT = """\
apiVersion: openloop.ai/v1alpha1
kind: Agent
metadata: { name: dev-platform, workspace: acme }
spec:
  surfaces: [ { type: slack, channel: "#dev-platform" } ]
  model_policy: { default: scripted/dev-platform }
  tools: [ { name: github, type: native, permissions: ["issues:write", "issues:read"] } ]
  approvals: { require_for: ["github.issues:write"], approvers: ["@maintainers"] }
  budget: { monthly_usd: 50, per_task_usd: 0.50 }
"""


def spellings(value: str) -> Iterator[str]:
    """How a secret may be written by whoever has it."""
    yield value
    yield value.encode().hex()
    yield b64encode(value.encode()).decode()
    yield quote(value, safe="")
    yield orjson.dumps(value).decode()[1:-1]


def script(canaries: list[str]) -> str:
    """A model that says whether it sees a secret, and repeats all of them."""
    everything = " and ".join(canaries)
    seen = sorted({_escaped(text) for value in canaries for text in spellings(value)})
    turns = [
        {
            "either": [
                *({"when": each, "say": "I SAW A SECRET IN THE REQUEST"} for each in seen),
                {
                    "say": f"I look. By the way: {everything}",
                    "call": [
                        {
                            "name": "github__get_issue",
                            "arguments": {"repo": "acme/platform", "number": 1},
                        }
                    ],
                },
            ]
        },
        {
            "either": [
                *({"when": each, "say": "I SAW A SECRET IN THE RESULT"} for each in seen),
                {
                    "say": "I propose an issue.",
                    "call": [
                        {
                            "name": "github__create_issue",
                            "arguments": {
                                "repo": "acme/platform",
                                "title": "What I know",
                                "body": everything,
                            },
                        },
                        {
                            "name": "memory__note",
                            "arguments": {"kind": "fact", "text": f"We use {everything}"},
                        },
                    ],
                },
            ]
        },
        {"say": f"All done with {everything}"},
    ]
    return orjson.dumps(
        {
            "price": {"input_per_million": 0.15, "output_per_million": 0.60},
            "usage": {"input": 400, "output": 60},
            "scenarios": [
                {"name": "break", "match": "please break", "turns": [{"say": "{tool.none}"}]},
                {"name": "anything", "turns": turns},
            ],
        }
    ).decode()


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if not c.isalnum() else c for c in text)


async def test_a_secret_of_each_kind_is_in_no_sink(home: Path, examples: Path) -> None:
    manifests, scripts = home / "manifests", home / "scripts"
    manifests.mkdir()
    scripts.mkdir()
    workspace = (examples / "demo" / "workspace.yaml").read_text()
    (manifests / "workspace.yaml").write_text(workspace)
    (manifests / "agent.yaml").write_text(AGENT)
    file = home / "passphrase"
    file.write_text(PASSPHRASE)
    file.chmod(0o600)
    (scripts / "dev-platform.yaml").write_text(script([PASSPHRASE]))  # it has a price, at least
    await asyncio.to_thread(keep, home, "github", GITHUB_TOKEN)
    await asyncio.to_thread(keep, home, "provider", PROVIDER_KEY)
    environ = {
        "GITHUB_TOKEN": "secretref://store/github",
        "OPENAI_API_KEY": "secretref://store/provider",
        "TEAM_PASSPHRASE": f"secretref://file{file}",
        "OPENLOOP_LOG_LEVEL": "debug",
    }
    async with open_stage(
        home=home, manifests=manifests, scripts=scripts, environ=environ, time_scale=0.01
    ) as stage:
        canaries = [
            stage.slack.bot_token,
            stage.slack.signing_secret,
            stage.github.token,
            PASSPHRASE,
            PROVIDER_KEY,
            stage.stack.token,
        ]
        (scripts / "dev-platform.yaml").write_text(script(canaries))
        await play(stage, canaries)
        sinks = {
            "what Slack was sent": sent_to_slack(stage.slack),
            "what GitHub was sent": sent_to_github(stage),
            "what the API answers": await answers(stage),
            # The first start shows the owner's token, once.
            "the log": (home / "up.log").read_text().partition("ready; Ctrl-C stops")[2],
            "the tables": await asyncio.to_thread(dump, home),
        }
    sinks["the files of the database"] = pages(home)

    assert "I SAW A SECRET" not in sinks["what Slack was sent"]
    for name, text in sinks.items():
        found = [s for value in canaries for s in spellings(value) if s in text]
        assert found == [], f"{name} has a secret: {around(text, found[0]) if found else ''}"
        # Nothing that could hold one is logged at all: tests/cli/test_logs.py shows what if it were.
        assert REDACTED in text or name == "the log", f"nothing came through {name}"


def around(text: str, found: str) -> str:
    at = text.index(found)
    return text[max(0, at - 200) : at + 200]


def keep(home: Path, name: str, value: str) -> None:
    """`openloop secrets set`, as a person would."""
    subprocess.run(
        [sys.executable, "-m", "openloop", "secrets", "set", name],
        input=value.encode(),
        env={"PATH": os.environ["PATH"], "OPENLOOP_HOME": str(home), "HOME": str(home)},
        cwd=home,
        check=True,
        capture_output=True,
    )


async def play(stage: Stage, canaries: list[str]) -> None:
    """Everybody says every secret, in every spelling that is known, and everything fails once."""
    everything = " ".join(s for value in canaries[:4] for s in spellings(value))
    plain = " ".join(canaries)
    repository = stage.github.state.repositories["acme/platform"]
    stage.github.state.add_issue(
        repository, f"Leak {plain}", by=repository.owner, body=f"{everything} {plain}"
    )
    stage.github.faults.fail(
        "GET /repos/{owner}/{repo}/issues/{issue_number}",
        with_=Raw(status=500, body=f'{{"message": "bad token {plain}"'.encode()),
    )
    stage.slack.faults.fail("chat.postMessage", with_=ServerError())

    broken = await stage.slack.say(CHANNEL, by="ben", text=f"<@U0BOT> please break {everything}")
    await stage.slack.reply_to(broken, timeout_seconds=60)
    for _ in range(2):  # the second time GitHub answers
        said = await stage.slack.say(CHANNEL, by="ben", text=f"<@U0BOT> what about {everything}")
        card = await card_for(stage, said)
        await stage.slack.click(card, action_id="approve", by="anna")
        await stage.slack.until(
            lambda: any("All done" in each.text for each in stage.slack.replies_to(said)),  # noqa: B023
            timeout_seconds=60,
        )
    for path in (f"/api/v1/runs/{quote(canaries[3])}", f"/{quote(canaries[2])}"):
        with pytest.raises(ApiRefused) as refused:
            await stage.stack.get(path)
        assert not any(s in refused.value.body for v in canaries for s in spellings(v))
    manifest = {"files": [{"name": plain[:60], "text": f"kind: {plain}"}]}
    with pytest.raises(ApiRefused):
        await stage.stack.call("POST", "/api/v1/manifests/plan", body=manifest)


async def card_for(stage: Stage, said: Message) -> Message:
    """The card in a thread, once it is there."""

    def card() -> Message | None:
        return next((each for each in stage.slack.replies_to(said) if each.buttons), None)

    found = await stage.slack.until(card, timeout_seconds=60)
    assert found is not None
    return found


def sent_to_slack(slack: SlackRig) -> str:
    return "\n".join(repr((call.method, call.args)) for call in slack.calls)


def sent_to_github(stage: Stage) -> str:
    return "\n".join(repr((c.path, dict(c.query), c.body)) for c in stage.github.calls)


async def answers(stage: Stage) -> str:
    """What an owner can read of all this."""
    runs: list[Any] = (await stage.stack.get("/api/v1/runs"))["items"]
    paths = [
        *("/api/v1/runs", "/api/v1/approvals", "/api/v1/memories", "/api/v1/agents"),
        "/api/v1/audit",
        *(f"/api/v1/runs/{run['id']}" for run in runs),
        *(f"/api/v1/runs/{run['id']}/steps" for run in runs),
    ]
    return "\n".join([str(await stage.stack.get(path)) for path in paths])


def dump(home: Path) -> str:
    """Every row of every table."""
    embedded = EmbeddedPostgres(home)
    try:
        with psycopg.connect(embedded.start().superuser_dsn) as connection:
            tables = connection.execute(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
                "WHERE schemaname IN ('openloop', 'procrastinate')"
            ).fetchall()
            return "\n".join(
                row
                for (table,) in tables
                for (row,) in connection.execute(f"SELECT t::text FROM {table} AS t")  # noqa: S608  # pyright: ignore
            )
    finally:
        embedded.leave()


def pages(home: Path) -> str:
    """The files of the database as they are, the write-ahead log among them."""
    files = (each for each in (home / "postgres").rglob("*") if each.is_file())
    return "\n".join(each.read_bytes().decode("latin-1") for each in files)
