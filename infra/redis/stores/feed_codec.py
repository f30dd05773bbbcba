"""Compact binary encoding of feeds: a feed of 50 items takes less than 2 KB of Redis, 4 KB with all later orders.

It starts with 38 decimal digits, the feed's version (features_version, then generated_at), whose text order equals its
numeric order. A msgpack array of columns follows. Sources and reasons are stored once each, with a code per item.
Scores are float32 (7 digits), their `parts` by feature group float16 (4 digits). Feeds that are still long (many
reasons with titles) are compressed, which takes more time than all other steps.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence, Sized
from functools import cache, lru_cache

import msgspec
from cramjam import zstd

from schemas.types import Feed, FeedItems, FeedOrder

_DIGITS = 19
VERSION_CHARS = 2 * _DIGITS
_FORMATS = {2: "e", 4: "f", 8: "d"}
_LLM_DIGITS = 4
_BYTE = 256
"""Largest number of entries of a table whose codes are a byte each."""
_NO_ITEMS = FeedItems(items=[], scores=[], sources=[], reasons=[], parts={})
_LONG_BYTES = 1_700
"""Beyond this size, the next allocation class of Redis is 2 KB or more."""
_LEVEL = 1
_ZSTD = 0x28
"""First byte of Zstandard frames; a msgpack array of columns begins with a different one."""


class _OtherColumns(msgspec.Struct, array_like=True, gc=False):
    """The items of later orders; sources and reasons are coded by the same tables, and parts have the same names."""

    items: list[str]
    scores: bytes
    source_codes: bytes
    reason_codes: bytes
    parts: list[bytes]
    ml_scores: bytes
    llm_scores: bytes


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
    others: _OtherColumns | None = None
    orders: list[tuple[int, bytes]] = []
    """The later orders: `from_ms`, and the numbers of the items."""
    interactions_offset: int = -1
    arms: dict[str, str] = {}
    policy: str = ""
    surfaces: dict[str, list[tuple[int, bytes]]] = {}
    """The orders of surfaces, by name."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Columns)


def version(feed: Feed) -> str:
    """Return the feed's version in the format for clients."""
    return f"{feed.features_version}-{feed.generated_at}"


def version_order(feed: Feed) -> bytes:
    """Return the fixed-width prefix that orders the versions of a feed."""
    return b"%0*d%0*d" % (_DIGITS, feed.features_version, _DIGITS, feed.generated_at)


def generated_at(data: bytes) -> int:
    """Return when a packed feed was made, in ms since the epoch."""
    return int(data[_DIGITS:VERSION_CHARS])


def pack(feed: Feed) -> bytes:
    """Return the encoded feed without its user id, which is part of the key."""
    others, count = feed.others or _NO_ITEMS, len(feed.items)
    orders: dict[str, list[tuple[int, bytes]]] = {"": []}
    for order in feed.orders:
        codes = _codes(order.indices, range(count + len(others.items)))
        orders.setdefault(order.surface, []).append((order.from_ms, codes))
    sources, source_codes = _table([*feed.sources, *others.sources])
    reasons, reason_codes = _table([*feed.reasons, *others.reasons])
    columns = _Columns(
        watermark=feed.watermark,
        model=feed.model,
        items=feed.items,
        scores=_floats(feed.scores, "fd"),
        sources=sources,
        source_codes=_codes(source_codes[:count], sources),
        reasons=reasons,
        reason_codes=_codes(reason_codes[:count], reasons),
        parts={name: _floats(values, "efd") for name, values in feed.parts.items()},
        propensities=_floats(feed.propensities, "fd"),
        ml_scores=_floats(feed.ml_scores, "fd"),
        llm_scores=_llm_scores(feed.items, feed),
        trailing=feed.trailing,
        others=None
        if feed.others is None
        else _OtherColumns(
            items=others.items,
            scores=_floats(others.scores, "fd"),
            source_codes=_codes(source_codes[count:], sources),
            reason_codes=_codes(reason_codes[count:], reasons),
            parts=[_floats(others.parts[name], "efd") for name in feed.parts],
            ml_scores=_floats(others.ml_scores, "fd"),
            llm_scores=_llm_scores(others.items, feed),
        ),
        interactions_offset=feed.interactions_offset,
        arms=feed.arms,
        policy=feed.policy,
        orders=orders.pop(""),
        surfaces=orders,
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
    count, total = len(columns.items), len(columns.items) + (len(columns.others.items) if columns.others else 0)
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
        propensities=_rounded(_numbers(columns.propensities, count)),
        ml_scores=_rounded(_numbers(columns.ml_scores, count)),
        llm_scores=_by_item(columns.items, columns.llm_scores)
        | (_by_item(columns.others.items, columns.others.llm_scores) if columns.others is not None else {}),
        trailing=columns.trailing,
        interactions_offset=columns.interactions_offset,
        arms=columns.arms,
        policy=columns.policy,
        others=None if columns.others is None else _others(columns, columns.others),
        orders=[
            FeedOrder(from_ms=from_ms, indices=list(_column(codes, is_long=total > _BYTE)), surface=surface)
            for surface, orders in ({"": columns.orders} | columns.surfaces).items()
            for from_ms, codes in orders
        ],
    )


def _others(columns: _Columns, others: _OtherColumns) -> FeedItems:
    count = len(others.items)
    return FeedItems(
        items=others.items,
        scores=_rounded(_numbers(others.scores, count)),
        sources=_names(columns.sources, others.source_codes, count),
        reasons=_names(columns.reasons, others.reason_codes, count),
        parts={name: _short(values, count) for name, values in zip(columns.parts, others.parts, strict=True)},
        ml_scores=_rounded(_numbers(others.ml_scores, count)),
    )


def _llm_scores(items: Sequence[str], feed: Feed) -> bytes:
    return _floats([feed.llm_scores.get(item, math.nan) for item in items] if feed.llm_scores else [], "fd")


def _by_item(items: Sequence[str], llm_scores: bytes) -> dict[str, float]:
    scores = zip(items, _numbers(llm_scores, len(items)), strict=False)
    return {item: round(score, _LLM_DIGITS) for item, score in scores if not math.isnan(score)}


def _table(names: Sequence[str]) -> tuple[list[str], list[int]]:
    codes: dict[str, int] = {}
    column = [codes.setdefault(name, len(codes)) for name in names]
    return list(codes), column


def _codes(column: Sequence[int], table: Sized) -> bytes:
    """Pack the numbers of entries of a table: a byte each, or four in a long table."""
    return bytes(column) if len(table) <= _BYTE else struct.pack(f"<{len(column)}I", *column)


def _column(codes: bytes, *, is_long: bool) -> Sequence[int]:
    """Return the numbers that `_codes` packed; `is_long` says whether their table is long."""
    return struct.unpack(f"<{len(codes) // 4}I", codes) if is_long else codes


def _names(table: list[str], codes: bytes, count: int) -> list[str]:
    return [table[code] for code in _column(codes, is_long=len(codes) != count)]


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
