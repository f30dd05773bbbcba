"""Sanitizing of model output, which is displayed to users without review."""

from __future__ import annotations

import html
import re
import unicodedata
from urllib.parse import urlsplit

LINK_CHARS = 1_024
_TAG = re.compile(r"</?[a-zA-Z!?][^<>]*>")
_SPACES = re.compile(r"\s+")
_INVISIBLE = {"Cc", "Cf", "Co", "Cs", "Cn"}
_JOINERS = "\u200c\u200d"
"""Invisible, but needed in the words of some scripts and in some emoji."""


def plain_text(text: str, *, max_chars: int) -> str:
    """Return a text without markup, control and invisible characters, on one line of at most `max_chars` characters."""
    text = html.unescape(text[: 8 * max_chars])
    text = _TAG.sub(" ", text).replace("<", "").replace(">", "")
    text = "".join(char if char in _JOINERS or unicodedata.category(char) not in _INVISIBLE else " " for char in text)
    text = _SPACES.sub(" ", text).strip()
    return text if len(text) <= max_chars else text[: max_chars - 1].rstrip() + "…"


def link(url: str | None) -> str | None:
    """Return a URL if it is a web address without a password and of sane length; None otherwise."""
    if not url or len(url) > LINK_CHARS or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        is_web_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        return None
    return url if is_web_address and not set(url) & set("<>\"'`\\") else None
