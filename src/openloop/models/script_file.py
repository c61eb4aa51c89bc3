"""Checking a script file: every problem is listed, with its line."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from openloop.domain.pricing import Price
from openloop.domain.strict_yaml import Malformed, load
from openloop.models.errors import BadScript
from openloop.models.script import (
    FixedUsage,
    HashedUsage,
    NoUsage,
    Scenario,
    Script,
    ScriptedCall,
    Turn,
)
from openloop.models.script_fields import ScriptFields, Spot
from openloop.models.template import Template, parse_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.domain.strict_yaml import Plain
    from openloop.models.script import ScriptedFinish, UsageRule

_DEFAULT_MAX_OUTPUT: Final = 4096
_DEFAULT_CONTEXT: Final = 128_000
_DEAREST_MILLION: Final = 1_000_000
_LONGEST_DELAY_SECONDS: Final = 600
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_SCRIPT_KEYS: Final = ("price", "max_output_tokens", "context_window", "usage", "scenarios")
_PRICE_KEYS: Final = ("input_per_million", "output_per_million", "cached_per_million")
_SCENARIO_KEYS: Final = ("name", "match", "ignore_case", "loop", "turns")
_TURN_KEYS: Final = ("when", "say", "call", "usage", "usage_from", "delay_seconds", "finish")
_FINISHES: Final[Mapping[object, ScriptedFinish]] = {
    "stop": "stop",
    "length": "length",
    "refused": "refused",
}


def parse_script(text: bytes, *, file: str) -> Script:
    """The script in `text`. Raises BadScript with every problem."""
    try:
        document = load(text, name=file)
    except Malformed as malformed:
        raise BadScript(str(malformed), problems=malformed.problems) from None
    fields = ScriptFields(document)
    script = _ScriptReader(fields, file).script()
    if fields.problems:
        raise BadScript("; ".join(fields.problems), problems=fields.problems)
    return script


class _ScriptReader:
    """From fields to a Script; what is wrong is in the fields' problems."""

    def __init__(self, fields: ScriptFields, file: str) -> None:
        self._fields = fields
        self._file = file
        self._usage: UsageRule | None = None

    def script(self) -> Script:
        """The whole file."""
        fields = self._fields
        top = fields.mapping(fields.root, _SCRIPT_KEYS, needed=("price", "scenarios"))
        if "usage" in top:
            self._usage = self._usage_rule(top["usage"])
        scenarios = [self._scenario(each) for each in fields.entries(top.get("scenarios"))]
        return Script(
            file=self._file,
            price=self._price(top.get("price")),
            max_output_tokens=fields.tokens(
                top.get("max_output_tokens"), _DEFAULT_MAX_OUTPUT, least=1
            ),
            context_window=fields.tokens(top.get("context_window"), _DEFAULT_CONTEXT, least=1),
            scenarios=self._checked(scenarios),
        )

    def _checked(self, scenarios: Sequence[tuple[Spot, Scenario]]) -> tuple[Scenario, ...]:
        names: set[str] = set()
        for spot, scenario in scenarios:
            if scenario.name in names:
                self._fields.refuse(spot, f"two scenarios are called {scenario.name!r}")
            names.add(scenario.name)
        for spot, scenario in scenarios[:-1]:
            if scenario.match is None:
                self._fields.refuse(spot, "a scenario without `match` always fits: it comes last")
        return tuple(scenario for _, scenario in scenarios)

    def _price(self, spot: Spot | None) -> Price:
        amounts = {
            name: self._fields.number(each, most=_DEAREST_MILLION, of="dollars")
            for name, each in self._fields.mapping(
                spot, _PRICE_KEYS, needed=_PRICE_KEYS[:2]
            ).items()
        }
        full, cached = (
            amounts.get("input_per_million", Decimal(0)),
            amounts.get("cached_per_million"),
        )
        if spot is not None and cached is not None and cached > full:
            self._fields.refuse(spot, "cached input cannot cost more than input")
            cached = None
        return Price(
            input_per_million=full,
            output_per_million=amounts.get("output_per_million", Decimal(0)),
            cached_per_million=cached,
        )

    def _scenario(self, spot: Spot) -> tuple[Spot, Scenario]:
        fields = self._fields.mapping(spot, _SCENARIO_KEYS, needed=("name", "turns"))
        flags = re.IGNORECASE if self._fields.flag(fields.get("ignore_case")) else 0
        match = self._fields.pattern(fields.get("match"), flags)
        groups = tuple(match.groupindex) if match else ()
        return spot, Scenario(
            name=self._fields.text(fields.get("name")),
            match=match,
            loop=self._fields.flag(fields.get("loop")),
            steps=tuple(
                self._step(each, groups) for each in self._fields.entries(fields.get("turns"))
            ),
            line=self._fields.line(spot),
        )

    def _step(self, spot: Spot, groups: Sequence[str]) -> tuple[Turn, ...]:
        if not isinstance(spot.value, dict) or "either" not in spot.value:
            return (self._turn(spot, groups),)
        alternatives = self._fields.entries(self._fields.mapping(spot, ("either",))["either"])
        turns = tuple(self._turn(each, groups) for each in alternatives)
        for each, turn in list(zip(alternatives, turns, strict=True))[:-1]:
            if turn.when is None:
                self._fields.refuse(each, "only the last turn of `either` may have no `when`")
        return turns

    def _turn(self, spot: Spot, groups: Sequence[str]) -> Turn:
        fields = self._fields.mapping(spot, _TURN_KEYS)
        if not {"say", "call"} & fields.keys():
            self._fields.refuse(spot, "a turn has `say`, `call` or both")
        return Turn(
            when=self._fields.pattern(fields.get("when")),
            say=self._say(fields.get("say"), groups),
            calls=tuple(
                self._call(each, groups) for each in self._fields.entries(fields.get("call"))
            ),
            usage=self._usage_of(spot, fields),
            delay_seconds=float(
                self._fields.number(
                    fields.get("delay_seconds"), most=_LONGEST_DELAY_SECONDS, of="seconds"
                )
            ),
            finish=self._finish(fields.get("finish")),
            line=self._fields.line(spot),
        )

    def _say(self, spot: Spot | None, groups: Sequence[str]) -> Template:
        if spot is None:
            return Template(())
        return self._template(self._fields.text(spot), spot, groups)

    def _call(self, spot: Spot, groups: Sequence[str]) -> ScriptedCall:
        fields = self._fields.mapping(spot, ("name", "arguments"), needed=("name",))
        name = self._fields.text(fields.get("name"))
        if name and not _TOOL_NAME.fullmatch(name):
            self._fields.refuse(spot, f"{name!r} is no tool name")
        arguments = fields.get("arguments", Spot({}, spot.path))
        if not isinstance(arguments.value, dict):
            self._fields.refuse(arguments, "`arguments` are names with values")
        return ScriptedCall(name=name, arguments=self._json(arguments.value, arguments, groups))

    def _json(self, value: Plain, spot: Spot, groups: Sequence[str]) -> object:
        """JSON values, with templates for texts."""
        match value:
            case dict():
                return {key: self._json(each, spot, groups) for key, each in value.items()}
            case list():
                return [self._json(each, spot, groups) for each in value]
            case str():
                return self._template(value, spot, groups)
            case Decimal():
                return float(value)
            case _:
                return value

    def _template(self, text: str, spot: Spot, groups: Sequence[str]) -> Template:
        template, problems = parse_template(text, groups=groups)
        for problem in problems:
            self._fields.refuse(spot, problem)
        return template

    def _usage_of(self, spot: Spot, fields: Mapping[str, Spot]) -> UsageRule:
        if "usage" in fields and "usage_from" in fields:
            self._fields.refuse(spot, "a turn has `usage` or `usage_from`, not both")
        if "usage_from" in fields:
            return self._hashed(fields["usage_from"])
        if "usage" in fields:
            return self._usage_rule(fields["usage"])
        if self._usage is None:
            self._fields.refuse(spot, "neither this turn nor the script declares `usage`")
            return NoUsage()
        return self._usage

    def _usage_rule(self, spot: Spot) -> UsageRule:
        if spot.value == "none":
            return NoUsage()
        fields = self._fields.mapping(spot, ("input", "output"), needed=("input", "output"))
        return FixedUsage(
            input_tokens=self._fields.tokens(fields.get("input"), 0),
            output_tokens=self._fields.tokens(fields.get("output"), 0),
        )

    def _hashed(self, spot: Spot) -> HashedUsage:
        shares = {"sha256": [Decimal("0.1"), 1]} if spot.value == "sha256" else spot.value
        match shares:
            case {"sha256": [int() | Decimal() as least, int() | Decimal() as most]} if (
                len(shares) == 1 and 0 < least <= most <= 1
            ):
                return HashedUsage(least=float(least), most=float(most))
            case _:
                self._fields.refuse(spot, "`usage_from` is sha256 or {sha256: [LEAST, MOST]}")
                return HashedUsage(least=1, most=1)

    def _finish(self, spot: Spot | None) -> ScriptedFinish:
        if spot is None:
            return "stop"
        if not isinstance(spot.value, str) or spot.value not in _FINISHES:
            self._fields.refuse(spot, "`finish` is stop, length or refused")
            return "stop"
        return _FINISHES[spot.value]
