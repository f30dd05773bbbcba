"""Fetchers of content for users: one file per category, with its prompt beside it.

Another package adds fetchers of its own by entry points of the group `millrace.fetchers`.
"""

from importlib.metadata import entry_points

from streams.fetchers import events, movies, music, places, workshops
from streams.fetchers.fetcher import Fetcher as Fetcher

ENTRY_POINTS = "millrace.fetchers"
_MODULES = (places, events, music, movies, workshops)
_ADDED: list[Fetcher] = [entry_point.load() for entry_point in entry_points(group=ENTRY_POINTS)]
FETCHERS = {fetcher.category: fetcher for fetcher in (*(module.FETCHER for module in _MODULES), *_ADDED)}
"""By category. The setting FETCH_CATEGORIES enables them and sets the cache lifetime of their answers."""
