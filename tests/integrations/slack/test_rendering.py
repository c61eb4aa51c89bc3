"""Answers as Slack shows them: golden files, and the rules one by one.

Write the golden files anew with OPENLOOP_WRITE_GOLDEN=1, and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from openloop.domain.surface import Amend, Ask, Button, Say, Settle, Whisper
from openloop.integrations.slack.render import (
    Part,
    render_amend,
    render_ask,
    render_say,
    render_settle,
    render_whisper,
)
from openloop.testing.rigs.slack.blocks import problems_of
from tests.integrations.slack import make
from tests.integrations.slack.reading import live, objects, words

if TYPE_CHECKING:
    from collections.abc import Sequence

GOLDEN = Path(__file__).parent / "golden"

ANSWER = """\
# Why deploys fail

The **canary** step times out since _Tuesday_ - see `deploy.yml` and
[the run](https://github.com/acme/platform/actions/runs/7). ~~Not DNS.~~

- [x] reproduced
- [ ] fixed
  1. raise the limit
  2. ask <@U0ANNA>

> <@U0PRIYA> said: *wait*
> - for the audit

| step | seconds |
|------|--------:|
| build | 2*3*4 |
| canary | 301 |

```yaml
timeout: 300  # <!channel>
```

Thanks <@U0PRIYA>, @here and <!subteam^S0TEAM|@team> & co: https://status.example/x.
"""


def say(markdown: str, **changes: Any) -> Say:
    return Say(markdown=markdown, **changes)


def rendered(markdown: str, **changes: Any) -> Part:
    (part,) = render_say(say(markdown, **changes))
    return part


def golden(name: str, parts: Sequence[Part]) -> None:
    """Compare with the golden file: blocks as JSON, then the text of the notification."""
    blocks = [orjson.loads(orjson.dumps(part.blocks)) for part in parts]
    for given in blocks:
        assert problems_of(given) == []
    shown = orjson.dumps(
        [{"text": part.text, "blocks": given} for part, given in zip(parts, blocks, strict=True)],
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )
    path = GOLDEN / f"{name}.json"
    if os.environ.get("OPENLOOP_WRITE_GOLDEN") == "1":
        path.write_bytes(shown)
    assert shown.decode() == path.read_text(encoding="utf-8")


def test_an_answer_reads_as_it_was_written() -> None:
    undo = Button(action="undo", label="Undo", token="token-1")
    parts = render_say(
        say(
            ANSWER,
            buttons=(undo, undo),
            footer="scripted model, no AI was used - $0.0012",
            mention_ids=("U0PRIYA",),
        )
    )
    golden("answer", parts)


def test_a_card_shows_every_argument() -> None:
    ask = Ask(card=make.card(), buttons=(make.APPROVE, make.REJECT), mention_ids=("U0ANNA",))
    golden("card", [render_ask(ask)])


def test_a_settled_card_has_no_buttons_and_says_what_came_of_it() -> None:
    settle = Settle(message_id="1.2", card=make.card(), outcome="Approved by anna - issue #12")
    golden("settled", [render_settle(settle)])


def test_a_card_that_cannot_be_shown_whole_cannot_be_approved() -> None:
    ask = Ask(card=make.card(body="x" * 20_000), buttons=(make.APPROVE, make.REJECT))
    golden("too-long", [render_ask(ask)])


def test_only_listed_people_are_mentioned() -> None:
    part = rendered(ANSWER, mention_ids=("U0PRIYA",))
    assert live(part.blocks, part.text) == {"U0PRIYA", "<@U0PRIYA>"}
    part = rendered(ANSWER)
    assert live(part.blocks, part.text) == set()


@pytest.mark.parametrize(
    "attack",
    [
        "<!channel>",
        "<!here|here>",
        "<!everyone>",
        "<@U0ANNA>",
        "<@W0ANNA|anna>",
        "<#C0DEV>",
        "<!subteam^S0TEAM>",
        "`<!channel>`",
        "```\n<!channel>\n```",
        "    <!channel>",
        "[<!channel>](https://x.example)",
        "[x](<https://x.example/|!channel>)",
        "![<!channel>](https://x.example/a.png)",
        "&lt;!channel&gt;",
        "\\<!channel>",
        "| <!channel> |\n|--|\n| <@U0ANNA> |",
        "> <!channel>",
        "- <!channel>",
        "# <!channel>",
        "<<!channel>>",
        "<b><!channel></b>",
        "@channel @here @everyone",
    ],
)
def test_nobody_is_rung_by_a_text(attack: str) -> None:
    part = rendered(attack, footer=attack)
    assert live(part.blocks, part.text) == set()
    assert "<!channel" not in orjson.dumps(part.blocks[:1]).decode()
    assert "@channel" not in part.text


@pytest.mark.parametrize(
    ("markdown", "links", "shown"),
    [
        ("[issue](https://github.com/a)", ["https://github.com/a"], "issue"),
        (
            "[github.com](https://evil.example/x)",
            ["https://evil.example/x"],
            "github.com (evil.example)",
        ),
        ("[x](javascript:alert(1))", [], "[x](javascript:alert(1))"),
        ("[x](https://a@evil.example)", [], "x (https://a@evil.example)"),
        ("<https://x.example>", ["https://x.example"], ""),
        ("go to https://x.example/a.", ["https://x.example/a"], "go to ."),
        ("[x][1]\n\n[1]: https://x.example", ["https://x.example"], "x"),
        ("![cat](https://evil.example/?q=secret)", [], "[image: cat, evil.example]"),
        ("<img src='https://evil.example/?q=s'>", ["https://evil.example/?q=s"], None),
        ("[x](data:text/html,hi)", [], None),
    ],
)
def test_links_are_honest_and_pictures_are_words(
    markdown: str, links: list[str], shown: str | None
) -> None:
    part = rendered(markdown)
    assert [o["url"] for o in objects(part.blocks) if o.get("type") == "link"] == links
    assert not any(o.get("type") == "image" or "image_url" in o for o in objects(part.blocks))
    if shown is not None:
        assert words(part.blocks) == shown


def test_a_product_is_no_emphasis() -> None:
    assert words(rendered("2*3*4 and 2**3**4 but *this*").blocks) == "2*3*4 and 2**3**4 but this"


def test_html_is_text() -> None:
    assert words(rendered("<script>alert(1)</script> &amp; <b>x</b>").blocks) == (
        "<script>alert(1)</script> & <b>x</b>"
    )


def test_a_fence_in_a_fence_stays_inside() -> None:
    part = rendered("````\n```\ninner\n```\n````")
    assert words(part.blocks) == "```\ninner\n```"
    assert part.text.count("```") == 2


@pytest.mark.parametrize("markdown", ["", "   \n", "[1]: https://x.example"])
def test_an_empty_answer_still_says_something(markdown: str) -> None:
    assert rendered(markdown).text == "(nothing to show)"


def test_buttons_stand_under_the_last_part_only() -> None:
    parts = render_say(say("word " * 10_000, buttons=(make.REJECT,), footer="cost"))
    assert len(parts) > 2
    rows = [[o for o in objects(part.blocks) if o.get("type") == "actions"] for part in parts]
    assert [bool(row) for row in rows] == [False] * (len(parts) - 1) + [True]


def test_many_buttons_make_several_rows() -> None:
    part = rendered("x", buttons=(make.REJECT,) * 30)
    buttons = [o["action_id"] for o in objects(part.blocks) if o.get("type") == "button"]
    assert len(set(buttons)) == 30
    assert [len(o["elements"]) for o in objects(part.blocks) if o.get("type") == "actions"] == [
        25,
        5,
    ]


def test_an_amended_message_that_is_too_long_is_cut_and_says_so() -> None:
    part = render_amend(Amend(message_id="1.2", markdown="word " * 10_000))
    assert "Cut:" in words(part.blocks)
    assert len(orjson.dumps(part.blocks)) <= 12_000
    assert "Cut:" not in words(render_amend(Amend(message_id="1.2", markdown="word")).blocks)


def test_a_whisper_rings_nobody_either() -> None:
    part = render_whisper(Whisper(to_id="U0BEN", markdown="<!channel> only *anna* may decide"))
    assert live(part.blocks, part.text) == set()
