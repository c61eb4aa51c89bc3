"""`openloop usage`: what was spent this month and today, and what may be."""

from __future__ import annotations

import click

from openloop.cli.client import connect
from openloop.cli.output import Column, Format, Json, field, output_option, say, show_list, table
from openloop.cli.text import money

SPANS = {"month": "month", "day": "today", "run": "run"}
AXES = {"principal": "person"}

BUDGETS = (
    Column(title="BUDGET", text=lambda line: _name(line)),
    Column(title="SPAN", text=lambda line: SPANS[line["span"]]),
    Column(title="SPENT", text=lambda line: money(line["settled_usd"])),
    Column(title="RESERVED", text=lambda line: money(line["reserved_usd"])),
    Column(title="LIMIT", text=lambda line: _limit(line)),
    Column(title="LEFT", text=lambda line: _money(line["remaining_usd"])),
    Column(title="MONTH END", text=lambda line: _money(line["projected_usd"])),
    Column(title="WARNED", text=lambda line: _told(line)),
    Column(title="TOKENS", text=lambda line: _tokens(line)),
    Column(title="AT LIMIT", text=lambda line: line["on_exceeded"], wide=True),
    Column(title="EXTENDED", text=lambda line: _extended(line), wide=True),
    Column(title="OVERRUN", text=lambda line: money(line["overrun_usd"]), wide=True),
)
MODELS = (
    field("AGENT", "agent"),
    field("MODEL", "model"),
    field("CALLS", "calls"),
    field("INPUT", "input_tokens"),
    field("OUTPUT", "output_tokens"),
    Column(title="COST", text=lambda line: money(line["cost_usd"])),
    Column(title="ASSUMED", text=lambda line: str(line["assumed_calls"] or "")),
)


@click.command()
@output_option
def usage(output: Format) -> None:
    """Show this month's and today's spend, by budget, agent, model."""
    answer = connect().get("/api/v1/usage")
    show_list(
        answer,
        answer["budgets"],
        BUDGETS,
        output=output,
        name=lambda line: f"budget/{_name(line).replace(' ', '/')}/{line['span']}",
        nothing=f"Nothing was spent in {answer['month']}.",
    )
    if output in ("table", "wide") and answer["models"]:
        click.echo()
        click.echo(table(answer["models"], MODELS, most=None))
    if output in ("table", "wide"):
        say(f"Since {answer['month']} (UTC). MONTH END: if it goes on like this.")
        if answer["assumed_calls"]:
            say(
                f"Usage assumed: nobody counted {answer['assumed_calls']} calls; all that was set "
                f"aside for them, {money(answer['assumed_usd'])}, is charged."
            )


def _name(line: Json) -> str:
    name = line["subject"] if line["axis"] == "run" else line["name"]
    return f"{AXES.get(line['axis'], line['axis'])} {name}".strip()


def _limit(line: Json) -> str:
    return "none" if line["limit_usd"] is None else money(line["limit_usd"])


def _money(amount: str | None) -> str:
    return "" if amount is None else money(amount)


def _told(line: Json) -> str:
    return f"{line['told_percent']} %" if line["told_percent"] else ""


def _tokens(line: Json) -> str:
    used = line["settled_tokens"] + line["reserved_tokens"]
    limit = line["limit_tokens"]
    return f"{used:,}" if limit is None else f"{used:,} of {limit + line['extra_tokens']:,}"


def _extended(line: Json) -> str:
    parts = [money(line["extra_usd"])] if float(line["extra_usd"]) else []
    parts += [f"{line['extra_tokens']:,} tokens"] if line["extra_tokens"] else []
    return ", ".join(parts)
