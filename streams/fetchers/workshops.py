"""Fetcher of workshops and courses near the user."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="workshops",
    version=2,
    placed=True,
    facts=("where", "when", "interests", "keywords", "muted"),
)
