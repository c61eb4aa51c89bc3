"""Only what Slack signed within five minutes is taken."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
import pytest

from openloop.domain.surface import Rejected
from openloop.integrations.slack.signature import sign
from openloop.integrations.slack.surface import SlackSurface
from tests.integrations.slack import make

if TYPE_CHECKING:
    from openloop.domain.surface import Delivery

SURFACE = SlackSurface(make.settings())


def refusal(delivery: Delivery) -> tuple[int, str]:
    with pytest.raises(Rejected) as refused:
        SURFACE.accept(delivery)
    return refused.value.status, refused.value.code


def without(name: str) -> Delivery:
    delivery = make.delivery(make.event())
    return replace(delivery, headers={k: v for k, v in delivery.headers.items() if k != name})


def signed_at(seconds_from_noon: int) -> Delivery:
    return make.delivery(make.event(), at=str(make.NOON_SECONDS + seconds_from_noon))


@pytest.mark.parametrize("seconds", [0, -299, -300, 299, 300])
def test_a_signature_within_five_minutes_is_taken(seconds: int) -> None:
    assert len(SURFACE.accept(signed_at(seconds)).events) == 1


@pytest.mark.parametrize("seconds", [-301, 301, -86_400, 86_400])
def test_a_stale_or_future_signature_is_refused(seconds: int) -> None:
    assert refusal(signed_at(seconds)) == (401, "timestamp_outside_window")


@pytest.mark.parametrize(
    "timestamp", ["", "abc", "nan", "inf", "1e9", "-1", " 1795435200", "١٢٣", "1" * 30, "12.5"]
)
def test_a_timestamp_that_is_no_number_is_refused_without_an_error(timestamp: str) -> None:
    delivery = make.delivery(make.event(), at=timestamp)
    assert refusal(delivery) == (401, "timestamp_invalid")


def test_absent_headers_are_refused() -> None:
    assert refusal(without("x-slack-request-timestamp")) == (401, "timestamp_missing")
    assert refusal(without("x-slack-signature")) == (401, "signature_missing")


@pytest.mark.parametrize("signature", ["", "v0=", "v0=" + "0" * 64, "v1=abc", "v0=ü", "\udcff"])
def test_another_signature_is_refused(signature: str) -> None:
    headers = {"x-slack-signature": signature}
    assert refusal(make.delivery(make.event(), headers=headers)) == (401, "signature_mismatch")


def test_the_signature_of_another_app_is_refused() -> None:
    body = orjson.dumps(make.event())
    at = str(make.NOON_SECONDS)
    forged = {"x-slack-signature": sign("another-secret", timestamp=at, body=body)}
    assert refusal(make.signed(body, headers=forged)) == (401, "signature_mismatch")


def test_a_signature_is_good_for_one_timestamp_only() -> None:
    moved = {"x-slack-request-timestamp": str(make.NOON_SECONDS + 1)}
    assert refusal(make.delivery(make.event(), headers=moved)) == (401, "signature_mismatch")


def test_no_flipped_bit_passes() -> None:
    delivery = make.delivery(make.event())
    chance = random.Random(7)
    for _ in range(10_000):
        flipped = bytearray(delivery.body)
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
        assert refusal(replace(delivery, body=bytes(flipped))) == (401, "signature_mismatch")


def test_the_same_json_written_differently_is_refused() -> None:
    delivery = make.delivery(make.event())
    again = orjson.dumps(orjson.loads(delivery.body), option=orjson.OPT_INDENT_2)
    assert refusal(replace(delivery, body=again)) == (401, "signature_mismatch")


def test_an_unsigned_body_is_never_parsed() -> None:
    deep = b"[" * 100_000
    assert refusal(replace(make.signed(b"{}"), body=deep)) == (401, "signature_mismatch")


def test_a_body_over_one_mebibyte_is_refused_before_its_signature_is_looked_at() -> None:
    assert refusal(replace(make.signed(b"{}"), body=b"x" * (1024 * 1024 + 1))) == (
        413,
        "body_too_large",
    )


def test_without_a_signing_secret_nothing_comes_in_over_http() -> None:
    socket_only = SlackSurface(make.settings(signing_secret=None, app_token="xapp-test"))
    with pytest.raises(Rejected) as refused:
        socket_only.accept(make.delivery(make.event()))
    assert (refused.value.status, refused.value.code) == (401, "signature_not_configured")


def test_over_socket_mode_the_connection_is_the_proof() -> None:
    delivery = replace(make.delivery(make.event()), headers={}, transport="socket")
    assert len(SURFACE.accept(delivery).events) == 1
