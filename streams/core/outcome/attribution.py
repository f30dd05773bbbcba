"""Attribution of a user's actions on an item to the impressions of the item.

An action counts for one impression: one of the request that the action names, else any that was shown before the action
and whose window is still open; of several the newest. The result depends on the impressions and actions alone, not on
the order in which they were read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from models.weight import event_weight, is_positive
from schemas.types import EarlyOutcome, Interaction, Outcome

_LIKES = frozenset(("like", "inspired", "save", "share"))
_DISLIKES = frozenset(("dislike", "hide"))
_DURATION = "duration_seconds"
"""Entry of an interaction's context: the duration of a view, as the API takes it."""
_MAX_DURATION_S = 86_400.0


class ActionCounts(NamedTuple):
    """Counts of the actions for one impression, as in the record `Outcome`."""

    clicks: int = 0
    likes: int = 0
    dislikes: int = 0
    skips: int = 0
    conversions: int = 0
    dwell_ms: int = 0

    def plus(self, other: ActionCounts) -> ActionCounts:
        """Return the sums."""
        return ActionCounts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


NO_ACTIONS = ActionCounts()


def action_counts(event: Interaction, rating_scale: float) -> ActionCounts:
    """Return the counts of one action, to be added to those of its impression.

    Args:
        event: The action.
        rating_scale: The highest rating.

    >>> action_counts(Interaction(event_id="e", user_id="u", item_id="i", action="purchase", occurred_at=1), 5.0)
    ActionCounts(clicks=1, likes=0, dislikes=0, skips=0, conversions=1, dwell_ms=0)
    """
    return ActionCounts(
        clicks=int(is_positive(event_weight(event, rating_scale))),
        likes=int(event.action in _LIKES),
        dislikes=int(event.action in _DISLIKES),
        skips=int(event.action == "skip"),
        conversions=int(event.action == "purchase"),
        dwell_ms=_dwell_ms(event.context),
    )


@dataclass(frozen=True, slots=True)
class ItemAction:
    """An action of a user on an item."""

    at_ms: int
    """Event time in ms since the epoch."""
    request_id: str | None
    counts: ActionCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The origin of a shown item: the feed that held it, and its category. Empty where the feed is not known."""

    source: str = ""
    category: str = ""
    model: str = ""
    policy: str = ""
    propensity: float | None = None
    arms: Mapping[str, str] = field(default_factory=dict)
    features_version: int = -1


@dataclass(slots=True, kw_only=True)
class ShownEntry:
    """One item of an impression, with what is known of its outcome."""

    outcome_id: str
    user_id: str
    item_id: str
    place: int
    request_id: str | None
    surface: str
    propensity: float | None
    """As the client reported it."""
    shown_at: int
    """Event time in ms since the epoch."""
    append_ms: int
    is_reported: bool
    counts: ActionCounts = NO_ACTIONS
    provenance: Provenance | None = None
    """None until it was looked up."""
    is_closed: bool = False
    is_superseded: bool = False
    """Whether the client has reported the impression that the server assumed."""
    labels: tuple[tuple[str, str], ...] = ()
    """The dimensions and labels under which the click figures hold it; none before it counts."""
    is_click: bool = False
    """Whether the click figures hold it as clicked."""

    def early_record(self, counts: ActionCounts) -> EarlyOutcome:
        """Return the early outcome as a record.

        Args:
            counts: Counts of the actions in the early window.
        """
        provenance = self.provenance or Provenance()
        return EarlyOutcome(
            user_id=self.user_id,
            outcome_id=self.outcome_id,
            item_id=self.item_id,
            place=self.place,
            category=provenance.category,
            arms=dict(provenance.arms),
            shown_at=self.shown_at,
            clicks=counts.clicks,
            dislikes=counts.dislikes,
            skips=counts.skips,
            conversions=counts.conversions,
            dwell_ms=counts.dwell_ms,
        )

    def record(self, window_ms: int) -> Outcome:
        """Return the outcome as a record.

        Args:
            window_ms: Time after the impression in which actions count.
        """
        provenance = self.provenance or Provenance()
        return Outcome(
            user_id=self.user_id,
            outcome_id=self.outcome_id,
            request_id=self.request_id,
            item_id=self.item_id,
            place=self.place,
            surface=self.surface,
            source=provenance.source,
            category=provenance.category,
            model=provenance.model,
            policy=provenance.policy,
            propensity=provenance.propensity if self.propensity is None else self.propensity,
            arms=dict(provenance.arms),
            features_version=provenance.features_version,
            shown_at=self.shown_at,
            closed_at=self.shown_at + window_ms,
            is_reported=self.is_reported,
            **self.counts._asdict(),
        )


def attributed(
    entries: Sequence[ShownEntry], actions: Iterable[ItemAction], *, window_ms: int
) -> dict[str, ActionCounts]:
    """Return the counts of each impression of an item to a user, by outcome id.

    Args:
        entries: The impressions of the item.
        actions: The user's actions on it.
        window_ms: Time after an impression in which actions count for it.
    """
    counts = {entry.outcome_id: NO_ACTIONS for entry in entries}
    for action in actions:
        entry = entry_of(action, entries, window_ms)
        if entry is not None:
            counts[entry.outcome_id] = counts[entry.outcome_id].plus(action.counts)
    return counts


def entry_of(action: ItemAction, entries: Sequence[ShownEntry], window_ms: int) -> ShownEntry | None:
    """Return the impression that an action counts for; None if there is none.

    Args:
        action: An action on an item.
        entries: The impressions of the item.
        window_ms: Time after an impression in which actions count for it.
    """
    open_entries = [entry for entry in entries if entry.shown_at <= action.at_ms <= entry.shown_at + window_ms]
    if action.request_id is not None:
        of_request = [entry for entry in open_entries if entry.request_id == action.request_id]
        open_entries = of_request or open_entries
    return max(open_entries, key=lambda entry: (entry.shown_at, entry.outcome_id), default=None)


def _dwell_ms(context: Mapping[str, str]) -> int:
    try:
        duration_s = float(context.get(_DURATION, 0.0))
    except ValueError:
        return 0
    return round(duration_s * 1_000) if 0.0 < duration_s <= _MAX_DURATION_S else 0
