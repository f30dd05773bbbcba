"""The proof of a demo run, as one line of JSON."""

from __future__ import annotations

import msgspec


class DemoError(RuntimeError):
    """A step of the demo failed."""


class Proof(msgspec.Struct, kw_only=True):
    """The last line of `millrace demo --once`. All counts are of this run; `published` counts interactions."""

    ok: bool = False
    error: str = ""
    broker: str = ""
    dataset: str = ""
    published: int = 0  # wire
    """Interactions that the broker acknowledged."""
    published_by: dict[str, int] = msgspec.field(default_factory=dict)
    """Published interactions by channel: kafka, api, click."""
    processed: int = 0  # wire
    """Interactions folded into features: the growth of event_count over the newest snapshots in the features topic."""
    dead_lettered: int = 0
    """Interactions in the dead-letter topic."""
    items: int = 0
    profiles: int = 0
    bad_lines: int = 0
    """Lines of the data set that could not be read and were skipped."""
    users_with_feeds: int = 0
    """Users of this run with a non-empty feed in the store, based on their newest features."""
    user: str = ""
    clicked: str = ""  # wire
    click_to_feed_ms: float = 0.0
    """Time from sending the click to receiving the changed feed, measured as a client of the API."""
    fakes: list[str] = msgspec.field(default_factory=list, name="simulated")
    """Services without a key, replaced by fakes."""
    prefetched: dict[str, int] = msgspec.field(default_factory=dict)  # wire
    """Number of items prefetched for the user before the feed was read, by category."""
    fetched_by: list[str] = msgspec.field(default_factory=list)
    """The fetchers of the items: llm or catalogue."""
    pushed: str = ""  # wire
    """Title of the notification to the user's device."""
    push: str = ""
    """The decision on the notification, and its reason."""
    feed_before: list[str] = msgspec.field(default_factory=list)
    feed_after: list[str] = msgspec.field(default_factory=list)
    seconds: dict[str, float] = msgspec.field(default_factory=dict)
    """Duration of each step, in seconds."""
    addresses: dict[str, str] = msgspec.field(default_factory=dict)

    def adds_up(self) -> bool:
        """Return whether every published interaction was processed or dead-lettered."""
        return self.published == self.processed + self.dead_lettered

    def line(self) -> str:
        """Return the proof as one line of JSON."""
        return msgspec.json.encode(self).decode()
