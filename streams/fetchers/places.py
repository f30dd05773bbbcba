"""Fetcher of places near the user, from cafés to trails."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="places",
    version=2,
    depends_on_location=True,
    prompt_fields=("where", "when", "interests", "keywords", "muted", "travel_history", "relationship_status"),
)
