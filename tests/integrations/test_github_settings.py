"""What the environment may say about GitHub, and what is refused with every problem at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from joserfc.jwk import ECKey, RSAKey

from openloop.domain.errors import Misconfigured
from openloop.integrations.github.settings import GitHubSettings
from openloop.testing.rigs.github.apps import rig_key

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "ghp_0123456789"


def problems(**environment: str) -> tuple[str, ...]:
    with pytest.raises(Misconfigured) as refused:
        GitHubSettings.read(environment)
    return tuple(refused.value.problems)


def read(**environment: str) -> GitHubSettings:
    settings = GitHubSettings.read(environment)
    assert settings is not None
    return settings


def test_without_a_token_and_without_an_app_there_is_no_github() -> None:
    assert GitHubSettings.read({"GITHUB_API_URL": "https://github.example/api/v3"}) is None


def test_a_token_polls_unless_a_secret_says_that_github_delivers() -> None:
    assert read(GITHUB_TOKEN=TOKEN).webhooks == "poll"
    assert read(GITHUB_TOKEN=TOKEN, GITHUB_WEBHOOK_SECRET="s3cret-s3cret").webhooks == "http"
    both = read(GITHUB_TOKEN=TOKEN, GITHUB_WEBHOOK_SECRET="s3cret-s3cret", GITHUB_WEBHOOKS="poll")
    assert both.webhooks == "poll"


def test_an_app_is_read_with_its_key_as_text_or_with_line_ends_spelled_out() -> None:
    for key in (rig_key(), rig_key().replace("\n", "\\n")):
        settings = read(GITHUB_APP_ID="1001", GITHUB_APP_PRIVATE_KEY=key)
        assert settings.app is not None
        assert settings.app.private_key == rig_key()
        assert settings.token is None


def test_or_with_the_key_in_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    file.write_text(rig_key())
    file.chmod(0o600)
    settings = read(GITHUB_APP_ID="Iv23abc", GITHUB_APP_PRIVATE_KEY_FILE=str(file))
    assert settings.app is not None
    assert settings.app.private_key == rig_key()

    file.chmod(0o640)
    [problem] = problems(GITHUB_APP_ID="1001", GITHUB_APP_PRIVATE_KEY_FILE=str(file))
    assert problem == f"GITHUB_APP_PRIVATE_KEY_FILE: others may read {file}: chmod 600 {file}."


def test_no_secret_is_shown_by_what_is_read() -> None:
    shown = repr(
        read(
            GITHUB_APP_ID="1001",
            GITHUB_APP_PRIVATE_KEY=rig_key(),
            GITHUB_WEBHOOK_SECRET="s3cret-s3cret",
        )
    ) + repr(read(GITHUB_TOKEN=TOKEN))
    assert TOKEN not in shown
    assert "s3cret" not in shown
    assert "PRIVATE KEY" not in shown


def test_every_problem_of_token_app_webhooks_and_address_is_told_at_once() -> None:
    told = problems(
        GITHUB_TOKEN="a b",
        GITHUB_APP_ID="not an id",
        GITHUB_APP_PRIVATE_KEY="ghp_this_is_no_key",
        GITHUB_WEBHOOKS="push",
        GITHUB_WEBHOOK_SECRET="short",
        GITHUB_API_URL="http://github.example",
    )
    assert [each.split(" ")[0] for each in told] == [
        "GITHUB_TOKEN",
        "GITHUB_TOKEN",
        "GITHUB_WEBHOOKS",
        "GITHUB_WEBHOOK_SECRET",
        "GITHUB_API_URL",
        "GITHUB_APP_ID",
        "GITHUB_APP_PRIVATE_KEY:",
    ]
    assert "keep the token or the App" in told[1]
    assert "ghp_this_is_no_key" not in " ".join(told)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"GITHUB_APP_ID": "1001"}, "One of GITHUB_APP_PRIVATE_KEY"),
        ({"GITHUB_APP_PRIVATE_KEY": "KEY"}, "GITHUB_APP_ID is missing"),
        (
            {
                "GITHUB_APP_ID": "1",
                "GITHUB_APP_PRIVATE_KEY": "KEY",
                "GITHUB_APP_PRIVATE_KEY_FILE": "/x",
            },
            "One of GITHUB_APP_PRIVATE_KEY",
        ),
        ({"GITHUB_APP_ID": "1", "GITHUB_APP_PRIVATE_KEY_FILE": "/there/is/none"}, "cannot be read"),
        ({"GITHUB_TOKEN": TOKEN, "GITHUB_WEBHOOKS": "http"}, "needs GITHUB_WEBHOOK_SECRET"),
    ],
)
def test_what_is_half_configured_is_refused_in_words(
    environment: dict[str, str], said: str
) -> None:
    filled = {name: rig_key() if text == "KEY" else text for name, text in environment.items()}
    assert [each for each in problems(**filled) if said in each]


def test_a_key_that_github_would_not_take_is_refused() -> None:
    keys = {
        "public": RSAKey.import_key(rig_key()).as_pem(private=False).decode(),
        "elliptic": ECKey.generate_key("P-256").as_pem(private=True).decode(),
        "cut off": rig_key()[:400],
    }
    for name, key in keys.items():
        [problem] = problems(GITHUB_APP_ID="1001", GITHUB_APP_PRIVATE_KEY=key)
        assert problem.startswith("GITHUB_APP_PRIVATE_KEY: it "), name
        assert key[40:60] not in problem


def test_an_enterprise_server_has_its_pages_and_graphql_beside_its_api() -> None:
    own = read(GITHUB_TOKEN=TOKEN, GITHUB_API_URL="https://github.example/api/v3/")
    assert own.web_url == "https://github.example"
    assert own.graphql_url == "https://github.example/api"
    public = read(GITHUB_TOKEN=TOKEN)
    assert (public.web_url, public.graphql_url) == ("https://github.com", "https://api.github.com")


@pytest.mark.parametrize(
    ("url", "issuer", "linked"),
    [
        ("https://agents.acme.example/", "https://id", "https://agents.acme.example"),
        ("https://acme.example/openloop", "https://id", "https://acme.example/openloop"),
        ("https://agents.acme.example", "", ""),
        ("", "https://id", ""),
        ("https://x)[approve](https://y", "https://id", ""),
    ],
)
def test_this_installation_is_linked_where_it_has_logins(
    url: str, issuer: str, linked: str
) -> None:
    settings = read(GITHUB_TOKEN=TOKEN, OPENLOOP_PUBLIC_URL=url, OPENLOOP_OIDC_ISSUER=issuer)
    assert settings.public_url == linked
