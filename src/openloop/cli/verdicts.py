"""`openloop agents explain`: what the policy makes of a call, and where that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from openloop.cli.client import by_name, connect
from openloop.cli.output import output_option, show_one

if TYPE_CHECKING:
    from openloop.cli.output import Format, Json

WORDS = {"allow": "allowed at once", "hold": "held for an approval", "deny": "denied"}


@click.command("explain")
@click.argument("agent")
@click.option(
    "--call",
    required=True,
    metavar="PERMISSION",
    help="What is called, as manifests gate it: github.issues:write.",
)
@click.option("--resource", metavar="NAME", help="What it touches: acme/platform.")
@click.option(
    "--kind",
    type=click.Choice(["repo", "channel", "host"]),
    help="What kind of thing that is: repo, unless it is said.",
)
@click.option(
    "--effect",
    type=click.Choice(["read", "note", "write", "destroy"]),
    help="What the tool does, where the permission does not say it.",
)
@click.option(
    "--place",
    metavar="PLACE",
    help="A place of the agent, or a class: private, internal, guests, shared, public.",
)
@click.option("--as", "person", metavar="PERSON", help="Who asks, by name; else an operator.")
@output_option
def explain(
    agent: str,
    *,
    call: str,
    resource: str | None,
    kind: str | None,
    effect: str | None,
    place: str | None,
    person: str | None,
    output: Format,
) -> None:
    """Say what would become of a call, and which rule decides it.

    It is judged as it would be for a run, by the manifests in force; where the rule is written is
    shown, too. Nothing is called.
    """
    asked = {
        "call": call,
        "resource": resource,
        "kind": kind,
        "effect": effect,
        "place": place,
        "as": person,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    answer = connect().get(f"/api/v1/agents/{by_name('agent', agent)}/explain", **given)
    show_one(answer, _lines(answer), output=output, name=f"verdict/{answer['verdict']}")


def _lines(answer: Json) -> list[tuple[str, object]]:
    return [
        ("Verdict", WORDS[answer["verdict"]]),
        ("Rule", answer["rule"]),
        ("Written", _written(answer["written"])),
        ("Reason", answer["reason"]),
        ("Decides", "\n".join(_demand(each) for each in answer["demands"])),
        ("Expires", f"{answer['expires_hours']} h" if answer["expires_hours"] else ""),
        ("Call", f"{answer['call']} ({answer['effect']}) {answer['resource']}".rstrip()),
        ("Asked by", answer["person"]),
        ("Place", answer["place"]),
        ("Assuming", "\n".join(answer["assumes"])),
    ]


def _written(written: Json | None) -> str:
    if written is None:
        return "nowhere: it holds for every agent"
    where = f"{written['manifest']}, revision {written['revision']}, line {written['line']}"
    return f"{where}\n{written['text']}"


def _demand(asked: Json) -> str:
    demand: Json = asked["demand"]
    names = ", ".join(demand["approvers"])
    people = ", ".join(asked["people"])
    barred = ", not whoever asked" if demand["not_requester"] else ""
    return f"{demand['quorum']} of {names} ({people}){barred} [{demand['rule']}]"
