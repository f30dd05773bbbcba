"""Fetcher of movies, independent of the location."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="movies",
    version=2,
    placed=False,
    facts=("when", "interests", "keywords", "liked", "muted", "demographics"),
)
