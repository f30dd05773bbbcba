"""Size limits of dead letters, given by the maximum message size of their topic."""

from __future__ import annotations

from msgspec.structs import replace

from schemas.types import DeadLetter
from topics.topic import MIB

VALUE_BYTES = 3 * MIB // 2
"""Maximum size of a value in a dead letter: more than our topics accept, unless a topic is configured otherwise."""
KEY_BYTES, HEADERS_BYTES = 64 << 10, 128 << 10
_DETAIL_CHARS = 1_000
_CUT = "cut from "


def fit_to_topic(letter: DeadLetter) -> DeadLetter:
    """Return a dead letter that fits its topic: oversized fields are cut, and the detail begins with their sizes."""
    key, value, headers = letter.key or b"", letter.value or b"", letter.headers
    headers_size = sum(len(name.encode()) + len(header) for name, header in headers.items())
    sizes = {"value": (len(value), VALUE_BYTES), "key": (len(key), KEY_BYTES), "headers": (headers_size, HEADERS_BYTES)}
    cut = [f"{size} bytes of {name}" for name, (size, most) in sizes.items() if size > most]
    return replace(
        letter,
        key=letter.key and letter.key[:KEY_BYTES],
        value=letter.value and letter.value[:VALUE_BYTES],
        headers=headers if headers_size <= HEADERS_BYTES else {},
        detail=(f"{_CUT}{', '.join(cut)}; {letter.detail}" if cut else letter.detail)[:_DETAIL_CHARS],
    )


def is_whole(letter: DeadLetter) -> bool:
    """Say whether a dead letter holds its whole message, so that it can be replayed."""
    return not letter.detail.startswith(_CUT)
