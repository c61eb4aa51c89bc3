"""`openloop secrets`, and who gets which secret: kept here, referred to, and never shown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from openloop import app, settings
from openloop.cli.failures import Exit
from openloop.cli.processes.environment import for_gateway, for_serve_and_worker
from openloop.domain.errors import Misconfigured
from openloop.domain.redaction import REDACTED

if TYPE_CHECKING:
    from tests.cli.conftest import OpenLoop

VALUE = "the-canary-of-the-command-line"


@pytest.fixture(autouse=True)
def _database(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setenv("DATABASE_URL", conninfo)


def test_a_secret_is_kept_listed_and_deleted_and_never_shown(openloop: OpenLoop) -> None:
    kept = openloop("secrets", "set", "github", stdin=VALUE + "\n")
    listed = openloop("secrets", "list", "-o", "json")
    deleted = openloop("secrets", "delete", "github")

    assert (kept.status, "secretref://store/github" in kept.err) == (Exit.OK, True)
    [row] = listed.json["items"]
    assert (row["name"], row["version"], row["set_by"]["via"]) == ("github", 1, "cli")
    assert set(row) == {"name", "version", "key_id", "set_by", "set_at"}
    assert deleted.status == Exit.OK
    assert openloop("secrets", "delete", "github").status == Exit.NOT_FOUND
    for ran in (kept, listed, deleted):
        assert VALUE not in ran.out + ran.err


def test_a_value_is_never_an_argument(openloop: OpenLoop) -> None:
    assert openloop("secrets", "set", "github", VALUE).status == Exit.USAGE


def test_nothing_is_no_secret(openloop: OpenLoop) -> None:
    ran = openloop("secrets", "set", "github", stdin="\n")
    assert ran.status != Exit.OK
    assert "it is empty" in ran.err


def test_settings_refer_to_what_was_kept(
    openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    openloop("secrets", "set", "github", stdin=VALUE)
    openloop("secrets", "rotate")
    monkeypatch.setenv("GITHUB_TOKEN", "secretref://store/github")
    loaded = settings.load()
    assert "GITHUB_TOKEN" not in loaded.environ

    complete = asyncio.run(app.with_stored_secrets(loaded))

    assert complete.environ["GITHUB_TOKEN"] == VALUE
    assert complete.redactor.text(VALUE) == REDACTED
    assert VALUE not in repr(complete)


def test_a_secret_that_is_not_there_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secretref://store/one")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "secretref://store/two")
    with pytest.raises(Misconfigured) as refused:
        asyncio.run(app.with_stored_secrets(settings.load()))
    assert sorted(refused.value.problems) == [
        "GITHUB_TOKEN: there is no stored secret 'one': openloop secrets set one",
        "SLACK_BOT_TOKEN: there is no stored secret 'two': openloop secrets set two",
    ]


def test_doctor_shows_references_and_no_values(
    openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    openloop("secrets", "set", "github", stdin=VALUE)
    monkeypatch.setenv("GITHUB_TOKEN", "secretref://store/github")
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    ran = openloop("doctor", "-o", "json")
    found = {check["part"]: check for check in ran.json["checks"]}

    assert found["secrets: GITHUB_TOKEN"]["detail"] == "secretref://store/github"
    assert found["secrets: master keys"]["state"] == "ok"
    assert found["github: token"]["state"] == "problem"  # it was configured, and asked
    assert VALUE not in ran.out + ran.err

    monkeypatch.setenv("GITHUB_TOKEN", "secretref://store/another")
    found = {check["part"]: check for check in openloop("doctor", "-o", "json").json["checks"]}
    assert found["secrets: GITHUB_TOKEN"]["state"] == "problem"
    assert "openloop secrets set another" in found["secrets: GITHUB_TOKEN"]["detail"]


def test_each_process_gets_what_its_own_references_need() -> None:
    environ = {
        "OPENAI_API_KEY": "secretref://env/MODELS",
        "GITHUB_TOKEN": "secretref://env/TOOLS",
        "ANTHROPIC_API_KEY": "secretref://env/BOTH",
        "SLACK_BOT_TOKEN": "secretref://env/BOTH",
        "MODELS": "of models",
        "TOOLS": "of tools",
        "BOTH": "of both",
        "DATABASE_URL": "postgresql://localhost/openloop",
    }
    gateway, others = for_gateway(environ), for_serve_and_worker(environ)
    assert gateway.keys() == {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MODELS", "BOTH"}
    assert others.keys() == {"GITHUB_TOKEN", "SLACK_BOT_TOKEN", "TOOLS", "BOTH", "DATABASE_URL"}


def test_the_gateway_learns_where_the_store_is_only_where_a_key_is_in_it() -> None:
    environ = {
        "OPENAI_API_KEY": "a key",
        "GITHUB_TOKEN": "secretref://store/github",
        "DATABASE_URL": "postgresql://localhost/openloop",
    }
    assert "DATABASE_URL" not in for_gateway(environ)
    environ["OPENAI_API_KEY"] = "secretref://store/openai"
    assert "DATABASE_URL" in for_gateway(environ)
