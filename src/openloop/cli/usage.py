"""`openloop usage`: what was spent this month, and what may be."""

from __future__ import annotations

from decimal import Decimal

import click

from openloop.cli.client import connect
from openloop.cli.output import Column, Format, Json, field, output_option, say, show_list, table
from openloop.cli.text import money

BUDGETS = (
    Column(title="BUDGET", text=lambda line: f"{line['axis']} {line['name']}".strip()),
    Column(title="SPENT", text=lambda line: money(line["settled_usd"])),
    Column(title="RESERVED", text=lambda line: money(line["reserved_usd"])),
    Column(title="LIMIT", text=lambda line: _limit(line)),
    Column(title="LEFT", text=lambda line: _left(line)),
    Column(title="OVERRUN", text=lambda line: money(line["overrun_usd"]), wide=True),
)
MODELS = (
    field("AGENT", "agent"),
    field("MODEL", "model"),
    field("CALLS", "calls"),
    field("INPUT", "input_tokens"),
    field("OUTPUT", "output_tokens"),
    Column(title="COST", text=lambda line: money(line["cost_usd"])),
)


@click.command()
@output_option
def usage(output: Format) -> None:
    """Show this month's spend: by budget, by agent, by model."""
    answer = connect().get("/api/v1/usage")
    show_list(
        answer,
        answer["budgets"],
        BUDGETS,
        output=output,
        name=lambda line: f"budget/{line['axis']}{'/' if line['name'] else ''}{line['name']}",
        nothing=f"Nothing was spent in {answer['month']}.",
    )
    if output in ("table", "wide") and answer["models"]:
        click.echo()
        click.echo(table(answer["models"], MODELS, most=None))
    if output in ("table", "wide"):
        say(f"Since {answer['month']} (UTC).")


def _limit(line: Json) -> str:
    return "none" if line["limit_usd"] is None else money(line["limit_usd"])


def _left(line: Json) -> str:
    if line["limit_usd"] is None:
        return ""
    used = Decimal(str(line["settled_usd"])) + Decimal(str(line["reserved_usd"]))
    return money(max(Decimal(0), Decimal(str(line["limit_usd"])) - used))
