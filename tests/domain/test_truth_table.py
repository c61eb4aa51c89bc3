"""Effective rights, exhaustively: the committed table, a second opinion, and every pair of people."""

from __future__ import annotations

from itertools import combinations, product

from openloop.domain.audience import PlaceClass
from openloop.domain.policy import Allow, Deny, Hold, Verdict
from openloop.domain.tool import Effect
from tests.domain import truth_table as table

RANK: dict[type[Verdict], int] = {Deny: 0, Hold: 1, Allow: 2}
VISIBLE = {"acme/website": PlaceClass.PUBLIC, "acme/payroll": PlaceClass.PRIVATE}


def test_the_table_in_the_repository_is_what_the_policy_says() -> None:
    written = table.PATH.read_text().splitlines()
    assert written == list(table.lines()), "python -m tests.domain.truth_table writes it anew"
    cases = len(table.CALLS) * len(table.PEOPLE) * len(table.LINKS) * len(table.SURFACES)
    assert len(written) == cases + 1


def expected(call: str, person: str, link: str, place: str, surface: str) -> type[Verdict]:
    """The same said once more, in the words of the documentation and without the policy's code."""
    looked_at = table.CALLS[call]
    if call == "note":
        return Allow
    kind, roles = table.PEOPLE[person]
    where = table.PLACES[place]
    if call == "read elsewhere" or where is None or kind != "member":
        return Deny
    writes = looked_at.effect is not Effect.READ
    order = [*PlaceClass]
    visible = VISIBLE.get(looked_at.resource or "", PlaceClass.INTERNAL)
    if not writes and order.index(where) > order.index(visible):
        return Deny
    among_members = where in (PlaceClass.PRIVATE, PlaceClass.INTERNAL) and surface != "github"
    if "own rights" in call or not among_members:
        enough = {"may write"} if writes else {"may write", "may read"}
        if link not in enough:
            return Deny
    if call == "read held":
        return Hold
    if not writes:
        return Allow
    runs = {"operator", "admin", "owner"} & {str(role) for role in roles}
    return Allow if call == "write standing" and runs else Hold


def test_a_second_opinion_agrees_on_every_case() -> None:
    disagreements = [
        (case, said)
        for case in product(table.CALLS, table.PEOPLE, table.LINKS, table.PLACES, table.SURFACES)
        if (said := type(_verdict(*case))) is not expected(*case)
    ]
    assert disagreements == []


def _verdict(call: str, person: str, link: str, place: str, surface: str) -> Verdict:
    return table.verdict(call, [(person, link)], place, surface)


def test_of_two_who_ask_the_one_with_less_decides() -> None:
    """Attack 25: whoever joins a run can only take from it."""
    for call, place in product(table.CALLS, table.PLACES):
        asking = list(product(table.PEOPLE, table.LINKS))
        alone = {each: RANK[type(table.verdict(call, [each], place, "slack"))] for each in asking}
        for one, other in combinations(asking, 2):
            both = RANK[type(table.verdict(call, [one, other], place, "slack"))]
            assert both == min(alone[one], alone[other]), (call, place, one, other)


def test_a_wider_place_never_lets_more_through() -> None:
    places = [str(each) for each in PlaceClass]
    for call, person, link, surface in product(
        table.CALLS, table.PEOPLE, table.LINKS, table.SURFACES
    ):
        ranks = [RANK[type(_verdict(call, person, link, place, surface))] for place in places]
        assert ranks == sorted(ranks, reverse=True), (call, person, link, surface)


def test_nobody_at_all_may_nothing() -> None:
    for call, place in product(table.CALLS, table.PLACES):
        if call != "note":
            assert isinstance(table.verdict(call, [], place, "slack"), Deny)
