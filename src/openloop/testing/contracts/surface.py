"""The contract of every surface, as tests: subclass `SurfaceContract` and give it your platform.

class TestMySurface(SurfaceContract):
    @pytest.fixture
    async def platform(self) -> AsyncIterator[Platform]:
        async with my_platform() as platform:
            yield platform

    @pytest.fixture
    async def ledger(self, database: Database, platform: Platform) -> Ledger:
        return await open_ledger(database, platform)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.domain.audience import PlaceClass
from openloop.domain.ids import new_id
from openloop.domain.sinks import tokens
from openloop.domain.surface import (
    Actor,
    Ask,
    Asked,
    Button,
    Card,
    Field,
    Rejected,
    Say,
    Settle,
    Whisper,
)
from openloop.plugin import PlaceRights
from openloop.runtime.people import standing_in
from openloop.testing.contracts.secrets import no_secret_logged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Delivery, PersonKind, Receipt
    from openloop.testing.contracts.intake import Ledger
    from openloop.testing.contracts.platform import Incoming, Platform, Said, Seen

TOKEN = "opaque-token-of-a-button"
# What breaks naive renderers: escapes, half a fence, markup inside of words, wide characters.
PARAGRAPH = "word{n} <b> & `code <{n}>` **bold{n}** [link{n}](https://example.com/?a=1&b={n}) ü漢🙂"
CARD = Card(
    title="Open an issue in acme/platform",
    fields=(
        Field(label="Repository", value="acme/platform"),
        Field(label="Title", value="Deploys fail on *main* since _yesterday_ <!channel>"),
    ),
    body="Steps:\n```\n./deploy --env prod\n```\n<@U0ANNA> & `rm -rf`",
    reason="The thread agrees.",
    notes=("Expires in 24 h if undecided",),
)
BUTTONS = (
    Button(action="approve", label="Approve", token=TOKEN, style="primary"),
    Button(action="deny", label="Reject", token=TOKEN, style="danger"),
)


class TakesIn:
    """What comes in: each thing people do is one event, whatever the platform makes of it."""

    async def test_a_redelivery_is_taken_once(self, platform: Incoming, ledger: Ledger) -> None:
        said = await platform.say("summarize this", by="ben")
        for delivery in said.deliveries:
            await ledger.take(delivery)
            await ledger.take(platform.redelivered(delivery))
        assert len(await ledger.runs()) == 1

    async def test_twins_are_one_message(self, platform: Incoming, ledger: Ledger) -> None:
        said = await platform.say("summarize this", by="ben")
        events = [e for d in said.deliveries for e in platform.surface.accept(d).events]
        assert len({event.subject_key for event in events}) == 1
        assert len({event.delivery_key for event in events}) == len(said.deliveries)
        for delivery in said.deliveries:
            await ledger.take(delivery)
        (run,) = await ledger.runs()
        assert run.requested_by.id == platform.person_id("ben")
        assert "summarize this" in run.request

    async def test_a_quotation_does_not_count_as_typed(self, platform: Incoming) -> None:
        said = await platform.say("please write to them\n> bob@example.com", by="ben")
        for event in (e for d in said.deliveries for e in platform.surface.accept(d).events):
            assert "bob@example.com" in event.text
            assert "bob@example.com" not in tokens(event.typed)

    async def test_two_messages_are_two(self, platform: Incoming, ledger: Ledger) -> None:
        for _ in range(2):
            said = await platform.say("summarize this", by="ben")
            for delivery in said.deliveries:
                await ledger.take(delivery)
        assert len(await ledger.runs()) == 2

    async def test_what_proves_nothing_is_refused(self, platform: Incoming, ledger: Ledger) -> None:
        said = await platform.say("summarize this", by="ben")
        for delivery in said.deliveries:
            for what, unproven in platform.unproven(delivery).items():
                refused = _refusal(platform, unproven)
                assert refused is not None, f"{what} was taken"
                assert refused.status in (400, 401, 413), what
        assert await ledger.runs() == []


class Posts:
    """What goes out: once, whole, and without waking people up."""

    async def test_an_op_whose_answer_was_lost_is_found_and_not_repeated(
        self, platform: Platform
    ) -> None:
        said, key, op = await platform.say("hello", by="ben"), str(new_id()), Say(markdown="Once.")
        platform.lose_next_answer()
        lost = await platform.surface.perform(op, said.thread, key=key)
        assert lost.outcome == "unknown"
        found = await platform.surface.look_up(op, said.thread, key=key)
        (ours,) = _ours(platform, said)
        assert (found.outcome, found.message_ids) == ("done", (ours.id,))

    async def test_an_op_that_never_arrived_is_known_not_to_be_there(
        self, platform: Platform
    ) -> None:
        said, key, op = await platform.say("hello", by="ben"), str(new_id()), Say(markdown="Once.")
        platform.lose_next_request()
        lost = await platform.surface.perform(op, said.thread, key=key)
        assert lost.outcome in ("unknown", "retry")
        found = await platform.surface.look_up(op, said.thread, key=key)
        assert found.outcome == "retry"
        assert (await platform.surface.perform(op, said.thread, key=key)).outcome == "done"
        assert len(_ours(platform, said)) == 1

    async def test_somebody_elses_op_is_not_taken_for_ours(self, platform: Platform) -> None:
        said, op = await platform.say("hello", by="ben"), Say(markdown="Once.")
        assert (
            await platform.surface.perform(op, said.thread, key=str(new_id()))
        ).outcome == "done"
        found = await platform.surface.look_up(op, said.thread, key=str(new_id()))
        assert found.outcome == "retry"

    async def test_long_text_is_split_after_rendering_and_nothing_is_lost(
        self, platform: Platform
    ) -> None:
        said = await platform.say("tell me everything", by="ben")
        text = "\n\n".join(PARAGRAPH.format(n=n) for n in range(1500))
        receipt = await platform.surface.perform(Say(markdown=text), said.thread, key=str(new_id()))
        ours = _ours(platform, said)
        assert receipt.outcome == "done"
        assert receipt.message_ids == tuple(message.id for message in ours)
        if platform.most_text is not None:
            assert len(ours) > 1
            assert max(len(message.words) for message in ours) <= platform.most_text
        shown = "\n".join(message.words for message in ours)
        at = 0
        for number in range(1500):
            at = shown.index(f"word{number} <b> & ", at)

    async def test_nobody_is_notified_whom_the_op_does_not_name(self, platform: Platform) -> None:
        said = await platform.say("who is there?", by="ben")
        everybody = " ".join((*platform.all_pings, platform.mention("anna")))
        for op in (
            Say(markdown=everybody),
            Say(markdown=f"`{everybody}` **{everybody}** [{everybody}](https://example.com)"),
            Ask(card=_card_with(everybody), buttons=BUTTONS),
            Say(markdown="Noted.", footer=everybody),
        ):
            receipt = await platform.surface.perform(op, said.thread, key=str(new_id()))
            assert receipt.outcome == "done"
        assert [message.pings for message in _ours(platform, said)] == [()] * 4

    async def test_whom_the_op_names_is_notified(self, platform: Platform) -> None:
        said = await platform.say("who decides?", by="ben")
        anna = platform.person_id("anna")
        op = Ask(card=CARD, buttons=BUTTONS, mention_ids=(anna,))
        await platform.surface.perform(op, said.thread, key=str(new_id()))
        (ours,) = _ours(platform, said)
        assert ours.pings in ((anna,), ())  # a platform without notifications has none


class Asks:
    """Approvals: what is shown is what will run, and a click says who, which and where."""

    async def test_a_card_shows_exactly_what_will_run(self, platform: Platform) -> None:
        said = await platform.say("open an issue", by="ben")
        card = await _ask(platform, said)
        for field in CARD.fields:
            assert field.label in card.words
            assert field.value in card.words
        for line in CARD.body.splitlines():
            assert line in card.words
        assert CARD.title in card.words
        assert CARD.reason in card.words
        assert {button.action for button in card.buttons} == {"approve", "deny"}

    async def test_a_click_names_the_button_its_token_and_who_pressed_it(
        self, platform: Platform
    ) -> None:
        said = await platform.say("open an issue", by="ben")
        card = await _ask(platform, said)
        clicked = await platform.click(said.thread, card, "approve", by="anna")
        (event,) = [e for d in clicked.deliveries for e in platform.surface.accept(d).events]
        assert event.kind == "choice"
        assert event.choice is not None
        assert (event.choice.action, event.choice.token) == ("approve", TOKEN)
        assert event.choice.message_id in (card.id, clicked.id)  # or what was said instead
        assert event.actor.id == platform.person_id("anna")
        assert event.thread == said.thread

    async def test_a_click_is_its_own_event_and_its_redelivery_is_not(
        self, platform: Platform
    ) -> None:
        said = await platform.say("open an issue", by="ben")
        card = await _ask(platform, said)
        first = await platform.click(said.thread, card, "approve", by="anna")
        second = await platform.click(said.thread, card, "approve", by="anna")
        keys = {_delivery_key(platform, each) for each in (first, second)}
        assert len(keys) == 2
        (delivery,) = first.deliveries
        again = platform.surface.accept(platform.redelivered(delivery)).events
        assert {event.delivery_key for event in again} <= keys

    async def test_a_settled_card_has_no_buttons_and_says_what_came_of_it(
        self, platform: Platform
    ) -> None:
        said = await platform.say("open an issue", by="ben")
        card = await _ask(platform, said)
        settle = Settle(message_id=card.id, card=CARD, outcome="Approved by anna")
        for _ in range(2):  # setting it again changes nothing
            receipt = await platform.surface.perform(settle, said.thread, key=str(new_id()))
            assert receipt.outcome == "done"
        (settled,) = _ours(platform, said)
        assert settled.buttons == ()
        assert "Approved by anna" in settled.words

    async def test_several_calls_on_one_card_are_decided_one_by_one(
        self, platform: Platform
    ) -> None:
        said = await platform.say("open two issues", by="ben")
        other = replace(CARD, title="Open another issue")
        tokens = [replace(button, token=f"other-{TOKEN}") for button in BUTTONS]
        second = Asked(approval="b", card=other, buttons=tuple(tokens))
        op = Ask(approval="a", card=CARD, buttons=BUTTONS, others=(second,), more="1 more call")
        await platform.surface.perform(op, said.thread, key=str(new_id()))
        (card,) = _ours(platform, said)
        assert [CARD.title in card.words, other.title in card.words] == [True, True]
        assert "1 more call" in card.words
        assert len(card.buttons) == 2 * len(BUTTONS)
        settle = Settle(
            message_id=card.id, approval="a", card=CARD, outcome="Rejected", others=(second,)
        )
        await platform.surface.perform(settle, said.thread, key=str(new_id()))
        (settled,) = _ours(platform, said)
        assert "Rejected" in settled.words
        assert len(settled.buttons) == len(BUTTONS)  # of the one that is still open
        pressed = settled.buttons[-1].action
        clicked = await platform.click(said.thread, settled, pressed, by="anna")
        (event,) = [e for d in clicked.deliveries for e in platform.surface.accept(d).events]
        assert event.choice is not None
        assert (event.choice.action, event.choice.token) == ("deny", f"other-{TOKEN}")

    async def test_a_whisper_is_for_one_person(self, platform: Platform) -> None:
        said = await platform.say("open an issue", by="ben")
        whisper = Whisper(to_id=platform.person_id("ben"), markdown="That is not yours to decide.")
        receipt = await platform.surface.perform(whisper, said.thread, key=str(new_id()))
        if platform.whispers:
            assert receipt.outcome == "done"
            assert [*platform.whispered("ben")] == ["That is not yours to decide."]
        else:
            assert receipt.outcome in ("done", "refused")
        assert [*platform.whispered("anna")] == []
        assert _ours(platform, said) == []


class Tells:
    """What the runtime asks a surface about, and what nobody may read anywhere."""

    async def test_the_history_is_what_people_see(self, platform: Platform) -> None:
        said = await platform.say("first", by="anna")
        await platform.surface.perform(Say(markdown="second"), said.thread, key=str(new_id()))
        await platform.say("third", by="ben", thread=said.thread)
        history = await platform.surface.history(said.thread, limit=50)
        if not history:
            return  # the platform keeps none: the runtime reads its own record
        assert [message.by_us for message in history] == [False, True, False]
        for message, words in zip(history, ("first", "second", "third"), strict=True):
            assert words in message.text
        newest = await platform.surface.history(said.thread, limit=1)
        assert [message.text for message in newest] == [history[-1].text]

    async def test_only_members_are_known_as_such(self, platform: Platform) -> None:
        said = await platform.say("hello", by="anna")
        assert (await _kind(platform, said, "anna")) == "member"
        assert (await _kind(platform, said, "mallory")) != "member"

    async def test_a_place_has_a_class_of_readers(self, platform: Platform) -> None:
        said = await platform.say("hello", by="anna")
        assert await platform.surface.audience(said.thread.place) in PlaceClass

    async def test_no_secret_reaches_a_log(self, platform: Platform) -> None:
        with no_secret_logged(platform.secrets):
            said = await platform.say("hello", by="ben")
            for delivery in said.deliveries:
                for unproven in platform.unproven(delivery).values():
                    _refusal(platform, unproven)
            platform.lose_next_answer()
            receipts = [await _say(platform, said)]
            platform.refuse_next()
            receipts.append(await _say(platform, said))
            findings = await platform.surface.check()
        told = [*(f"{receipt}" for receipt in receipts), *(f"{each}" for each in findings)]
        told.append(f"{platform.surface!r}")
        for secret in platform.secrets:
            assert not any(secret in line for line in told)


class SurfaceContract(TakesIn, Posts, Asks, Tells):
    """All of it. A surface without buttons, say, subclasses the parts that concern it."""


def _refusal(platform: Incoming, unproven: Delivery) -> Rejected | None:
    try:
        platform.surface.accept(unproven)
    except Rejected as rejected:
        return rejected
    return None


def _ours(platform: Platform, said: Said) -> Sequence[Seen]:
    return [message for message in platform.seen(said.thread) if message.by_us]


async def _kind(platform: Platform, said: Said, name: str) -> PersonKind:
    """What somebody is in the place of a thread, as the runtime asks it."""
    surface, place = platform.surface, said.thread.place
    if isinstance(surface, PlaceRights):
        actor = Actor(surface=surface.name, tenant=place.tenant, id=platform.person_id(name))
        return (await standing_in(surface, place, actor, wake_from="write")).kind
    return (await surface.person(place.tenant, platform.person_id(name))).kind


def _card_with(text: str) -> Card:
    return Card(title="Open an issue", fields=(Field(label="Title", value=text),), reason=text)


async def _say(platform: Platform, said: Said) -> Receipt:
    return await platform.surface.perform(Say(markdown="Hello."), said.thread, key=str(new_id()))


async def _ask(platform: Platform, said: Said) -> Seen:
    op = Ask(card=CARD, buttons=BUTTONS)
    receipt = await platform.surface.perform(op, said.thread, key=str(new_id()))
    assert receipt.outcome == "done"
    (card,) = _ours(platform, said)
    assert receipt.message_ids == (card.id,)
    return card


def _delivery_key(platform: Platform, said: Said) -> str:
    (delivery,) = said.deliveries
    (event,) = platform.surface.accept(delivery).events
    return event.delivery_key
