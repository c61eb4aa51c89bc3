"""The estimate that reservations are made with, held against real tokenizers."""

from __future__ import annotations

import base64
import json
import random
import uuid
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from openloop.domain import pricing
from openloop.domain.model import ModelMessage, ToolCall, ToolSpec
from openloop.domain.pricing import estimate_input_tokens, estimate_tokens

_CHANCE = random.Random(7)
TEXTS = {
    "prose": "We decided to move the billing service to Postgres 16 next week. " * 20,
    "code": Path(pricing.__file__).read_text(),
    "json": json.dumps([{"id": number, "name": f"row {number}"} for number in range(200)]),
    "hexadecimal": "".join(uuid.UUID(int=_CHANCE.getrandbits(128)).hex for _ in range(50)),
    "base64": base64.b64encode(_CHANCE.randbytes(2000)).decode(),
    "single letters": "a b c d e " * 100,
    "lines of one letter": "a\nb\n" * 100,
    "digits": "1 2 3 " * 100,
    "Chinese": "会议决定使用新的数据库版本并在下周发布。" * 20,
    "Russian": "Мы решили использовать новую версию базы данных. " * 20,
    "Burmese": "မြန်မာဘာသာစကား" * 20,
    "Amharic": "አማርኛ ኢትዮጵያ " * 20,
    "emoji": "😀🎉👩‍👩‍👧‍👦🇩🇪" * 50,
    "empty": "",
}


@pytest.fixture(scope="module", params=["cl100k_base", "o200k_base"])
def tokenizer(request: pytest.FixtureRequest) -> tiktoken.Encoding:
    litellm = find_spec("litellm")  # it brings the vocabularies; it is not imported
    assert litellm is not None
    assert litellm.submodule_search_locations
    bundled = Path(litellm.submodule_search_locations[0]) / "litellm_core_utils" / "tokenizers"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(bundled))
        return tiktoken.get_encoding(request.param)


@pytest.mark.parametrize("kind", TEXTS)
def test_what_people_and_programs_write_is_never_estimated_too_low(
    tokenizer: tiktoken.Encoding, kind: str
) -> None:
    counted = len(tokenizer.encode(TEXTS[kind], disallowed_special=()))
    assert estimate_tokens(TEXTS[kind]) >= counted


def test_prose_is_estimated_at_less_than_three_times_its_count(
    tokenizer: tiktoken.Encoding,
) -> None:
    counted = len(tokenizer.encode(TEXTS["prose"]))
    assert estimate_tokens(TEXTS["prose"]) < 3 * counted


@settings(deadline=None)
@given(st.text())
def test_the_estimate_never_exceeds_the_bytes(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    assert size / 2 <= estimate_tokens(text) <= size


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_longer_text_is_never_estimated_lower(one: str, other: str) -> None:
    assert estimate_tokens(one + other) >= max(estimate_tokens(one), estimate_tokens(other))


def test_messages_calls_and_tools_all_count() -> None:
    bare = [ModelMessage("user", "hello")]
    call = ToolCall(id="call_1", name="github__create_issue", arguments='{"title": "Postgres 16"}')
    with_call = [*bare, ModelMessage("assistant", "", tool_calls=(call,))]
    tool = ToolSpec(name="search", description="", parameters={"type": "object"})

    assert estimate_input_tokens(bare) > estimate_tokens("hello")
    assert estimate_input_tokens(with_call) > estimate_input_tokens(bare) + len(call.arguments) / 2
    # Anthropic puts up to 530 tokens of its own before the tools.
    assert estimate_input_tokens(bare, [tool]) > estimate_input_tokens(bare) + 530
