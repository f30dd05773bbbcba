"""Word index: the words of texts, without the texts, and how many texts have each, for similarities by TF-IDF.

Words are hashed to 16 bits (feature hashing: Weinberger et al., ICML 2009), so that a text takes two bytes for each of
its words, and the counts of a catalogue have a fixed size. A word weighs 1 + ln((texts + 1) / (texts with it + 1)), its
smoothed inverse document frequency; how often a text repeats it does not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint16]
"""Hashes of the different words of a text, in ascending order."""

TEXT_WORDS = 64
"""Different words of a text that count: the first ones."""
_HASHES = 1 << 16
_SHORT = 8
"""Words below which a text is too short to be as similar as its words are."""
_WORD = re.compile(r"\w\w+")
_NO_WORDS: Words = np.empty(0, np.uint16)


def words_of(text: str) -> Words:
    """Return the words of a text.

    >>> len(words_of("Jazz, and more jazz"))
    3
    """
    words = list(dict.fromkeys(_WORD.findall(text.lower())))[:TEXT_WORDS]
    return np.unique(np.array([crc32(word.encode()) % _HASHES for word in words], np.uint16))


class WordIndex:
    """The words of numbered texts."""

    def __init__(self) -> None:
        self._words: list[bytes] = []
        """The words by number; none for a number without a text."""
        self._text_counts = np.zeros(_HASHES, np.int32)
        self._count = 0

    def put(self, number: int, text: str) -> None:
        """Add or replace a text.

        Args:
            number: Its number.
            text: The text; an empty one removes it.
        """
        self._count_words(self.words(number), -1)
        words = words_of(text)
        self._count_words(words, 1)
        self._words += [b""] * (number + 1 - len(self._words))
        self._words[number] = words.tobytes()

    def words(self, number: int) -> Words:
        """Return the words of a text; none for a number without a text."""
        return np.frombuffer(self._words[number], np.uint16) if 0 <= number < len(self._words) else _NO_WORDS

    def similarities(self, texts: Sequence[Words], others: Sequence[Words]) -> NDArray[np.float64]:
        """Return (texts, others) cosines, from 0 to 1.

        Args:
            texts: Texts, which count as texts of the index here.
            others: Other texts, of the index or not.
        """
        if not texts or not others:
            return np.zeros((len(texts), len(others)))
        joined_words, lengths = np.concatenate(texts), np.array([len(words) for words in texts])
        text_count = self._count + len(texts)
        counts = self._text_counts + np.bincount(joined_words, minlength=_HASHES)
        squares = (1.0 + np.log((text_count + 1.0) / (np.minimum(counts, text_count) + 1.0))) ** 2
        numbers = np.repeat(np.arange(len(texts)), lengths)
        norms = np.array([_norm(words, squares) for words in texts])
        cosines = np.zeros((len(texts), len(others)))
        for column, other in enumerate(others):
            common = np.zeros(_HASHES)
            common[other] = squares[other]
            cosines[:, column] = np.bincount(numbers, common[joined_words], minlength=len(texts))
            cosines[:, column] /= norms * _norm(other, squares)
        return cosines

    def _count_words(self, words: Words, sign: int) -> None:
        if len(words):
            self._text_counts[words] += sign
            self._count += sign


def _norm(words: Words, squares: NDArray[np.float64]) -> float:
    """Return the length of the vector of a text, which is larger for a short one, and 1 for one without words."""
    return float(np.sqrt(squares[words].sum() * max(1.0, _SHORT / len(words)))) if len(words) else 1.0
