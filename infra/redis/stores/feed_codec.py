"""Compact binary encoding of feeds: a feed of 50 items takes less than 2 KB of Redis.

It starts with 38 decimal digits, the feed's version (features_version, then generated_at), whose text order equals its
numeric order. A msgpack array of columns follows. Sources and reasons are stored once each, with a code per item.
Scores are float32 (7 digits), their `parts` by feature group float16 (4 digits). Feeds that are still long (many
reasons with titles) are compressed, which takes more time than all other steps.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache

import msgspec
from cramjam import zstd

from schemas.types import Feed

_DIGITS = 19
VERSION_CHARS = 2 * _DIGITS
_FORMATS = {2: "e", 4: "f", 8: "d"}
_LLM_DIGITS = 4
_LONG_BYTES = 1_700
"""Beyond this size, the next allocation class of Redis is 2 KB or more."""
_LEVEL = 1
_ZSTD = 0x28
"""First byte of Zstandard frames; a msgpack array of columns begins with a different one."""


class _Columns(msgspec.Struct, array_like=True, gc=False):
    watermark: int
    model: str
    items: list[str]
    scores: bytes
    sources: list[str]
    source_codes: bytes
    reasons: list[str]
    reason_codes: bytes
    parts: dict[str, bytes]
    propensities: bytes
    ml_scores: bytes = b""
    llm_scores: bytes = b""
    """One score per item, NaN for missing ones; empty without any score."""
    trailing: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Columns)


def version(feed: Feed) -> str:
    """Return the feed's version in the format for clients."""
    return f"{feed.features_version}-{feed.generated_at}"


def version_order(feed: Feed) -> bytes:
    """Return the fixed-width prefix that orders the versions of a feed."""
    return b"%0*d%0*d" % (_DIGITS, feed.features_version, _DIGITS, feed.generated_at)


def pack(feed: Feed) -> bytes:
    """Return the encoded feed without its user id, which is part of the key."""
    sources, source_codes = _table(feed.sources)
    reasons, reason_codes = _table(feed.reasons)
    columns = _Columns(
        watermark=feed.watermark,
        model=feed.model,
        items=feed.items,
        scores=_floats(feed.scores, "fd"),
        sources=sources,
        source_codes=source_codes,
        reasons=reasons,
        reason_codes=reason_codes,
        parts={name: _floats(values, "efd") for name, values in feed.parts.items()},
        propensities=_floats(feed.propensities, "fd"),
        ml_scores=_floats(feed.ml_scores, "fd"),
        llm_scores=_floats(
            [feed.llm_scores.get(item, math.nan) for item in feed.items] if feed.llm_scores else [], "fd"
        ),
        trailing=feed.trailing,
    )
    body = _encoder.encode(columns)
    return version_order(feed) + (body if len(body) < _LONG_BYTES else bytes(zstd.compress(body, _LEVEL)))


# Feeds that are read often, above all the default feed, are decoded once.
@lru_cache(maxsize=256)
def unpack(user_id: str, data: bytes) -> Feed:
    """Return a decoded feed. Feeds are shared between callers: do not change their lists.

    Args:
        user_id: The feed's user.
        data: Bytes from `pack`.
    """
    body = memoryview(data)[VERSION_CHARS:]
    columns = _decoder.decode(zstd.decompress(body) if body[0] == _ZSTD else body)
    count = len(columns.items)
    return Feed(
        user_id=user_id,
        features_version=int(data[:_DIGITS]),
        generated_at=int(data[_DIGITS:VERSION_CHARS]),
        watermark=columns.watermark,
        model=columns.model,
        items=columns.items,
        scores=_rounded(_numbers(columns.scores, count)),
        sources=_names(columns.sources, columns.source_codes, count),
        reasons=_names(columns.reasons, columns.reason_codes, count),
        parts={name: _short(values, count) for name, values in columns.parts.items()},
        propensities=list(_numbers(columns.propensities, count)),
        ml_scores=_rounded(_numbers(columns.ml_scores, count)),
        llm_scores={
            item: round(score, _LLM_DIGITS)
            for item, score in zip(columns.items, _numbers(columns.llm_scores, count), strict=False)
            if not math.isnan(score)
        },
        trailing=columns.trailing,
    )


def _table(names: Sequence[str]) -> tuple[list[str], bytes]:
    codes: dict[str, int] = {}
    column = [codes.setdefault(name, len(codes)) for name in names]
    return list(codes), bytes(column) if len(codes) <= 256 else struct.pack(f"<{len(column)}I", *column)


def _names(table: list[str], codes: bytes, count: int) -> list[str]:
    column: Iterable[int] = codes if len(codes) == count else struct.unpack(f"<{count}I", codes)
    return [table[code] for code in column]


def _floats(values: Sequence[float], formats: str) -> bytes:
    """Pack values in the narrowest format whose range covers all of them."""
    for code in formats[:-1]:
        try:
            return struct.pack(f"<{len(values)}{code}", *values)
        except OverflowError:
            continue
    return struct.pack(f"<{len(values)}{formats[-1]}", *values)


def _numbers(data: bytes, count: int) -> Sequence[float]:
    return struct.unpack(f"<{count}{_FORMATS[len(data) // count]}", data) if data else ()


def _short(data: bytes, count: int) -> list[float]:
    if len(data) != 2 * count:
        return list(_numbers(data, count))
    return list(map(float16_table().__getitem__, struct.unpack(f"<{count}H", data)))


def _rounded(values: Sequence[float]) -> list[float]:
    """Return float32 numbers rounded to seven digits of the largest one: 0.3, not 0.30000001192092896."""
    try:
        scale = 10.0 ** (6 - math.floor(math.log10(max(map(abs, values)))))
        return [round(value * scale) / scale for value in values]
    except (ValueError, OverflowError):  # no values, only zeros, or a value that is not finite
        return list(values)


@cache
def float16_table() -> tuple[float, ...]:
    """Return all float16 numbers by their bits, rounded to four digits: 0.3, not 0.300048828125."""
    return tuple(float(f"{value:.4g}") for value in struct.unpack("<65536e", struct.pack("<65536H", *range(65536))))
