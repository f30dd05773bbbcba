"""Identity of items by title, and of cities by name.

A title's key omits case, accents, punctuation, a leading article and a year in brackets, so that `The Blue Note!` is
`blue note` and `Alien (1979)` is `alien`. Two items are the same when they share the category and the key, and neither
their years nor their cities contradict; a missing value contradicts nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from domain.gazetteer import LONGEST_NAME, located
from domain.plain import plain

_YEAR = re.compile(r"\s*[(\[](\d{4})[)\]]\s*$")
_ARTICLES = ("the ", "a ", "an ")


class Identity(NamedTuple):
    """Identity of an item within its category."""

    key: str
    year: str = ""
    city: str = ""

    def is_same(self, other: Identity) -> bool:
        """Return whether both identify the same item."""
        return self.key == other.key and _agree(self.year, other.year) and _agree(self.city, other.city)


def _agree(one: str, other: str) -> bool:
    return not one or not other or one == other


def identity(title: str, *, year: str = "", city: str | None = None) -> Identity:
    """Return the identity of a title; without a year, one in brackets at the end of the title is used."""
    year_match = _YEAR.search(title)
    key = plain(_YEAR.sub("", title))
    for article in _ARTICLES:
        key = key.removeprefix(article)
    return Identity(key or title.casefold(), year or (year_match[1] if year_match else ""), city_key(city))


def city_key(name: str | None) -> str:
    """Return the comparison key of a city's name, the same in all languages for a known city; empty for none."""
    return _city_key(name or "") if len(name or "") <= LONGEST_NAME else plain(name or "")


@lru_cache(maxsize=10_000)
def _city_key(name: str) -> str:
    city = located(name)
    return city.key if city else plain(name)
