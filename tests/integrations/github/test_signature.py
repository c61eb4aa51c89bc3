"""What GitHub signed is taken, and nothing else."""

from __future__ import annotations

import random

import pytest

from openloop.domain.surface import Rejected
from openloop.integrations.github.signature import HEADER, sign, verify

# The vector of GitHub's own page on validating deliveries.
SECRET = "It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_githubs_own_vector_verifies() -> None:
    assert sign(SECRET, BODY) == SIGNATURE
    verify(SECRET, headers={HEADER: SIGNATURE}, body=BODY)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "signature_missing"),
        ({HEADER: ""}, "signature_mismatch"),
        ({HEADER: SIGNATURE.removeprefix("sha256=")}, "signature_mismatch"),
        ({HEADER: SIGNATURE.upper()}, "signature_mismatch"),
        ({HEADER: SIGNATURE + "\u00fc"}, "signature_mismatch"),
        ({"x-hub-signature": "sha1=7b8b3bff"}, "signature_missing"),
    ],
)
def test_what_is_not_signed_is_refused(headers: dict[str, str], code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        verify(SECRET, headers=headers, body=BODY)
    assert (refusal.value.status, refusal.value.code) == (401, code)


def test_no_flipped_bit_is_taken() -> None:
    body = bytes(range(256)) * 8
    headers = {HEADER: sign(SECRET, body)}
    bits = random.Random(44)
    taken = 0
    for _ in range(10_000):
        changed = bytearray(body)
        at = bits.randrange(len(changed) * 8)
        changed[at // 8] ^= 1 << at % 8
        try:
            verify(SECRET, headers=headers, body=bytes(changed))
        except Rejected:
            continue
        taken += 1
    assert taken == 0
