"""Fetcher of music, independent of the location."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="music",
    version=2,
    placed=False,
    facts=("when", "interests", "keywords", "liked", "muted", "demographics"),
)
