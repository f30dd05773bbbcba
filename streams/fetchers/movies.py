"""What to watch, wherever one is."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="movies",
    version=2,
    placed=False,
    facts=("when", "interests", "keywords", "liked", "muted", "demographics"),
)
