"""How far apart two spellings are, and which known word is meant."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST = 4
"""Letters from which on a word can be misspelt: shorter ones are as near to many others."""
_LONG = 6


def meant(typed: str, vocabulary: Iterable[tuple[str, int]]) -> str | None:
    """Return the known word that is meant, the nearest and of these the most used; None when none is near enough.

    Words are given with how often they are used.
    """
    most = 1 if len(typed) < _LONG else 2
    near = [(distance(typed, word), -used, word) for word, used in vocabulary]
    best = min((one for one in near if one[0] <= most), default=None)
    return None if best is None else best[2]


def distance(one: str, other: str) -> int:
    """Return how many letters must be added, left out, replaced or swapped with the next (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, 1):
        before, last, row = row, before, [index]
        for column, there in enumerate(other, 1):
            cost = min(before[column] + 1, row[-1] + 1, before[column - 1] + (letter != there))
            if index > 1 and column > 1 and letter == other[column - 2] and one[index - 2] == there:
                cost = min(cost, last[column - 2] + 1)
            row.append(cost)
    return row[-1]
