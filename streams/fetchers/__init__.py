"""What can be fetched for users: one file per category, and its prompt beside it."""

from streams.fetchers import events, movies, music, places, workshops
from streams.fetchers.fetcher import Fetcher as Fetcher

FETCHERS: dict[str, Fetcher] = {
    "places": places.FETCHER,
    "events": events.FETCHER,
    "music": music.FETCHER,
    "movies": movies.FETCHER,
    "workshops": workshops.FETCHER,
}
"""By category. Which of them run, and how long their answers are cached, is a setting: FETCH_CATEGORIES."""
