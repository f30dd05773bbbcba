"""Segmentation of scripts without spaces between words: Chinese, Japanese, Thai …, and Korean with particles.

PostgreSQL treats the text between two spaces as one word. Here such a run is indexed by its bigrams, so that any part
of it matches as a phrase of bigrams: 自転車 is 自転 followed by 転車, also within 赤い自転車の歌. The last character is
indexed alone as well; a single character matches as the prefix of a bigram.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from infra.postgres.parameters import Bind
from schemas.text import fold

MARKS = "\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963\u0966-\u0dff\u0f71-\u0fbc"
"""Vowels and other marks within words of Hebrew, Arabic, Indic scripts and Tibetan, for a regex character class."""
_WORD = re.compile(f"[\\w{MARKS}]+")

_RUN = re.compile(
    "["
    "\u1100-\u11ff\uac00-\ud7af"  # Hangul
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3105-\u312f"  # kana, Bopomofo
    "\u0e01-\u0e4e\u0e81-\u0ede\u1000-\u109f\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
    "]+"
)
_LAST_POSITION = 16_383
"""Maximum position in a tsvector of PostgreSQL."""


def plain(text: str) -> str:
    """Return the parts of a text with spaces between words, folded."""
    return _RUN.sub(" ", fold(text))


def runs(text: str) -> list[str]:
    """Return the runs of a text without spaces between words, folded."""
    return _RUN.findall(fold(text))


def pairs(run: str) -> list[str]:
    """Return the bigrams of a run, or its only character."""
    return [run[index : index + 2] for index in range(len(run) - 1)] or [run]


def spaced(text: str) -> str:
    """Return a folded text with spaces between words and bigrams."""
    return _RUN.sub(lambda run: f" {' '.join(pairs(run[0]))} ", fold(text))


def document(texts: Iterable[tuple[str, str]]) -> str:
    """Return the runs of texts in the text format of a tsvector; each text has a weight from A to D."""
    lexemes: dict[str, list[str]] = {}
    position = 0
    for text, weight in texts:
        for run in runs(text):
            for index in range(len(run)):
                position = min(position + 1, _LAST_POSITION)
                lexemes.setdefault(run[index : index + 2], []).append(f"{position}{weight}")
            position += 1  # so that no phrase spans two runs
    return " ".join(f"'{lexeme}':{','.join(positions)}" for lexeme, positions in lexemes.items())


def query(run: str) -> str:
    """Return a run in the text format of a tsquery; it matches within other runs."""
    if len(run) == 1:
        return f"'{run}':*"
    return " <-> ".join(f"'{pair}'" for pair in pairs(run))


def any_word(words: Iterable[str], bind: Bind) -> str | None:
    """Return a tsquery expression that matches texts with all parts of any of the words; None without words.

    Operators in the words have no effect.
    """
    alternatives = [" && ".join(parts) for word in words if (parts := list(_parts(word, bind)))]
    return f"({' || '.join(alternatives)})" if alternatives else None


def _parts(word: str, bind: Bind) -> Iterator[str]:
    bare = _WORD.findall(plain(word))
    if bare:
        yield f"plainto_tsquery('english', {bind(' '.join(bare))})"
    for run in runs(word):
        yield f"{bind(query(run))}::text::tsquery"
