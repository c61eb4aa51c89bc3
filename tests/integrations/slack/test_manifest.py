"""The app manifest asks for what is used, and for nothing else."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import openloop.integrations.slack as package
from openloop.cli.setup import slack as setup
from openloop.domain.errors import Misconfigured
from openloop.integrations.slack import manifest, methods
from openloop.integrations.slack.manifest import app_manifest

SOURCE = Path(package.__file__).parent


def bot_scopes(given: Any) -> list[str]:
    return given["oauth_config"]["scopes"]["bot"]


def test_the_scopes_are_those_of_the_methods_and_events_in_use() -> None:
    needed = {scope for method in methods.METHODS for scope in method.scopes}
    needed |= {event.scope for event in manifest.EVENTS}
    plain = app_manifest(socket=True, request_url=None, agent_view=False)
    assert set(bot_scopes(plain)) == needed
    agent = app_manifest(socket=True, request_url=None)
    assert set(bot_scopes(agent)) - needed == {"assistant:write"}


def test_each_scope_says_what_needs_it() -> None:
    for scope in manifest.SCOPES:
        users = {method.name for method in methods.METHODS if scope.name in method.scopes}
        users |= {event.name for event in manifest.EVENTS if event.scope == scope.name}
        assert set(scope.needed_for) == users


def test_every_method_in_the_table_is_called_and_no_other() -> None:
    named = {
        name
        for name, value in vars(methods).items()
        if isinstance(value, methods.Method) and value in methods.METHODS
    }
    used: set[str] = set()
    for path in SOURCE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name != "methods.py":
            used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & named
    # `openloop init` makes this one call, and lives on another floor.
    asking = Path(setup.__file__).read_text(encoding="utf-8")
    assert methods.FIND_USER.name in asking
    assert used | {"FIND_USER"} == named


def test_over_http_slack_is_told_where_to_deliver() -> None:
    given: Any = app_manifest(socket=False, request_url="https://openloop.example")
    address = "https://openloop.example/surfaces/slack/events"
    settings = given["settings"]
    assert settings["event_subscriptions"]["request_url"] == address
    assert settings["interactivity"] == {"is_enabled": True, "request_url": address}
    assert settings["socket_mode_enabled"] is False
    kept: Any = app_manifest(socket=False, request_url="https://openloop.example/hooks/slack")
    assert kept["settings"]["interactivity"]["request_url"].endswith("/hooks/slack")


def test_over_socket_mode_there_is_no_address() -> None:
    given: Any = app_manifest(socket=True, request_url=None, name="Dev helper")
    assert given["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in given["settings"]["event_subscriptions"]
    assert given["display_information"]["name"] == "Dev helper"


@pytest.mark.parametrize("url", [None, "", "http://openloop.example", "openloop.example"])
def test_http_needs_a_public_https_address(url: str | None) -> None:
    with pytest.raises(Misconfigured):
        app_manifest(socket=False, request_url=url)


@pytest.mark.parametrize("name", ["", " ", "n" * 36])
def test_a_name_slack_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(Misconfigured):
        app_manifest(socket=True, request_url=None, name=name)
