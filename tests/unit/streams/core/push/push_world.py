"""One user of pushes, with a clock and a push service that answers as it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from domain.timestamp import DAY_MS, HOUR_MS
from infra.fcm import SendAnswer
from schemas.types import Feed, Notification, PushPreferences, PushRequest, QuietHours
from streams.core.params import PushParams
from streams.core.position import Position
from streams.core.push.candidates import PushItem, fold_feed, fold_request
from streams.core.push.delivery import Delivery, due_items, record_delivery, release
from streams.core.push.push_state import PushState
from tests.build import a_push_request
from tests.params import PUSH_PARAMS

NOON = 1_795_262_400_000
"""In Lisbon, on 21 November 2026: the night is ten hours off."""
PARAMS = PUSH_PARAMS
NIGHT = PushPreferences(quiet_hours=QuietHours(start="22:00", end="08:00", timezone="Europe/Lisbon"))
OLD = [f"old-{n}" for n in range(8)]
SCORES = [9.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
"""The leader is 5 above the middle and the spread is 4: its lead is 1.25."""
DELIVERED, GONE = SendAnswer("delivered"), SendAnswer("gone", "404")


@dataclass
class World:
    """One user, a clock, and a push service that answers as it is told."""

    now_ms: int = NOON
    state: PushState = field(default_factory=lambda: PushState("u1"))
    params: PushParams = PARAMS
    answers: dict[str, SendAnswer] = field(default_factory=dict)
    unavailable: set[str] = field(default_factory=set)
    """Items that have left the catalogue."""
    is_configured: bool = True
    decisions: list[Notification] = field(default_factory=list)
    deliveries: list[tuple[int, str, str]] = field(default_factory=list)
    """When, to which device, what."""
    ttls: list[int] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: count(1))

    def ask(self, request: PushRequest | None = None, *, card: PushItem | None = None, **fields: Any) -> None:
        number = next(self._numbers)
        request = request or a_push_request(**({"occurred_at": self.now_ms} | fields))
        self.decisions += fold_request(
            self.state, request, Position(0, number, self.now_ms), item=card, params=self.params, now_ms=self.now_ms
        )
        self.work()

    def message(self, **fields: Any) -> None:
        self.ask(**({"kind": "send", "token": None, "title": "Hello"} | fields))

    def feed(self, **new: float) -> Feed:
        """Show a feed in which new items have some scores, by name; the others are old."""
        scores = sorted([*zip(OLD, SCORES, strict=True), *new.items()], key=lambda pair: -pair[1])
        number = next(self._numbers)
        feed = Feed(
            user_id="u1",
            features_version=number,
            generated_at=self.now_ms,
            watermark=self.now_ms,
            model="blend",
            items=[item_id for item_id, _ in scores],
            scores=[score for _, score in scores],
            sources=["trending"] * len(scores),
            reasons=["Trending now"] * len(scores),
        )
        self.show(feed)
        return feed

    def show(self, feed: Feed) -> None:
        ages = {item_id: 30 * DAY_MS if item_id in OLD else HOUR_MS for item_id in feed.items}
        cards = {
            item_id: PushItem(item_id, item_id.partition("_")[0], f"About {item_id}", self.now_ms - age)
            for item_id, age in ages.items()
        }
        self.decisions += fold_feed(self.state, feed, cards, params=self.params, now_ms=self.now_ms)
        self.work()

    def get_used(self) -> None:
        """Show as many feeds as it takes to know what is usual."""
        for _ in range(3):
            self.feed()

    def wait(self, ms: int) -> None:
        """Let time pass, at the end of which what is due is released."""
        self.now_ms += ms
        self.work()

    def work(self) -> None:
        unavailable_items = due_items(self.state, self.now_ms) & self.unavailable
        decisions, deliveries = release(
            self.state, params=self.params, now_ms=self.now_ms, unavailable_items=unavailable_items
        )
        self.decisions += decisions
        for delivery in deliveries:
            self.decisions += record_delivery(
                self.state, delivery, self._answers(delivery), params=self.params, now_ms=self.now_ms
            )

    def _answers(self, delivery: Delivery) -> dict[str, SendAnswer] | None:
        if not self.is_configured:
            return None
        answers = {token: self.answers.get(token, DELIVERED) for token in delivery.tokens}
        about = delivery.notification.notification_id
        self.ttls.append(delivery.ttl_s)
        self.deliveries += [
            (self.now_ms, token, about) for token, answer in answers.items() if answer.kind == "delivered"
        ]
        return answers

    @property
    def statuses(self) -> list[str]:
        return [decision.status for decision in self.decisions]


def a_user(**fields: Any) -> World:
    """Return a user with a phone, whose usual feeds are known."""
    world = World(**fields)
    world.ask()
    world.get_used()
    assert world.decisions == []
    return world
