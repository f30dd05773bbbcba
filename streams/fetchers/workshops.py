"""Fetcher of workshops and courses near the user."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="workshops",
    version=2,
    depends_on_location=True,
    prompt_fields=("where", "when", "interests", "keywords", "muted"),
)
