"""Synonyms, read once from `synonyms.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from infra.postgres.segment import MARKS, plain

Phrase = tuple[str, ...]
_WORD = re.compile(rf"\d+(?:\.\d+)+|[\w{MARKS}]+")


def words(text: str) -> list[str]:
    """Return the words and numbers of a text, folded. `infra.postgres.segment` handles scripts without spaces."""
    return _WORD.findall(plain(text))


def terms(query: Sequence[str]) -> Iterator[tuple[Phrase, list[Phrase]]]:
    """Yield the terms of a query, each with its synonyms: the longest known phrases, else single words."""
    groups, longest = _groups()
    position = 0
    while position < len(query):
        for length in range(min(longest, len(query) - position), 0, -1):
            phrase = tuple(query[position : position + length])
            others = groups.get(_plain(phrase))
            if others is not None or length == 1:
                yield phrase, [other for other in others or () if other != phrase]
                position += length
                break


@cache
def _groups() -> tuple[dict[Phrase, list[Phrase]], int]:
    groups: dict[Phrase, list[Phrase]] = {}
    for line in Path(__file__).with_name("synonyms.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            group = [tuple(words(phrase)) for phrase in line.split(",")]
            for phrase in group:
                alternatives = groups.setdefault(_plain(phrase), [])
                alternatives.extend(
                    other for other in group if other not in alternatives and _plain(other) != _plain(phrase)
                )
    return groups, max(map(len, groups))


def _plain(phrase: Phrase) -> Phrase:
    """Return a phrase with its last word in the singular."""
    last = phrase[-1]
    return (*phrase[:-1], last[:-1] if last.endswith("s") and not last.endswith("ss") and len(last) > 3 else last)
