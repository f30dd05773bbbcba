"""Byte budgets, since a number of entries bounds no record: a character has up to four bytes, an id 256 characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def size(text: str) -> int:
    """Return the size of a text in UTF-8, in bytes."""
    return len(text.encode())


def total(texts: Iterable[str]) -> int:
    """Return the total size of texts in UTF-8, in bytes."""
    return len("".join(texts).encode())


def fitting(texts: Sequence[str], budget: int, *, each: int = 0) -> int:
    """Return the number of leading texts that fit into a budget of bytes.

    Args:
        texts: The texts, the most important one first.
        budget: Bytes for all of them.
        each: Overhead of each text in bytes, such as a number beside it.

    >>> fitting(["ab", "cd", "語"], 6, each=1)
    2
    """
    if total(texts) + each * len(texts) <= budget:
        return len(texts)
    for count, text in enumerate(texts):
        budget -= size(text) + each
        if budget < 0:
            return count
    return len(texts)


def strongest(texts: Sequence[str], strengths: Sequence[float], budget: int, *, each: int = 0) -> list[int]:
    """Return the indices of the strongest texts that fit into a budget of bytes, in their order.

    Args:
        texts: The texts.
        strengths: The strength of each, by its absolute value; ties go by text.
        budget: Bytes for all of them.
        each: Overhead of each text in bytes.

    >>> strongest(["weak", "mild", "hot"], [0.1, -2.0, 3.0], 8)
    [1, 2]
    """
    if fitting(texts, budget, each=each) == len(texts):
        return list(range(len(texts)))
    order = sorted(range(len(texts)), key=lambda at: (-abs(strengths[at]), texts[at]))
    return sorted(order[: fitting([texts[at] for at in order], budget, each=each)])
