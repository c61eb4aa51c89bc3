"""Reading the environment: nothing, all of it, or every problem at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from openloop.domain.errors import Misconfigured
from openloop.integrations.slack import integration
from openloop.integrations.slack.settings import SlackSettings

GOOD = {"SLACK_BOT_TOKEN": "xoxb-1-abc", "SLACK_SIGNING_SECRET": "8f742231b10e8888"}


def problems(environment: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as refused:
        SlackSettings.read(environment)
    return refused.value.problems


@pytest.mark.parametrize("environment", [{}, {"SLACK_API_URL": "x"}, {"SLACK_BOT_TOKEN": " "}])
def test_without_a_secret_slack_is_not_configured(environment: dict[str, str]) -> None:
    assert SlackSettings.read(environment) is None
    assert integration.surface is not None
    assert integration.surface(environment) is None


def test_a_whole_configuration_is_taken() -> None:
    settings = SlackSettings.read({**GOOD, "SLACK_API_URL": "http://127.0.0.1:9000/api"})
    assert settings is not None
    assert settings.api_url == "http://127.0.0.1:9000/api/"
    assert "xoxb" not in repr(settings)
    assert "8f74" not in repr(settings)


def test_every_problem_is_told_at_once_and_no_secret() -> None:
    told = problems(
        {
            "SLACK_BOT_TOKEN": "xoxp-secret",
            "SLACK_SIGNING_SECRET": "short",
            "SLACK_APP_TOKEN": "xoxb-secret",
            "SLACK_API_URL": "http://slack.example/api/",
        }
    )
    assert len(told) == 4
    assert "secret" not in "".join(told).replace("SIGNING_SECRET", "")


@pytest.mark.parametrize(
    "environment",
    [
        {"SLACK_BOT_TOKEN": "xoxb-1-abc"},
        {"SLACK_APP_TOKEN": "xapp-1-abc"},
        {"SLACK_SIGNING_SECRET": "8f742231b10e8888"},
        {**GOOD, "SLACK_BOT_TOKEN": "xoxb-with space"},
        {**GOOD, "SLACK_APP_TOKEN": "xoxb-1-abc"},
        {**GOOD, "SLACK_API_URL": "ftp://slack.com"},
        {**GOOD, "SLACK_API_URL": "https://user@slack.com/api/"},
        {**GOOD, "SLACK_API_URL": "https://[bad"},
        {**GOOD, "SLACK_API_URL": "http://10.0.0.7/api/"},
    ],
)
def test_half_a_configuration_is_refused(environment: dict[str, str]) -> None:
    assert len(problems(environment)) == 1


def test_discovering_the_integration_imports_no_client() -> None:
    code = (
        "import sys, openloop.integrations.slack; "
        "print([m for m in ('aiohttp', 'slack_sdk', 'markdown_it') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.strip() == "[]"
