"""Budgets of bytes: counts alone bound no record, since a character has up to four bytes and an id 256 characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def size(text: str) -> int:
    """Return the bytes of a text in UTF-8."""
    return len(text.encode())


def total(texts: Iterable[str]) -> int:
    """Return the bytes of some texts together."""
    return len("".join(texts).encode())


def fitting(texts: Sequence[str], budget: int, *, each: int = 0) -> int:
    """Return how many of the first texts fit into a budget of bytes.

    Args:
        texts: The texts, the most important one first.
        budget: Bytes for all of them.
        each: Bytes that come with each text, such as a number beside it.

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
        strengths: How strong each one is, by its absolute value; ties go by text.
        budget: Bytes for all of them.
        each: Bytes that come with each text.

    >>> strongest(["weak", "mild", "hot"], [0.1, -2.0, 3.0], 8)
    [1, 2]
    """
    if fitting(texts, budget, each=each) == len(texts):
        return list(range(len(texts)))
    order = sorted(range(len(texts)), key=lambda at: (-abs(strengths[at]), texts[at]))
    return sorted(order[: fitting([texts[at] for at in order], budget, each=each)])
