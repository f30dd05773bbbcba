"""When two titles mean the same thing, and two names the same city.

A title's key leaves out case, accents, punctuation, a leading article and a year in brackets, so that `The Blue Note!`
is `blue note` and `Alien (1979)` is `alien`. Two items are the same when they are of one category, their keys are equal
and neither their years nor their cities contradict: what one of them does not tell contradicts nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from schemas.gazetteer import LONGEST_NAME, located
from schemas.plain import plain

_YEAR = re.compile(r"\s*[(\[](\d{4})[)\]]\s*$")
_ARTICLES = ("the ", "a ", "an ")


class Identity(NamedTuple):
    """What an item is recognised by, within its category."""

    key: str
    year: str = ""
    city: str = ""

    def is_same(self, other: Identity) -> bool:
        """Return whether both mean the same thing."""
        return self.key == other.key and _agree(self.year, other.year) and _agree(self.city, other.city)


def _agree(one: str, other: str) -> bool:
    return not one or not other or one == other


def identity(title: str, *, year: str = "", city: str | None = None) -> Identity:
    """Return what a title is recognised by; a year in brackets at its end counts when none is told."""
    year_match = _YEAR.search(title)
    key = plain(_YEAR.sub("", title))
    for article in _ARTICLES:
        key = key.removeprefix(article)
    return Identity(key or title.casefold(), year or (year_match[1] if year_match else ""), city_key(city))


def city_key(name: str | None) -> str:
    """Return what a city's name is compared by, the same in all languages for a city that is known; empty for none."""
    return _city_key(name or "") if len(name or "") <= LONGEST_NAME else plain(name or "")


@lru_cache(maxsize=10_000)
def _city_key(name: str) -> str:
    city = located(name)
    return city.key if city else plain(name)
