"""Outcome join: impressions of one partition of users, joined with the actions that follow within a window.

    show, act    take the events, in any order, and repeats of them
    advance      moves the clock: outcomes whose window has passed are closed, and closed ones that changed are returned
    take_early   returns what is known of the impressions whose early window has passed
    resolve      adds the provenance of entries: the feed that was shown, which the caller looks up

An event that was appended later than the lateness after it happened is left out. So every event that counts for an
outcome has been read once the clock has passed the window and the lateness; the outcome is forgotten then. Which events
count depends on the events alone, so reading them again gives the same outcomes.

An early outcome is what is known once the early window has passed, of the actions within it. It is never corrected, so
that all impressions were observed for the same time, whenever they were shown.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.types import Impression, Interaction, ShownItem
from streams.core.outcome.attribution import (
    NO_ACTIONS,
    ActionCounts,
    ItemAction,
    Provenance,
    ShownEntry,
    action_counts,
    attributed,
    entry_of,
)
from streams.core.outcome.click_figures import ClickFigures, Figures
from streams.core.params import OutcomeParams


@dataclass(slots=True)
class _ItemState:
    """The impressions of an item to a user, by outcome id, and the user's actions on it, by event id."""

    entries: dict[str, ShownEntry] = field(default_factory=dict)
    actions: dict[str, ItemAction] = field(default_factory=dict)


@dataclass(slots=True)
class _UserState:
    items: dict[str, _ItemState] = field(default_factory=dict)
    reports: dict[str, int] = field(default_factory=dict)
    """First append time of an impression that the client reported, by request."""
    size: int = 0
    """Number of entries and actions."""


