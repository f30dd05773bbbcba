"""Fetcher of events near the user: concerts, matches, openings."""

from streams.fetchers.fetcher import Fetcher

FETCHER = Fetcher(
    category="events",
    version=2,
    depends_on_location=True,
    prompt_fields=("where", "when", "interests", "keywords", "muted", "relationship_status"),
)
