"""Asking for what the options did not say; everything asked goes to standard error."""

from __future__ import annotations

import getpass
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openloop.cli.output import say
from openloop.cli.setup.answers import MODELS, Answers, Somebody, is_member_id, slug, somebody
from openloop.cli.setup.slack import API_URL, SlackSaidNo, SlackWorkspace
from openloop.cli.text import one_line
from openloop.domain.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

SLACK = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET")
GITHUB = "GITHUB_TOKEN"
GITHUB_APP = (
    "GITHUB_APP_ID",
    "GITHUB_APP_PRIVATE_KEY",
    "GITHUB_APP_PRIVATE_KEY_FILE",
    "GITHUB_WEBHOOK_SECRET",
)
_ADDRESSES = ("SLACK_API_URL", "GITHUB_API_URL")


class Interview:
    """Finds an answer to every question: an option, else a person, else (`--yes`) a default."""

    def __init__(
        self, given: Mapping[str, object], environ: Mapping[str, str], *, asks: bool
    ) -> None:
        self._given = given
        self._environ = environ
        self._asks = asks
        self._secrets: dict[str, str] = {}

    def run(self) -> Answers:
        """Ask everything. Raises Invalid where an answer cannot be used."""
        workspace = self._text("workspace", "Name of the workspace", _folder_name())
        agent = self._text("agent", "Name of the agent", "assistant")
        people = self._people()
        slack, team = self._slack()
        channel = str(self._given.get("channel") or "")
        if slack is not None:
            channel = self._text("channel", "Slack channel of the agent (empty: later)", "")
            people = tuple(self._on_slack(slack, person) for person in people)
        repos = self._github()
        model = self._model()
        self._secrets.update({n: self._environ[n] for n in _ADDRESSES if self._environ.get(n)})
        return Answers(
            workspace=workspace,
            agent=agent,
            people=people,
            channel=channel if not channel or channel.startswith("#") else f"#{channel}",
            slack_team=team,
            repos=repos,
            model=model,
            monthly_usd=self._budget(),
            secrets=self._secrets,
        )

    def _text(self, option: str, question: str, default: str) -> str:
        given = self._given.get(option)
        if given:
            return str(given)
        if not self._asks:
            return default
        return str(click.prompt(question, default=default, show_default=bool(default), err=True))

    def _secret(self, variable: str, question: str) -> str:
        """A secret from the environment, else asked for without showing it."""
        text = self._environ.get(variable, "").strip()
        if not text and self._asks:
            asked: str = click.prompt(
                question, default="", show_default=False, hide_input=True, err=True
            )
            text = asked.strip()
        if text:
            self._secrets[variable] = text
        return text

    def _people(self) -> tuple[Somebody, ...]:
        given = self._given.get("people")
        if isinstance(given, tuple) and given:
            return tuple(somebody(str(each)) for each in given)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        me = slug(getpass.getuser(), otherwise="owner")
        if not self._asks:
            return (Somebody(name=me),)
        people = [self._person("Your name, as others will write it after an @", me)]
        while True:
            question = "Another person who may approve (empty: nobody else)"
            name: str = click.prompt(question, default="", show_default=False, err=True)
            if not name:
                return tuple(people)
            people.append(Somebody(name=slug(name, otherwise="person"), email=self._email(name)))

    def _person(self, question: str, default: str) -> Somebody:
        name = slug(str(click.prompt(question, default=default, err=True)), otherwise=default)
        return Somebody(name=name, email=self._email(name))

    def _email(self, name: str) -> str:
        question = f"E-mail address of {name} on Slack (empty: none)"
        return str(click.prompt(question, default="", show_default=False, err=True))

    def _slack(self) -> tuple[SlackWorkspace | None, str]:
        """The Slack workspace of the bot token and its id; nothing where there is no token."""
        if self._asks:
            say("Slack: `openloop slack manifest --socket` prints the app to create first.")
        token = self._secret(SLACK[0], "Slack bot token, xoxb-... (empty: later)")
        if not token:
            return None, ""
        if not self._secret(
            SLACK[1], "Slack app-level token for Socket Mode, xapp-... (empty: HTTP)"
        ):
            self._secret(SLACK[2], "Slack signing secret, for events over HTTP")
        slack = SlackWorkspace(token=token, api_url=self._environ.get(_ADDRESSES[0]) or API_URL)
        try:
            bot = slack.bot()
        except SlackSaidNo as no:
            message = f"The Slack bot token does not work: {no}"
            raise Invalid(message, problems=(message,)) from no
        except Unavailable as error:
            say(f"{error}: the workspace is asked again by `openloop doctor`.")
            return slack, ""
        say(f"Slack: {one_line(bot.name)} in {one_line(bot.team)} ({one_line(bot.team_id)})")
        return slack, bot.team_id

    def _on_slack(self, slack: SlackWorkspace, person: Somebody) -> Somebody:
        """The person with their member id: Slack is asked, and where it does not say, a person."""
        if person.slack:
            return person
        if person.email:
            try:
                found = slack.member_id(person.email)
            except (SlackSaidNo, Unavailable) as error:
                say(f"Slack did not say who {person.name} is: {error}")
            else:
                say(f"Slack: {person.name} is {one_line(found)}")
                return replace(person, slack=found)
        if not self._asks:
            return person
        question = f"Slack member id of {person.name} (their profile, three dots, Copy member ID; empty: none)"
        while True:
            text: str = click.prompt(question, default="", show_default=False, err=True)
            if not text or is_member_id(text.strip()):
                return replace(person, slack=text.strip())
            say("A member id looks like U012AB3CD.")

    def _github(self) -> tuple[str, ...]:
        account = self._github_account()
        given = self._given.get("repos")
        if isinstance(given, tuple) and given:
            return tuple(map(str, given))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if not account:
            return ()
        text = self._text("", "Repositories the agent may use, owner/name with commas", "")
        return tuple(each.strip() for each in text.split(",") if each.strip())

    def _github_account(self) -> bool:
        """The App of the environment, which nobody has to type, else a token."""
        given = {name: self._environ.get(name, "").strip() for name in GITHUB_APP}
        app = {name: text.replace("\n", "\\n") for name, text in given.items() if text}
        if GITHUB_APP[0] in app:
            self._secrets.update(app)
            return True
        if self._asks:
            say("GitHub: `openloop github manifest --poll` leads to an App; a token will do, too.")
        return bool(self._secret(GITHUB, "GitHub token (empty: later)"))

    def _model(self) -> str:
        """A model, and the key of its provider."""
        given = self._given.get("model")
        if given:
            variable = MODELS.get(str(given).partition("/")[0], ("",))[0]
            if variable:
                self._secret(variable, f"{variable} (empty: later)")
            return str(given)
        present = next((p for p, (key, _) in MODELS.items() if self._environ.get(key)), "openai")
        provider = present
        if self._asks:
            choice = click.Choice(tuple(MODELS))
            provider = str(click.prompt("Model provider", type=choice, default=present, err=True))
        variable, model = MODELS[provider]
        self._secret(variable, f"{variable} (empty: later)")
        return model

    def _budget(self) -> Decimal:
        text = self._text("budget", "Most to spend in a month, in US dollars", "50")
        try:
            amount = Decimal(text)
        except InvalidOperation:
            amount = Decimal(0)
        if not amount.is_finite() or amount <= 0:
            message = f"A budget is an amount of US dollars, not {text!r}"
            raise Invalid(message, problems=(message,))
        return amount


def _folder_name() -> str:
    return slug(Path.cwd().name, otherwise="team")
