"""What is shown on a card is what would run."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop.domain.surface import Ask, Asked, Button, Field, Settle
from openloop.integrations.slack.render import Part, render_ask, render_settle
from openloop.testing.rigs.slack.blocks import problems_of
from tests.integrations.slack import make
from tests.integrations.slack.reading import kinds, live, objects, words

NASTY = st.text(
    alphabet=st.one_of(
        st.sampled_from('`*_~<>&!@#|\n\t\u202e\u200b\u0430"\\'), st.characters(codec="utf-8")
    ),
    max_size=400,
)


def asked(*, mention_ids: tuple[str, ...] = (), **changes: Any) -> Part:
    buttons = (make.APPROVE, make.REJECT)
    return render_ask(Ask(card=make.card(**changes), buttons=buttons, mention_ids=mention_ids))


def actions_of(part: Part) -> list[str]:
    return [o["action_id"] for o in objects(part.blocks) if o.get("type") == "button"]


@given(body=NASTY.filter(str.strip), value=NASTY)
def test_the_body_and_the_values_are_shown_exactly(body: str, value: str) -> None:
    part = asked(body=body, fields=(Field(label="Title", value=value),))
    blocks = orjson.loads(orjson.dumps(part.blocks))
    assert problems_of(blocks) == []
    assert live(part.blocks, part.text) == set()
    shown = words(part.blocks)
    assert spelled(body) in shown
    assert spelled(value) in shown
    assert not any(o.get("type") == "mrkdwn" for o in objects(part.blocks))


def spelled(text: str) -> str:
    """The text with what nobody can see written out."""
    return "".join(char if is_seen(char) else f"[U+{ord(char):04X}]" for char in text)


def is_seen(char: str) -> bool:
    return char in "\n\t" or char.isprintable() or unicodedata.category(char) == "Zs"


def test_the_models_reason_stands_apart_with_a_label() -> None:
    part = asked(reason="Approved by anna already.\nThe model says: yes")
    blocks = [b for b in part.blocks if "Approved by anna" in words(b)]
    (block,) = blocks
    assert [kind for kind in kinds(block) if kind.startswith("rich_text_")] == [
        "rich_text_section",
        "rich_text_quote",
    ]
    assert words(block).startswith("The model says:")


def test_direction_overrides_are_spelled_out() -> None:
    part = asked(title="Delete \u202etxt.exe", body="a\u200bb")
    assert "Delete [U+202E]txt.exe" in words(part.blocks)
    assert "a[U+200B]b" in words(part.blocks)


def test_a_title_longer_than_a_header_is_shown_whole() -> None:
    title = "Comment on " + "an issue with a very long name " * 8
    part = asked(title=title.strip())
    assert title.strip() in words(part.blocks)
    assert actions_of(part) == ["approve", "reject"]


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "x" * 13_000},
        {"body": "\u4e2d" * 5_000},
        {"body": '"' * 7_000},
        {"fields": tuple(Field(label=f"f{n}", value="v" * 250) for n in range(60))},
        {"reason": "r" * 13_000},
        {"title": "t" * 13_000},
        {"notes": tuple("n" * 1500 for _ in range(9))},
    ],
)
def test_what_does_not_fit_cannot_be_approved_here(changes: dict[str, Any]) -> None:
    part = asked(**changes)
    assert actions_of(part) == ["reject"]
    assert "cannot be approved here" in words(part.blocks)
    assert len(orjson.dumps(part.blocks)) <= 12_000
    assert problems_of(orjson.loads(orjson.dumps(part.blocks))) == []


def test_the_excerpt_of_the_longest_card_fits() -> None:
    widest = "\U0001f600" * 400
    part = asked(
        title=widest,
        fields=tuple(Field(label=widest, value=widest) for _ in range(50)),
        body=widest * 50,
        reason=widest,
        notes=(widest,) * 50,
        mention_ids=tuple(f"U0PERSON{n:02}" for n in range(60)),
    )
    assert len(orjson.dumps(part.blocks)) <= 13_000
    assert problems_of(orjson.loads(orjson.dumps(part.blocks))) == []


def test_those_who_decide_are_told_once() -> None:
    part = asked(mention_ids=("U0ANNA", "S0TEAM"), notes=("<@U0ANNA> may decide",))
    assert live(part.blocks, "") == {"<@U0ANNA>", "S0TEAM"}
    assert "Waiting for" in words(part.blocks)


def test_no_other_mention_on_a_card_is_live() -> None:
    part = asked(
        title="<@U0BEN>",
        body="<@U0BEN> <!channel>",
        reason="<@U0BEN>",
        notes=("<@U0BEN>", "<!here> <@U0ANNA>"),
        mention_ids=("U0ANNA",),
    )
    assert live(part.blocks, part.text) == {"<@U0ANNA>"}


def test_a_settled_card_keeps_what_was_shown() -> None:
    card = make.card()
    settled = render_settle(Settle(message_id="1.2", card=card, outcome="Rejected by <@U0ANNA>"))
    before = asked()
    assert actions_of(settled) == []
    assert words(settled.blocks).startswith(words(before.blocks[:-1]))
    assert words(settled.blocks).endswith("Rejected by @U0ANNA")
    assert live(settled.blocks, settled.text) == set()


# --- several calls on one card -------------------------------------------------------------------


def shared(*bodies: str, more: str = "") -> Part:
    first, *others = [
        Asked(approval=str(at), card=make.card(title=f"Call {at}", body=body), buttons=buttons(at))
        for at, body in enumerate(bodies)
    ]
    return render_ask(Ask(card=first.card, buttons=first.buttons, others=tuple(others), more=more))


def buttons(at: int) -> tuple[Button, ...]:
    return tuple(replace(each, token=f"token-{at}") for each in (make.APPROVE, make.REJECT))


def test_calls_that_share_a_card_have_buttons_of_their_own() -> None:
    part = shared("one", "two", "three", more="2 more calls of this step: in the inbox")
    blocks = orjson.loads(orjson.dumps(part.blocks))
    assert problems_of(blocks) == []
    pressed = [o for o in objects(part.blocks) if o.get("type") == "button"]
    assert [o["value"] for o in pressed] == [f"token-{at}" for at in (0, 0, 1, 1, 2, 2)]
    assert len({o["action_id"] for o in pressed}) == 6
    shown = words(part.blocks)
    assert all(f"Call {at}" in shown for at in range(3))
    assert "2 more calls of this step" in shown


def test_each_call_stands_before_its_own_buttons() -> None:
    part = shared("one", "two")
    order = [str(block.get("elements", block)) for block in orjson.loads(orjson.dumps(part.blocks))]
    at = [next(i for i, each in enumerate(order) if mark in each) for mark in ("one", "token-0")]
    later = [next(i for i, each in enumerate(order) if mark in each) for mark in ("two", "token-1")]
    assert at[0] < at[1] < later[0] < later[1]


def test_what_does_not_fit_on_a_shared_card_cannot_be_approved_on_it() -> None:
    part = shared("x" * 6_000, "y" * 9_000, "z")
    assert problems_of(orjson.loads(orjson.dumps(part.blocks))) == []
    assert actions_of(part) == ["approve", "reject", "reject#2", "approve#3", "reject#3"]
    assert "too long to be shown here as a whole" in words(part.blocks)


def test_a_decided_call_keeps_the_others_open() -> None:
    second = Asked(approval="1", card=make.card(title="Call 1"), buttons=buttons(1))
    settle = Settle(
        message_id="1.2", card=make.card(title="Call 0"), outcome="Rejected", others=(second,)
    )
    part = render_settle(settle)
    pressed = [o["value"] for o in objects(part.blocks) if o.get("type") == "button"]
    assert pressed == ["token-1", "token-1"]
    assert "Rejected" in words(part.blocks)
