"""The client of the account that the settings name: a personal token's, or an App's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.app_auth import AppCredentials
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import PersonalToken
from openloop.integrations.github.limits import shared_limits

if TYPE_CHECKING:
    from openloop.integrations.github.app_api import AppApi
    from openloop.integrations.github.settings import GitHubSettings


def client_of(settings: GitHubSettings) -> GitHubClient:
    """A client whose limits are shared with all others of this process."""
    limits = shared_limits(settings.api_url)
    credentials = (
        PersonalToken(settings.token)
        if settings.token is not None
        else AppCredentials(settings, limits=limits)
    )
    return GitHubClient(settings.api_url, credentials, limits=limits, log_hosts=settings.log_hosts)


def app_of(client: GitHubClient) -> AppCredentials | None:
    """The App that this client acts as; None where it has a personal token."""
    credentials = client.credentials
    return credentials if isinstance(credentials, AppCredentials) else None


def app_api_of(client: GitHubClient) -> AppApi | None:
    """The endpoints of that App."""
    app = app_of(client)
    return None if app is None else app.api
