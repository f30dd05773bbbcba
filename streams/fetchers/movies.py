"""Fetcher of movies, independent of the location."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="movies",
    version=2,
    depends_on_location=False,
    prompt_fields=("when", "interests", "keywords", "liked", "muted", "demographics"),
)
