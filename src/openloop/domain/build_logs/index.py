"""All rules, found by words that stand in the lines they are about.

Most lines of a log hold none of a few dozen words, and cost no more than the search for these.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from openloop.domain.build_logs import (
    rules_builds,
    rules_more_tests,
    rules_packages,
    rules_surroundings,
    rules_tests,
)
from openloop.domain.build_logs.rule import PLACE, Rule, Sign

PLACE_PATTERN: Final = re.compile(rb"\.[a-z]{1,5}:[0-9]")

WORDS: Final = (
    *("error", "fail", "fatal", "panic", "exception", "kill", "timeout", "timed", "denied"),
    *("forbidden", "unauthorized", "assert", "traceback", "segmentation", "undefined", "refused"),
    *("unreachable", "certificate", "econn", "reformat", "unbound", "credentials", "exit"),
    *("toomanyrequests", "unavailable", "gateway", "non-zero", "npm err", "err_pnpm", "not ok "),
    *("could not ", "cannot ", "unable to", "no such ", "not found", "not set", "no route"),
    *("no space", "no solution", "no rule", "data race", "of memory", "shutdown signal"),
    *("too many requests", "unexpected eof", "reset by peer", "resolution", "resolv"),
    *("multiple definition", "installation candidate", "build stopped", "what went wrong"),
    *("conflict (", "curl: (", "*** ", "make: ", "go: ", "=== ", "diff in ", "[warn] ", "-- sc"),
    *(" stdout ----", " yn0", "e: file:", "\u25cf", "##[", "shell: ", "job succe", "finished: "),
)

_RULES: Final = (
    *rules_tests.RULES,
    *rules_more_tests.RULES,
    *rules_builds.RULES,
    *rules_packages.RULES,
    *rules_surroundings.RULES,
    *rules_surroundings.ANY_PROGRAM,
)


_CARRIER: Final = "error"
"""The word of lines that are looked for by another one, which costs less than a word of its own."""
_NAME: Final = re.compile(r"\(\?P<\w+>")


class Found(NamedTuple):
    """Rules and signs of lines with one word.

    `keyed` are those whose key says more than the word. `any_of` matches what any of the `others`
    matches and nothing else: most lines need no more than that.
    """

    keyed: Sequence[tuple[str, Rule | Sign]]
    any_of: re.Pattern[str]
    others: Sequence[Rule | Sign]


def _grouped() -> dict[str, Found]:
    groups: dict[str, list[Rule | Sign]] = {word: [] for word in (PLACE, *WORDS)}
    for each in sorted(_RULES, key=lambda each: -each.weight if isinstance(each, Rule) else 0):
        word = next((word for word in groups if word in each.key), _CARRIER)
        groups[word].append(each)
    return {word: _found(word, group) for word, group in groups.items()}


def _found(word: str, group: Sequence[Rule | Sign]) -> Found:
    others = [each for each in group if each.key.strip(" :[]") == word.strip(" :[]")]
    unnamed = dict.fromkeys(_NAME.sub("(?:", each.pattern.pattern) for each in others)
    return Found(
        keyed=[(each.key, each) for each in group if each not in others],
        any_of=re.compile("|".join(unnamed) if unnamed else r"(?!)"),
        others=others,
    )


BY_WORD: Final = _grouped()


def words_in(line: str) -> Sequence[str]:
    """The words that stand in a line."""
    lowered = line.lower()
    words = [word for word in WORDS if word in lowered]
    return [PLACE, *words] if PLACE_PATTERN.search(lowered.encode()) else words
