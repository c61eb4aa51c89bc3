"""`openloop init`: what it writes, what it asks Slack, and what it never replaces."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import pytest
from dotenv import dotenv_values

from openloop.cli.failures import Exit
from openloop.domain.manifest import check_references, parse_agent, parse_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from openloop.domain.manifest_agent import AgentManifest
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from tests.cli.conftest import FakeServer, OpenLoop

BOT = {"ok": True, "user": "openloop", "team": "Acme", "team_id": "T0ACME"}
TOKEN, APP_TOKEN = "xoxb-1111-abcd", "xapp-1-abcd"


def written(folder: Path) -> tuple[WorkspaceManifest, AgentManifest]:
    workspace = parse_workspace((folder / "openloop/workspace.yaml").read_text(), name="w")
    agent = parse_agent((folder / "openloop/agent.yaml").read_text(), name="a")
    assert check_references(agent, workspace) == ()
    return workspace, agent


@pytest.fixture
def slack(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """A Slack in which there is a bot and Priya."""
    monkeypatch.setenv("SLACK_API_URL", f"{server.url}/api/")
    server.answer("POST /api/auth.test", BOT)
    priya = {"ok": True, "user": {"id": "U0PRIYA"}}
    server.answer("POST /api/users.lookupByEmail", priya)
    return server


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_APP_TOKEN", APP_TOKEN)


def test_one_person_gets_solo_mode_and_is_told_what_it_means(
    openloop: OpenLoop, tmp_path: Path
) -> None:
    ran = openloop("init", "--yes", "--workspace", "acme", "--person", "priya=priya@example.com")

    workspace, agent = written(tmp_path)
    assert ran.status == 0
    assert workspace.spec.solo_mode
    assert "you may approve what you asked for yourself" in ran.err
    assert agent.metadata.workspace == "acme"
    assert not (tmp_path / ".env").exists()


def test_several_people_have_no_solo_mode(openloop: OpenLoop, tmp_path: Path) -> None:
    ran = openloop("init", "--yes", "--person", "priya", "--person", "ben")

    workspace, agent = written(tmp_path)
    assert not workspace.spec.solo_mode
    assert "solo_mode" not in ran.err
    assert agent.spec.approvals.approvers == ("@priya", "@ben")
    assert workspace.spec.roles["owner"] == ("@priya",)


@pytest.mark.usefixtures("tokens")
def test_slack_is_asked_who_the_person_is(
    openloop: OpenLoop, tmp_path: Path, slack: FakeServer
) -> None:
    ran = openloop("init", "--yes", "--person", "priya=priya@example.com", "--channel", "dev")

    workspace, agent = written(tmp_path)
    assert "Slack: openloop in Acme (T0ACME)" in ran.err
    assert workspace.spec.people["priya"].slack == "U0PRIYA"
    assert workspace.spec.integrations.slack is not None
    assert workspace.spec.integrations.slack.team == "T0ACME"
    assert [(each.type, each.place) for each in agent.spec.surfaces] == [
        ("console", "console"),
        ("slack", "#dev"),
    ]
    assert slack.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert slack.asked[1].body == b"email=priya%40example.com"


@pytest.mark.usefixtures("tokens")
def test_a_slack_that_may_not_say_leaves_the_channel_out(
    openloop: OpenLoop, tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_API_URL", server.url)
    server.answer("POST /auth.test", BOT)
    server.answer("POST /users.lookupByEmail", {"ok": False, "error": "missing_scope"})

    ran = openloop("init", "--yes", "--person", "priya=priya@example.com", "--channel", "dev")

    _, agent = written(tmp_path)
    assert "Slack did not say who priya is" in ran.err
    assert [each.type for each in agent.spec.surfaces] == ["console"]
    assert '# - { type: slack, channel: "#dev" }' in (tmp_path / "openloop/agent.yaml").read_text()


@pytest.mark.usefixtures("tokens")
def test_a_bot_token_that_does_not_work_is_refused_before_anything_is_written(
    openloop: OpenLoop, tmp_path: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_API_URL", server.url)
    server.answer("POST /auth.test", {"ok": False, "error": "invalid_auth"})

    ran = openloop("init", "--yes", "--person", "priya")

    assert ran.status == Exit.INVALID
    assert "invalid_auth" in ran.err
    assert TOKEN not in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tokens", "slack")
def test_secrets_go_into_a_file_of_ones_own(
    openloop: OpenLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_odd'$HOME \\# x")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1")
    env = tmp_path / ".env"
    env.write_text("# mine\nOPENLOOP_PORT=9000\nGITHUB_TOKEN=\n")
    env.chmod(0o644)

    ran = openloop("init", "--yes", "--person", "priya=U0PRIYA", "--repo", "acme/platform")

    _, agent = written(tmp_path)
    assert ran.status == 0
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert env.read_text().startswith("# mine\nOPENLOOP_PORT=9000\n")
    kept = dotenv_values(env)
    assert kept["SLACK_BOT_TOKEN"] == TOKEN
    assert kept["GITHUB_TOKEN"] == "ghp_odd'$HOME \\# x"
    assert kept["ANTHROPIC_API_KEY"] == "sk-ant-1"
    assert agent.spec.model_policy.default.startswith("anthropic/")
    assert agent.spec.approvals.require_for == ("github.issues:write",)
    assert "ghp_odd" not in ran.err


def test_what_was_given_is_written_before_there_is_a_token_for_it(
    openloop: OpenLoop, tmp_path: Path
) -> None:
    given = ("--person", "priya=U0PRIYA", "--channel", "dev", "--repo", "acme/platform")

    assert openloop("init", "--yes", *given).status == 0

    workspace, agent = written(tmp_path)
    assert workspace.spec.integrations.github is not None
    assert workspace.spec.integrations.github.repos == ("acme/platform",)
    assert [each.place for each in agent.spec.surfaces] == ["console", "#dev"]
    assert [tool.name for tool in agent.spec.tools] == ["github"]


def test_what_is_there_is_not_replaced_unasked(openloop: OpenLoop, tmp_path: Path) -> None:
    openloop("init", "--yes", "--person", "priya")
    before = (tmp_path / "openloop/workspace.yaml").read_text()

    refused = openloop("init", "--yes", "--person", "ben")

    assert refused.status == Exit.CONFLICT
    assert (tmp_path / "openloop/workspace.yaml").read_text() == before
    assert openloop("init", "--yes", "--person", "priya").status == 0  # the same is no change
    assert openloop("init", "--yes", "--person", "ben", "--force").status == 0


def test_another_secret_is_not_replaced_unasked(
    openloop: OpenLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("GITHUB_TOKEN=first-one\n")
    monkeypatch.setenv("GITHUB_TOKEN", "second-one")

    ran = openloop("init", "--yes", "--person", "priya")

    assert ran.status == Exit.CONFLICT
    assert "GITHUB_TOKEN in .env" in ran.err
    assert (tmp_path / ".env").read_text() == "GITHUB_TOKEN=first-one\n"
    assert not (tmp_path / "openloop").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--person", "Priya R."],
        ["--person", "priya=not-an-address"],
        ["--budget", "lots"],
        ["--budget", "-1"],
        ["--model", "gpt"],
        ["--workspace", "a b"],
    ],
)
def test_an_answer_that_no_manifest_takes_is_refused(
    openloop: OpenLoop, tmp_path: Path, wrong: list[str]
) -> None:
    assert openloop("init", "--yes", *wrong).status == Exit.INVALID
    assert not (tmp_path / "openloop").exists()


@pytest.mark.usefixtures("slack")
def test_a_person_is_asked_for_what_is_missing(
    openloop: OpenLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden: list[str] = []

    def read_hidden(prompt: str) -> str:
        hidden.append(prompt)
        return sys.stdin.readline().rstrip("\n")

    monkeypatch.setattr("getpass.getpass", read_hidden)
    typed = "\n".join(
        [
            *("acme", "assistant"),
            *("priya", "priya@example.com"),
            *("ben", ""),  # another approver, whose address is not known
            "",  # nobody else
            *(TOKEN, APP_TOKEN, "#dev"),
            *("not-an-id", "U0BEN"),  # asked again
            *("ghp_1234", "acme/platform, acme/web"),
            *("anthropic", "sk-ant-1", "25"),
        ]
    )

    ran = openloop("init", stdin=typed + "\n")

    workspace, agent = written(tmp_path)
    assert ran.status == 0, ran.err
    assert ran.out == ""
    assert {name: person.slack for name, person in workspace.spec.people.items()} == {
        "priya": "U0PRIYA",
        "ben": "U0BEN",
    }
    assert agent.metadata.name == "assistant"
    assert workspace.spec.integrations.github is not None
    assert workspace.spec.integrations.github.repos == ("acme/platform", "acme/web")
    assert workspace.spec.budget.monthly_usd == 25
    assert [prompt.split()[0:2] for prompt in hidden] == [
        ["Slack", "bot"],
        ["Slack", "app-level"],
        ["GitHub", "token"],
        ["ANTHROPIC_API_KEY", "(empty:"],
    ]


def test_an_interview_that_breaks_off_writes_nothing(openloop: OpenLoop, tmp_path: Path) -> None:
    assert openloop("init", stdin="acme\n").status == Exit.INTERRUPTED
    assert list(tmp_path.iterdir()) == []
