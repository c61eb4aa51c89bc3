"""Attacks on cards: what cannot be shown whole cannot be set going from here, by any button."""

from __future__ import annotations

import pytest

from openloop.domain.surface import Ask, Button
from openloop.integrations.slack.render import render_ask
from tests.integrations.slack import make
from tests.integrations.slack.reading import objects


@pytest.mark.parametrize("action", ["approve", "retry"])
def test_a_card_that_is_cut_offers_nothing_that_runs_the_call(action: str) -> None:
    runs = Button(action=action, label="Yes", token="token-1")
    other = Button(action="deny" if action == "approve" else "happened", label="No", token="t2")

    part = render_ask(Ask(card=make.card(body="x" * 60_000), buttons=(runs, other)))

    shown = [o["action_id"] for o in objects(part.blocks) if o.get("type") == "button"]
    assert shown == [other.action]
