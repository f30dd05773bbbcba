"""A model's texts are made harmless."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.llm.text import LINK_CHARS, link, plain_text


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("Jazz at <b>Smalls</b>", "Jazz at Smalls"),
        ("<script>alert(1)</script>Jazz", "alert(1) Jazz"),
        ("&lt;img src=x onerror=alert(1)&gt; Jazz", "Jazz"),
        ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),  # shown as it stands: one level is all that a page would undo
        ("a < b and c > d", "a b and c d"),
        ("tab\tline\r\nend\x00\u202e\u200b!", "tab line end !"),
        ("  Café — 東京 🎷  ", "Café — 東京 🎷"),
        ("<<b>script>", "script"),
    ],
)
def test_a_text_loses_its_markup_and_nothing_else(text: str, harmless: str) -> None:
    assert plain_text(text, max_chars=100) == harmless


@given(st.text(), st.integers(1, 50))
def test_no_text_is_longer_than_allowed_or_holds_what_is_not_shown(text: str, most: int) -> None:
    clean_text = plain_text(text, max_chars=most)
    assert len(clean_text) <= most
    assert not set(clean_text) & set("<>")
    assert not any(unicodedata.category(char) in {"Cc", "Cf"} for char in clean_text)


@pytest.mark.parametrize(
    "url", ["https://example.com/a?b=c#d", "http://example.com", "HTTPS://EXAMPLE.com/x", "https://例え.jp/é"]
)
def test_links_of_the_web_pass(url: str) -> None:
    assert link(url) == url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "//example.com",
        "/path",
        "ftp://example.com",
        "https://",
        "https://user:password@example.com",
        "https://example.com/ onclick=x",
        "https://example.com/\n",
        'https://example.com/"onmouseover=x',
        "https://[::1",
        "https://example.com/" + "x" * LINK_CHARS,
    ],
)
def test_other_links_do_not(url: str | None) -> None:
    assert link(url) is None
