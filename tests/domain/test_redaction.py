"""Redaction: hygiene on every sink. What it finds is replaced, and nothing else is touched."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop.domain.redaction import REDACTED, Redactor, secret_values

if TYPE_CHECKING:
    from collections.abc import Callable

SECRETS = st.text(min_size=16, max_size=60).filter(lambda s: s.strip() == s and s.isprintable())
AROUND = st.text(alphabet="abc :,.'\n", max_size=12)
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "hexadecimal": lambda s: s.encode().hex(),
    "upper-case hexadecimal": lambda s: s.encode().hex().upper(),
    "URL": lambda s: quote(s, safe=""),
    "form": quote_plus,
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON with other letters": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
}


@given(secret=SECRETS, before=AROUND, after=AROUND, spelling=st.sampled_from(sorted(SPELLINGS)))
def test_a_known_value_is_found_however_it_is_written(
    secret: str, before: str, after: str, spelling: str
) -> None:
    written = SPELLINGS[spelling](secret)
    clean = Redactor([secret]).text(f"{before} {written} {after}")
    assert written not in clean
    assert clean == f"{before} {REDACTED} {after}"


@given(secret=SECRETS, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_a_known_value_is_found_anywhere_in_base64(
    secret: str, before: bytes, after: bytes
) -> None:
    """As in a Basic authorization: what is before it decides how it is written."""
    redactor = Redactor([secret])
    for encode in (b64encode, urlsafe_b64encode):
        written = encode(before + secret.encode() + after).decode()
        clean = redactor.text(f"Basic {written}")
        assert REDACTED in clean
        left = clean.removeprefix("Basic ").replace(REDACTED, "")
        assert len(left) <= len(written) - 4 * len(secret.encode()) // 3 + 4


@given(secret=SECRETS, other=st.integers())
def test_json_stays_json(secret: str, other: int) -> None:
    value = {"say": f"it is {secret}!", "in": [{"key": secret}], secret: other % 2**53}
    clean = orjson.loads(Redactor([secret]).json(orjson.dumps(value)))
    assert clean == {
        "say": f"it is {REDACTED}!",
        "in": [{"key": REDACTED}],
        REDACTED: other % 2**53,
    }


def test_a_number_that_is_a_secret_elsewhere_stays_a_number() -> None:
    pin = "1234567890123456"
    written = orjson.dumps({"count": int(pin), "pin": pin})
    assert orjson.loads(Redactor([pin]).json(written)) == {"count": int(pin), "pin": REDACTED}


TOKENS = (
    "xoxb-1234567890-abcdefghij",
    "xoxe.xoxb-1-abcdefghij",
    "xapp-1-A0123-4567-abcdef",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11AAAAAAA0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-abcdefghij0123456789",
    "sk-proj-abcdefghij_0123456789-XYZ",
    "sk-ant-api03-abcdefghij0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "AIza" + "a1B2-" * 7,
    "ol_owner_abcdefghijkl_" + "a1B2c3" * 7 + "Z_0123abcd",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0\n-----END PRIVATE KEY-----",
)


@pytest.mark.parametrize("token", TOKENS)
def test_what_looks_like_a_token_is_found_without_being_known(token: str) -> None:
    redactor = Redactor()
    assert redactor.text(f"see {token}, please") == f"see {REDACTED}, please"
    assert orjson.loads(redactor.json(orjson.dumps([token]))) == [REDACTED]


@pytest.mark.parametrize(
    "text",
    [
        "the task-force of sk-learn and disk-abcdefghijklmnopqrstuvwx",
        "tool_calls and protocol_version_of_the_thing",
        "0190a7c2-1111-7222-8333-444455556666",
        "https://github.com/acme/platform/issues/1",
        "eyJhbGciOiJIUzI1NiJ9",
        "an AKIA is not AKIAlowercase1234567",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert Redactor(["a-known-secret-value"]).text(text) is text


@pytest.mark.parametrize("word", ["", "short1", "openloop", "12345678", "production"])
def test_a_value_that_is_also_a_word_is_not_looked_for(word: str) -> None:
    assert Redactor([word]).text(f"a {word} b") == f"a {word} b"


def test_each_line_of_a_key_file_is_known() -> None:
    key = "-----BEGIN EC KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04f\n-----END EC KEY-----"
    doubly = json.dumps(json.dumps({"key": key}))
    assert "MHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5CB04f" not in Redactor([key]).text(doubly)


def test_the_longer_of_two_values_is_taken_out_whole() -> None:
    redactor = Redactor(["secret-value-1", "secret-value-1-and-more"])
    assert redactor.text("secret-value-1-and-more") == REDACTED


def test_of_a_text_that_was_cut_the_beginning_of_a_value_is_taken_off() -> None:
    redactor = Redactor(["correct horse battery", "battery-of-the-registry"])

    assert redactor.without_beginning("it is correct horse bat") == "it is "
    assert redactor.without_beginning("it is correct horse battery-of-") == "it is correct horse "
    assert redactor.without_beginning("it is nothing of that kin!") == "it is nothing of that kin!"
    assert redactor.without_beginning("") == ""


def test_it_learns() -> None:
    redactor = Redactor()
    redactor.learn(["learned-later-1"])
    assert redactor.text("learned-later-1") == REDACTED


def test_variables_that_are_named_like_secrets_are_known() -> None:
    environ = {
        "GITHUB_TOKEN": "token-of-github",
        "OPENAI_API_KEY": "key-of-openai ",
        "DATABASE_URL": "postgresql://openloop:pass%20word-1@db/openloop",
        "OPENLOOP_AUDIT_KEY": "/etc/openloop/key",
        "SLACK_BOT_TOKEN": "secretref://store/slack",
        "OPENLOOP_HOST": "127.0.0.1",
        "BROKEN": "http://[::1@",
    }
    assert set(secret_values(environ)) == {
        "token-of-github",
        "key-of-openai",
        "pass%20word-1",
        "pass word-1",
    }
