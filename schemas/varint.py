"""Avro's numbers of variable length, for the code in `schemas.wire`.

A long is zig-zagged (0, -1, 1, -2 … become 0, 1, 2, 3 …) and written seven bits a byte, lowest first, with the high bit
set in all bytes but the last (https://avro.apache.org/docs/1.12.0/specification/#binary-encoding).
"""

from __future__ import annotations

_LOW, _HIGH = -(1 << 63), (1 << 63) - 1
_INT_LOW, _INT_HIGH = -(1 << 31), (1 << 31) - 1
_MOST_BYTES, _LAST_SHIFT = 10, 63
_CHUNK_BITS = 14
_THIRD_BITS = 2 * _CHUNK_BITS - 1
"""Bits of a long before it is zig-zagged that the first two chunks hold."""
_CHUNK = 1 << _CHUNK_BITS
_MASK = _CHUNK - 1
_TWO, _THREE = _CHUNK**2, _CHUNK**3
_LAST = [bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7]) for n in range(_CHUNK)]
"""What ends with these 14 bits, by their value."""
_MORE = [bytes([n & 127 | 128, n >> 7 | 128]) for n in range(_CHUNK)]
"""What goes on after them."""


def varint(number: int) -> bytes:
    """Return the bytes of a number that is zig-zagged already."""
    if number < _CHUNK:
        return _LAST[number]
    return _MORE[number & _MASK] + varint(number >> _CHUNK_BITS)


def size(number: int) -> bytes:
    """Return the bytes of a length or a count."""
    return varint(number << 1)


def long(number: int) -> bytes:
    """Return the bytes of a long.

    Raises:
        OverflowError: it has more than 64 bits.
    """
    if _TWO <= number < _THREE >> 1:  # times in ms, which most longs are
        return _MORE[number << 1 & _MASK] + _MORE[number >> _CHUNK_BITS - 1 & _MASK] + _LAST[number >> _THIRD_BITS]
    if not _LOW <= number <= _HIGH:
        raise OverflowError(f"{number} does not fit a long")
    return varint(number << 1 if number >= 0 else ~(number << 1))


def int_(number: int) -> bytes:
    """Return the bytes of an int.

    Raises:
        OverflowError: it has more than 32 bits.
    """
    if not _INT_LOW <= number <= _INT_HIGH:
        raise OverflowError(f"{number} does not fit an int")
    return long(number)


def rest(data: bytes, at: int, first: int) -> tuple[int, int]:
    """Return a zig-zagged number whose first byte was read and says that more follow, and where it ends.

    Raises:
        IndexError: the data end before.
        OverflowError: it has more than 64 bits.
    """
    number, shift = first & 127, 7
    for byte in data[at : at + _MOST_BYTES - 1]:
        at += 1
        if byte < 128:
            if shift == _LAST_SHIFT and byte > 1:
                break
            return number | byte << shift, at
        number |= (byte & 127) << shift
        shift += 7
    if shift < _LAST_SHIFT:
        raise IndexError("the data end within a number")
    raise OverflowError("a number of more than 64 bits")


def length(data: bytes, at: int, first: int) -> tuple[int, int]:
    """Return a length, or the place of a symbol, whose first byte was read, and where it ends.

    Raises:
        IndexError: the data end before.
        ValueError: it is below zero.
    """
    number, at = _number(data, at, first)
    if number & 1:
        raise ValueError("a length below zero")
    return number >> 1, at


def count(data: bytes, at: int, first: int) -> tuple[int, int]:
    """Return how many elements a block has, whose first byte was read, and where they begin.

    A count below zero is followed by the bytes that the block takes, for whoever wants to pass over it.
    """
    number, at = _number(data, at, first)
    if number & 1:
        _, at = _number(data, at + 1, data[at])
        number += 1
    return number >> 1, at


def _number(data: bytes, at: int, first: int) -> tuple[int, int]:
    return rest(data, at, first) if first > 127 else (first, at)
