"""Fetchers of content for users: one file per category, with its prompt beside it."""

from streams.fetchers import events, movies, music, places, workshops
from streams.fetchers.fetcher import Fetcher as Fetcher

FETCHERS: dict[str, Fetcher] = {
    "places": places.FETCHER,
    "events": events.FETCHER,
    "music": music.FETCHER,
    "movies": movies.FETCHER,
    "workshops": workshops.FETCHER,
}
"""By category. The setting FETCH_CATEGORIES enables them and sets the cache lifetime of their answers."""
