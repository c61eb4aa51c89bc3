"""GitHub's REST API, as much of it as OpenLoop uses."""

from __future__ import annotations

from openloop.integrations.github.requests.accounts import Accounts
from openloop.integrations.github.requests.actions import Actions
from openloop.integrations.github.requests.checks import Checks
from openloop.integrations.github.requests.comments import Comments
from openloop.integrations.github.requests.commits import Commits
from openloop.integrations.github.requests.files import Files
from openloop.integrations.github.requests.issues import Issues
from openloop.integrations.github.requests.labels import Labels
from openloop.integrations.github.requests.pulls import Pulls
from openloop.integrations.github.requests.reviews import Reviews
from openloop.integrations.github.requests.search import Search


class GitHubClient(
    Accounts, Issues, Comments, Labels, Pulls, Reviews, Checks, Commits, Files, Search, Actions
):
    """One GitHub, asked by one account; a file of `requests` for each of its resources.

    How it asks (time-outs, limits, tokens, errors) is said once, in `Exchange`.
    """
