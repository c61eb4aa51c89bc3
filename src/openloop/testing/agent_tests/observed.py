"""What an agent did in a test, and whether that is what was expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.manifest_parts import format_dollars

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from decimal import Decimal

    from openloop.domain.agent_test import Expectations


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What was seen: on the platform, in the journal, and by the tools.

    `asked` are permissions of held calls, `called` tools that were made, `denied` tools that were
    refused before they were, `failed` what ended runs otherwise than by an answer.
    """

    said: tuple[str, ...]
    asked: tuple[str, ...]
    called: tuple[str, ...]
    denied: tuple[str, ...]
    recalled: tuple[str, ...]
    cost_usd: Decimal
    runs: int
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One expectation, whether it holds, and what was there instead."""

    claim: str
    holds: bool
    seen: str = ""


def examine(expect: Expectations, seen: Observed) -> list[Check]:
    """Every expectation of a test; an agent whose run failed meets none that it did not name."""
    checks = [*_asking(expect, seen), *_calling(expect, seen), *_saying(expect, seen)]
    if expect.costs_less_than_usd is not None:
        claim = f"costs less than ${format_dollars(expect.costs_less_than_usd)}"
        shown = f"${format_dollars(seen.cost_usd)}" if seen.cost_usd else "$0"
        checks.append(
            Check(claim=claim, holds=seen.cost_usd < expect.costs_less_than_usd, seen=shown)
        )
    checks += [Check(claim="no run fails", holds=False, seen=each) for each in seen.failed]
    return checks


def _asking(expect: Expectations, seen: Observed) -> Iterator[Check]:
    for permission in expect.asks_approval:
        yield _among(f"asks approval for {permission}", permission, seen.asked)
    if expect.asks_nothing:
        yield _none("asks nobody", seen.asked)


def _calling(expect: Expectations, seen: Observed) -> Iterator[Check]:
    for tool in expect.calls:
        yield _among(f"calls {tool}", tool, seen.called)
    for tool in expect.never_calls:
        made = [each for each in seen.called if each == tool]
        yield _none(f"never calls {tool}", made)
    for tool in expect.denies:
        yield _among(f"is denied {tool}", tool, seen.denied)


def _saying(expect: Expectations, seen: Observed) -> Iterator[Check]:
    if expect.stays_silent:
        yield _none("stays silent", seen.said)
    for kind, wanted, unwanted, texts in (
        ("recalls", expect.recalls, expect.never_recalls, seen.recalled),
        ("says", expect.says, expect.never_says, seen.said),
    ):
        for phrase in wanted:
            yield Check(
                claim=f"{kind} {phrase!r}",
                holds=any(_holds(text, phrase) for text in texts),
                seen=_shown(texts),
            )
        for phrase in unwanted:
            found = [text for text in texts if _holds(text, phrase)]
            yield _none(f"never {kind} {phrase!r}", found)


def _among(claim: str, wanted: str, found: Sequence[str]) -> Check:
    return Check(claim=claim, holds=wanted in found, seen=_shown(found))


def _none(claim: str, found: Sequence[str]) -> Check:
    return Check(claim=claim, holds=not found, seen=_shown(found))


def _holds(text: str, phrase: str) -> bool:
    return phrase.casefold() in text.casefold()


def _shown(found: Sequence[str]) -> str:
    return "; ".join(found) or "nothing"
