"""Which addresses become links."""

from __future__ import annotations

import pytest

from openloop.integrations.slack.links import bare_urls, hides_host, host_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://github.com/acme/platform/issues/7", "github.com"),
        ("HTTP://Example.com:8080/a?b#c", "example.com"),
        ("http://127.0.0.1:8000/", "127.0.0.1"),
        ("http://[::1]/", None),
        ("javascript:alert(1)", None),
        ("data:text/html;base64,AAAA", None),
        ("file:///etc/passwd", None),
        ("slack://channel?team=T1", None),
        ("//example.com", None),
        ("https://github.com@evil.example/", None),
        ("https://user:pass@evil.example/", None),
        ("https://evil.example\\@github.com/", None),
        ("https://xn--80ak6aa92e.com/", None),
        ("https://\u0430\u0440\u0440le.com/", None),
        ("https://example.com/\u202egpj.exe", None),
        ("https://example.com/a b", None),
        ("https://example.com:notaport/", None),
        ("https://[bad", None),
        ("https://", None),
        ("https://example.com/" + "a" * 2000, None),
    ],
)
def test_an_address_is_a_link_only_with_an_honest_host(url: str, host: str | None) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("label", "hides"),
    [
        ("the issue", False),
        ("#12", False),
        ("github.com/acme", False),
        ("www.GitHub.com", False),
        ("https://github.com", False),
        ("evil.example", True),
        ("https://github.com.evil.example/x", True),
        ("docs.github.com", True),
        ("gíthub.com", True),
    ],
)
def test_a_label_that_names_another_host_is_not_a_label(label: str, *, hides: bool) -> None:
    assert hides_host(label, "github.com") is hides


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://x.example/a, or", "https://x.example/a"),
        ("(https://x.example/a_(b))", "https://x.example/a_(b)"),
        ("https://x.example/a?b=c&d=e!", "https://x.example/a?b=c&d=e"),
        ("<https://x.example>", "https://x.example"),
        ("no address here: http:/x", ""),
    ],
)
def test_bare_addresses_are_found_without_their_punctuation(text: str, found: str) -> None:
    assert [text[start:stop] for start, stop in bare_urls(text)] == ([found] if found else [])
