"""What to listen to, wherever one is."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="music",
    version=2,
    placed=False,
    facts=("when", "interests", "keywords", "liked", "muted", "demographics"),
)