class OutcomeJoin:
    """The outcomes of one partition of users that may still change."""

    def __init__(self, params: OutcomeParams, *, interval_ms: int, since_ms: int = 0) -> None:
        """Start without events.

        Args:
            params: The window, the lateness, and the bounds.
            interval_ms: Length of an interval of the click figures, in ms.
            since_ms: Event time of the first impression whose outcome may still change, in ms since the epoch; older
                ones that compete with it for actions are taken as well, but not counted.
        """
        self._params, self._first_ms = params, since_ms - params.window_ms
        self._users: dict[str, _UserState] = {}
        self._due: list[tuple[int, str, str]] = []
        """A heap of times at which an item of a user is to be looked at, in ms since the epoch."""
        self._dirty: dict[tuple[str, str], None] = {}
        """Items of users with events that were not attributed yet."""
        self._pending: dict[str, ShownEntry] = {}
        self._early_due: list[tuple[int, str, str, str]] = []
        """A heap of times at which the early outcome of an entry is due, in ms since the epoch, with the user, the
        item and the outcome id."""
        self._early: list[tuple[ShownEntry, ActionCounts]] = []
        """Entries whose early window has passed, with the counts of the actions within it, until they are taken."""
        self.figures = ClickFigures(interval_ms, since_ms=since_ms)
        self.clock_ms = 0
        """The time up to which all events have been read, in ms since the epoch."""
        self.size = 0
        """Number of entries and actions in memory."""
        self.late_count = self.refused_count = self.early_count = 0
        """Events left out because they came too late, and for lack of room; outcomes closed early for lack of room."""

    def show(self, event: Impression, append_ms: int) -> None:
        """Take an impression.

        Args:
            event: The impression.
            append_ms: Its append time, in ms since the epoch.
        """
        if not self._is_in_time(event.occurred_at, append_ms) or event.occurred_at < self._first_ms:
            return
        user = self._users.setdefault(event.user_id, _UserState())
        if event.is_reported and event.request_id is not None:
            self._report(event.user_id, user, event.request_id, append_ms)
        for outcome_id, item in _numbered(event):
            state = user.items.get(item.item_id) or _ItemState()
            if outcome_id in state.entries or not self._has_room(user):
                continue
            user.items[item.item_id] = state
            entry = ShownEntry(
                outcome_id=outcome_id,
                user_id=event.user_id,
                item_id=item.item_id,
                place=item.position,
                request_id=event.request_id,
                surface=event.surface,
                propensity=item.propensity,
                shown_at=event.occurred_at,
                append_ms=append_ms,
                is_reported=event.is_reported,
            )
            state.entries[outcome_id] = self._pending[_unique(entry)] = entry
            closed_at = entry.shown_at + self._params.window_ms
            for at_ms in (closed_at, closed_at + self._params.lateness_ms):
                heapq.heappush(self._due, (at_ms, event.user_id, item.item_id))
            early_ms = entry.shown_at + self._params.early_window_ms
            heapq.heappush(self._early_due, (early_ms, event.user_id, item.item_id, outcome_id))
            self._dirty[event.user_id, item.item_id] = None
        if not user.items:
            del self._users[event.user_id]

    def act(self, event: Interaction, append_ms: int) -> None:
        """Take an action.

        Args:
            event: The action; one without an item or without meaning for an impression is left out.
            append_ms: Its append time, in ms since the epoch.
        """
        counts = action_counts(event, self._params.rating_scale)
        if event.item_id is None or counts == NO_ACTIONS or not self._is_in_time(event.occurred_at, append_ms):
            return
        user = self._users.setdefault(event.user_id, _UserState())
        state = user.items.get(event.item_id) or _ItemState()
        if event.event_id in state.actions or not self._has_room(user):
            return
        user.items[event.item_id] = state
        state.actions[event.event_id] = ItemAction(event.occurred_at, event.request_id, counts)
        heapq.heappush(self._due, (event.occurred_at + self._params.lateness_ms, event.user_id, event.item_id))
        self._dirty[event.user_id, event.item_id] = None

    def advance(self, clock_ms: int) -> list[ShownEntry]:
        """Move the clock, and return the entries whose outcomes are to be published, each once.

        Args:
            clock_ms: The time up to which all events have been read, in ms since the epoch.
        """
        outcomes: dict[str, ShownEntry] = {}
        for user_id, item_id in self._dirty:
            outcomes |= self._attribute(user_id, item_id)
        self._dirty.clear()
        self.clock_ms = max(self.clock_ms, clock_ms)
        self._early += self._pop_early()
        while self._due and (self._due[0][0] <= self.clock_ms or self.size > self._params.max_events):
            at_ms, user_id, item_id = heapq.heappop(self._due)
            outcomes |= self._close(user_id, item_id, max(at_ms, self.clock_ms))
        return list(outcomes.values())

    def take_early(self) -> list[tuple[ShownEntry, ActionCounts]]:
        """Return the entries whose early window has passed since the last time, with the actions within it."""
        entries, self._early = self._early, []
        return entries

    def unresolved(self, appended_before_ms: int) -> list[ShownEntry]:
        """Return the entries without a provenance that were appended before a time, oldest first.

        Args:
            appended_before_ms: The time, in ms since the epoch.
        """
        entries = []
        for entry in self._pending.values():
            if entry.append_ms >= appended_before_ms:
                break
            entries.append(entry)
        return entries

    def resolve(self, entry: ShownEntry, provenance: Provenance) -> None:
        """Set the provenance of an entry.

        Args:
            entry: The entry.
            provenance: The feed and the category of the item.
        """
        self._pending.pop(_unique(entry), None)
        entry.provenance = provenance
        self.figures.count(entry)

    def take_figures(self) -> dict[int, Figures]:
        """Return the click figures by interval that have changed since the last time, and forget the final ones."""
        return self.figures.take(self.clock_ms - self._params.window_ms - self._params.lateness_ms)

    def forget_user(self, user_id: str) -> None:
        """Forget the events of a user; figures stay."""
        user = self._users.pop(user_id, None)
        if user is not None:
            self.size -= user.size
            for state in user.items.values():
                for entry in state.entries.values():
                    self._pending.pop(_unique(entry), None)

    def _is_in_time(self, occurred_at: int, append_ms: int) -> bool:
        is_in_time = append_ms - occurred_at <= self._params.lateness_ms
        self.late_count += not is_in_time
        return is_in_time

    def _has_room(self, user: _UserState) -> bool:
        """Count an event of a user, unless there are too many."""
        has_room = user.size < self._params.max_user_events
        self.refused_count += not has_room
        user.size += has_room
        self.size += has_room
        return has_room

    def _report(self, user_id: str, user: _UserState, request_id: str, append_ms: int) -> None:
        """Note that the client has reported a request: the server's log of it no longer counts."""
        if request_id in user.reports:
            return
        if len(user.reports) >= self._params.max_user_events:
            del user.reports[next(iter(user.reports))]
        user.reports[request_id] = append_ms
        for item_id, state in user.items.items():
            if any(entry.request_id == request_id and not entry.is_reported for entry in state.entries.values()):
                self._dirty[user_id, item_id] = None

    def _attribute(self, user_id: str, item_id: str) -> Iterator[tuple[str, ShownEntry]]:
        """Attribute the actions on an item anew; yield the closed entries whose counts have changed."""
        user = self._users.get(user_id)
        state = None if user is None else user.items.get(item_id)
        if user is None or state is None:
            return
        entries = list(state.entries.values())
        for entry in entries:
            entry.is_superseded = not entry.is_reported and self._is_reported_later(entry, user, entries)
        counting = [entry for entry in entries if not entry.is_superseded]
        counts = attributed(counting, state.actions.values(), window_ms=self._params.window_ms)
        for entry in entries:
            before, entry.counts = entry.counts, counts.get(entry.outcome_id, NO_ACTIONS)
            self.figures.count(entry)
            if entry.is_closed and not entry.is_superseded and entry.counts != before:
                yield _unique(entry), entry

    def _pop_early(self) -> Iterator[tuple[ShownEntry, ActionCounts]]:
        while self._early_due and self._early_due[0][0] <= self.clock_ms:
            _, user_id, item_id, outcome_id = heapq.heappop(self._early_due)
            user = self._users.get(user_id)
            state = None if user is None else user.items.get(item_id)
            entry = None if state is None else state.entries.get(outcome_id)
            if state is not None and entry is not None and not entry.is_superseded:
                yield entry, self._early_counts(entry, state)

    def _early_counts(self, entry: ShownEntry, state: _ItemState) -> ActionCounts:
        """Return the counts of the actions for an impression that happened in its early window."""
        last_ms = entry.shown_at + self._params.early_window_ms
        actions = [action for action in state.actions.values() if action.at_ms <= last_ms]
        counting = [one for one in state.entries.values() if not one.is_superseded]
        return attributed(counting, actions, window_ms=self._params.window_ms)[entry.outcome_id]

    def _is_reported_later(self, entry: ShownEntry, user: _UserState, entries: list[ShownEntry]) -> bool:
        """Return whether the client has reported what the server assumed, before the outcome closed."""
        closed_at = entry.shown_at + self._params.window_ms
        if entry.request_id is not None and user.reports.get(entry.request_id, closed_at + 1) <= closed_at:
            return True
        return any(
            one.is_reported and one.request_id is None and one.append_ms <= closed_at and one.shown_at >= entry.shown_at
            for one in entries
        )

    def _close(self, user_id: str, item_id: str, at_ms: int) -> Iterator[tuple[str, ShownEntry]]:
        """Yield the entries of an item that close by a time, and forget those that can no longer change."""
        user = self._users.get(user_id)
        state = None if user is None else user.items.get(item_id)
        if user is None or state is None:
            return
        window_ms, lateness_ms = self._params.window_ms, self._params.lateness_ms
        for entry in list(state.entries.values()):
            if not entry.is_closed and entry.shown_at + window_ms <= at_ms:
                entry.is_closed = True
                self.early_count += entry.shown_at + window_ms > self.clock_ms
                if not entry.is_superseded:
                    yield _unique(entry), entry
            if entry.shown_at + window_ms + lateness_ms <= at_ms:
                self._forget_entry(user, state, entry)
        kept_ms = window_ms + lateness_ms if state.entries else lateness_ms
        for event_id, action in list(state.actions.items()):
            if action.at_ms + kept_ms <= at_ms:
                self._forget(user, state.actions, event_id)
        if not state.entries and not state.actions:
            del user.items[item_id]
            if not user.items:
                del self._users[user_id]

    def _forget_entry(self, user: _UserState, state: _ItemState, entry: ShownEntry) -> None:
        """Forget an entry, and the actions that count for it, which must not count for another one."""
        entries = [one for one in state.entries.values() if not one.is_superseded]
        for event_id, action in list(state.actions.items()):
            if entry_of(action, entries, self._params.window_ms) is entry:
                self._forget(user, state.actions, event_id)
        self._forget(user, state.entries, entry.outcome_id)
        self._pending.pop(_unique(entry), None)

    def _forget(self, user: _UserState, events: dict[str, Any], event_id: str) -> None:
        del events[event_id]
        user.size -= 1
        self.size -= 1


def _numbered(event: Impression) -> Iterator[tuple[str, ShownItem]]:
    """Yield the items of an impression with their outcome ids, which stay unique where clients repeat a place."""
    repeats: Counter[int] = Counter()
    for item in event.items:
        suffix = f".{repeats[item.position]}" if repeats[item.position] else ""
        repeats[item.position] += 1
        yield f"{event.event_id}:{item.position}{suffix}", item


def _unique(entry: ShownEntry) -> str:
    """Return the outcome id with the user: ids of events are unique among those of a user."""
    return f"{entry.user_id}\n{entry.outcome_id}"
