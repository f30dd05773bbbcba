"""Spelling correction by edit distance."""

from __future__ import annotations

from collections.abc import Iterable

SHORTEST = 4
"""Minimum length of a word to correct: shorter ones are similar to many others."""
_LONG = 6


def correction(misspelling: str, vocabulary: Iterable[tuple[str, int]]) -> str | None:
    """Return the correction of a word: the nearest known word, then the most frequent; None if none is near enough.

    Args:
        misspelling: The word to correct.
        vocabulary: Known words with their frequencies.
    """
    most = 1 if len(misspelling) < _LONG else 2
    near = [(distance(misspelling, word), -frequency, word) for word, frequency in vocabulary]
    best = min((one for one in near if one[0] <= most), default=None)
    return None if best is None else best[2]


def distance(one: str, other: str) -> int:
    """Return the edit distance with swaps of neighboring letters (optimal string alignment)."""
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
