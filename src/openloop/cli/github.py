"""`openloop github`: the GitHub App, or the account, of this installation."""

from __future__ import annotations

import json

import click

from openloop.cli.output import Format, output_option, say


@click.group()
def github() -> None:
    """Make and check the GitHub App, or the token."""


@github.command("manifest")
@click.option("--poll", is_flag=True, help="GitHub is asked for events: no public address needed.")
@click.option("--url", metavar="URL", help="The public https address of this server.")
@click.option("--org", metavar="NAME", help="Make it an App of this organization, not your own.")
@click.option("--name", default="OpenLoop", show_default=True, help="Name of the App.")
def manifest(url: str | None, org: str | None, name: str, *, poll: bool) -> None:
    """Print the GitHub App to create.

    It has the permissions and events that are needed, and no others. Standard error gets the
    address of GitHub's form, filled in with the same.
    """
    # --help needs none of it.
    from openloop import settings  # noqa: PLC0415
    from openloop.integrations.github.manifest import app_manifest, form_url  # noqa: PLC0415
    from openloop.integrations.github.settings import API_URL, web_url_of  # noqa: PLC0415

    if poll == (url is not None):
        raise click.UsageError("Say how events arrive: --poll, or --url URL")
    made = app_manifest(request_url=url, name=name)
    api_url = settings.read_environment().get("GITHUB_API_URL", "").strip() or API_URL
    form = form_url(made, web_url=web_url_of(api_url), organization=org)
    click.echo(json.dumps(made, indent=2, ensure_ascii=False))
    say(f"Create it here, then make a private key on its page: {form}")


@github.command("check")
@click.argument("repositories", nargs=-1, metavar="[OWNER/NAME]...")
@output_option
def check(repositories: tuple[str, ...], output: Format) -> int:
    """Look whether GitHub is set up right, and what to do if not.

    That is the key, the installation, its permissions, the events, the clock and the limits.
    Repositories that are named are looked at one by one.
    """
    from openloop.cli import checkup, github_checkup  # noqa: PLC0415  # --help imports no aiohttp

    checks = [
        *checkup.check_integration("github"),
        *github_checkup.check_repositories(repositories),
    ]
    return checkup.show(checks, output)
