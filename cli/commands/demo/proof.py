"""What a run of the demo proves, as one line of JSON."""

from __future__ import annotations

import msgspec


class DemoError(RuntimeError):
    """The demo could not show what it set out to show."""


class Proof(msgspec.Struct, kw_only=True):
    """The last line of `millrace demo --once`. All counts are of this run; `published` counts interactions."""

    ok: bool = False
    error: str = ""
    broker: str = ""
    dataset: str = ""
    published: int = 0
    """Interactions that the broker acknowledged."""
    published_by: dict[str, int] = msgspec.field(default_factory=dict)
    """The same by way: kafka, api, click."""
    processed: int = 0
    """Interactions folded into features: the growth of event_count over the newest snapshots in the features topic."""
    dead_lettered: int = 0
    """Interactions that are in the dead-letters topic."""
    items: int = 0
    profiles: int = 0
    bad_lines: int = 0
    """Lines of the data that could not be read and were left out."""
    users_with_feeds: int = 0
    """Users of this run with a feed of their own in the store, not empty and made of their newest features."""
    user: str = ""
    clicked: str = ""
    click_to_feed_ms: float = 0.0
    """From sending the click to holding the changed feed, as a client of the API sees it."""
    simulated: list[str] = msgspec.field(default_factory=list)
    """Services for which there is no key: what they answer is made up by doubles."""
    prefetched: dict[str, int] = msgspec.field(default_factory=dict)
    """Things that lay ready for the user before the feed was read, by category."""
    fetched_by: list[str] = msgspec.field(default_factory=list)
    """Who found them: llm or catalogue."""
    pushed: str = ""
    """Title of the notification that was sent to the user's device."""
    push: str = ""
    """What was decided on it, and why."""
    feed_before: list[str] = msgspec.field(default_factory=list)
    feed_after: list[str] = msgspec.field(default_factory=list)
    seconds: dict[str, float] = msgspec.field(default_factory=dict)
    """How long each step took."""
    addresses: dict[str, str] = msgspec.field(default_factory=dict)

    def adds_up(self) -> bool:
        """Say whether every interaction is accounted for."""
        return self.published == self.processed + self.dead_lettered

    def line(self) -> str:
        """Return the JSON on one line."""
        return msgspec.json.encode(self).decode()
