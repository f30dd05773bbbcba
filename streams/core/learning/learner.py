"""Online learner, test then learn: the trainer feeds it every interaction, and the evaluation drives it.

For each positive event, the candidates are built as for the user's feed at that time. `on_outcome` gets them first,
then the blender learns which one was chosen among those that a feed would hold; only then do the user, the item and the
item-item links fold the event. Events of one user with the same time form one timestamp group. All of them are held
against the state before the first event of the group. Those after the first are also held against the state by then,
because the feed goes on within a group.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from domain.timestamp import DAY_MS
from models.blend.blender import Blender
from models.blend.personal import PersonalWeights
from models.encoders.user_encoder import EncoderModel
from models.neighbours.cooccurrence import timestamp_groups_back
from models.refitting import EventMatrix
from models.weight import event_weight, is_on_scale, is_positive
from schemas.types import Features, Interaction, Item, ItemStats, Profile
from streams.core.dedup import fingerprint
from streams.core.item import item_stats, private_stats
from streams.core.item.item_stats import ItemSignal, ItemState
from streams.core.item.link_events import LinkEvent, link_event
from streams.core.item.user_choices import UserChoices
from streams.core.learning.choices import learn_outcome
from streams.core.learning.item_weights import ItemWeightsProvider, model_event
from streams.core.learning.packed_states import PackedStates
from streams.core.learning.repeats import RepeatRates, returns
from streams.core.params import PrivateStatsParams, RankParams, SignalParams, UserParams
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot, ItemLabels
from streams.core.ranking.ordering import OWN_ITEMS, Candidates
from streams.core.ranking.pipeline import build_candidates, new_blender
from streams.core.ranking.served_feeds import VISIT_MS
from streams.core.ranking.stages.features import weights_by_name
from streams.core.user import day_limits, user_state
from streams.core.user.user_state import UserState

FIT_EVENTS = 1_000
"""Minimum number of events between fits; the distance grows with the number of events."""
FIT_GROWTH = 0.02
"""Minimum distance between fits, as a share of all events so far."""
WEIGHTED_ITEMS = 2_500
"""Number of items in a fit, the most popular ones: its time grows with their cube."""
_WEAK = 0.3
_TIMESTAMP_GROUPS = 8
"""Number of timestamp groups in memory; events of more users hardly interleave within one second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerParams:
    """Parameters of the folds and of the ranking."""

    user: UserParams
    signal: SignalParams
    rank: RankParams
    cooccurrence_half_life_days: float
    """Half-life of the item-item links, in days."""
    item_weights: Callable[[], ItemWeightsProvider]
    """Creates the provider of item weights."""
    embedding_dim: int
    """Length of an item embedding."""
    private_stats: PrivateStatsParams | None = None
    """The guarantee of the item statistics; None for exact ones."""
    encoder: Callable[[], EncoderModel] | None = None
    """Creates the network that serves users by their own vectors; None for no network."""
    max_users: int | None = None
    """Number of users whose states are kept, those active last; all by default."""

    @property
    def feed_items(self) -> int:
        """Return the largest number of items in the orders of a feed."""
        return self.rank.max_recommendations + OWN_ITEMS


@dataclass(frozen=True, slots=True)
class _TimestampGroup:
    """A user at a time: the candidates before the first event of that time, and the current ones."""

    at_ms: int
    version: int
    """The version of the features behind the current candidates."""
    first: Candidates
    now: Candidates
    outcomes: set[str]
    """Items already learned from: several actions on one item at the same time are one outcome."""


class Learner:
    """The state of all users and items, learned from interactions alone."""

    def __init__(
        self,
        params: LearnerParams,
        *,
        refits_item_weights: bool = True,
        on_outcome: Callable[[Candidates, int], None] = lambda candidates, index: None,
    ) -> None:
        """Start from nothing.

        Args:
            params: Parameters of the folds and of the ranking.
            refits_item_weights: Whether item weights are refitted as events add up, and their model learns; otherwise
                the caller calls `fit`.
            on_outcome: Called with the candidates and the index of the chosen one, before each outcome is learned.
        """
        self.params = params
        self.refits_item_weights, self.on_outcome = refits_item_weights, on_outcome
        self.catalog = CatalogSnapshot(
            cooccurrence_half_life_days=params.cooccurrence_half_life_days,
            learns_links=True,
            exact_items=params.rank.exact_items,
            embedding_dim=params.embedding_dim,
        )
        self.weights = PersonalWeights(new_blender(), most_users=params.max_users)
        self.item_weights = params.item_weights()
        self._encoder = None if params.encoder is None else params.encoder()
        self.repeats = RepeatRates()
        self.events = 0
        self._users = PackedStates(UserState, most=params.max_users)
        self._items = PackedStates(ItemState)
        self._daily_stats = None if params.private_stats is None else _DailyStats(params, params.private_stats)
        self._groups: dict[str, _TimestampGroup] = {}
        self._log = EventMatrix(self.catalog.items)
        self._fit_due = FIT_EVENTS

    @property
    def blender(self) -> Blender:
        """Return the blender with the shared weights."""
        return self.weights.blender

    def features(self, user_id: str) -> Features:
        """Return the features of a user; those of a newcomer for an unknown user."""
        state, offset = self._users.get(user_id) or UserState(user_id), self.weights.offset(user_id)
        state.weights = {} if offset is None else weights_by_name(offset)
        return user_state.snapshot(state, self.params.user)

    def candidates(self, user_id: str, at_ms: int) -> Candidates:
        """Return the candidates for a user at a time."""
        return self._timestamp_group(user_id, at_ms).now

    def learn(
        self, event: Interaction, position: Position, *, item: Item | None = None, learn_weights: bool = True
    ) -> None:
        """Learn from one interaction; one with a rating above the scale is ignored.

        Args:
            event: The interaction.
            position: Its position in its topic.
            item: Its item, where the catalog snapshot does not have it yet.
            learn_weights: Whether the blender learns too, which costs a ranking.
        """
        scale = self.params.user.rating_scale
        if event.item_id is None or not is_on_scale(event, scale) or self._repeats(event, position):
            return
        is_liked = is_positive(event_weight(event, scale))
        if self._daily_stats is not None:
            self._daily_stats.release_until(event.occurred_at, self.catalog)
        if learn_weights:
            self._learn_weights(event, is_liked=is_liked)
        if self.catalog.labels(event.item_id) is None:
            self.catalog.apply_item(item or _unlisted(event.item_id, event.occurred_at))
        self._fold(event, position, item=item, is_liked=is_liked)
        self.events += 1
        if self.refits_item_weights and self.events >= self._fit_due:
            self.fit()

    def profile(self, event: Profile, position: Position) -> None:
        """Apply a user's stated profile."""
        user_state.fold_profile(self._users.setdefault(event.user_id, UserState(event.user_id)), event, position)

    def fit(self) -> None:
        """Fit the item weights to all events so far."""
        matrix = self._log.matrix()
        totals = np.asarray(matrix.sum(axis=0)).ravel()
        items = np.sort(np.argsort(-totals, kind="stable")[:WEIGHTED_ITEMS]).astype(np.int32)
        names = [self.catalog.items.names[index] for index in items.tolist()]
        self.catalog.item_weights.fill(items, self.item_weights.weights(matrix[:, items], names).astype(np.float64))
        self._fit_due = self.events + max(FIT_EVENTS, int(FIT_GROWTH * self.events))

    def _repeats(self, event: Interaction, position: Position) -> bool:
        state = self._users.get(event.user_id)
        return state is not None and (
            position.repeats(state.position) or fingerprint(event.event_id) in state.event_ids
        )

    def _timestamp_group(self, user_id: str, at_ms: int) -> _TimestampGroup:
        """Return a user's timestamp group with up-to-date candidates."""
        features, group = self.features(user_id), self._groups.get(user_id)
        if group is None or group.at_ms != at_ms or group.version != features.version:
            self.catalog.refresh_columns()
            now = build_candidates(features, self.catalog, self.params.rank, at_ms=at_ms)
            goes_on = group is not None and group.at_ms == at_ms
            first, outcomes = (group.first, group.outcomes) if group is not None and goes_on else (now, set[str]())
            group = _TimestampGroup(at_ms, features.version, first, now, outcomes)
            self._groups.pop(user_id, None)
            self._groups[user_id] = group
            if len(self._groups) > _TIMESTAMP_GROUPS:
                del self._groups[next(iter(self._groups))]
        return group

    def _learn_weights(self, event: Interaction, *, is_liked: bool) -> None:
        if not is_liked:
            return
        candidates = self._candidates_when_viewed(event)
        if candidates is not None:
            group = self._groups.get(event.user_id)
            if group is not None and group.at_ms == event.occurred_at:
                group.outcomes.add(str(event.item_id))
            self._learn_outcome(candidates, event)
            return
        group = self._timestamp_group(event.user_id, event.occurred_at)
        if event.item_id in group.outcomes:
            return
        group.outcomes.add(str(event.item_id))
        self._learn_outcome(group.first, event)
        if group.now is not group.first:
            self._learn_outcome(group.now, event)

    def _share(self, event: Interaction) -> float:
        state = self._users.get(event.user_id)
        return 1.0 if state is None else day_limits.outcome_share(state, str(event.item_id), event.occurred_at)

    def _candidates_when_viewed(self, event: Interaction) -> Candidates | None:
        """Return the candidates at the time when the user opened an item that is now acted on.

        A user who opens an item before liking it has chosen it then. By now it is excluded as an item already seen.
        """
        state = self._users.get(event.user_id)
        if state is None or self._may_repeat(str(event.item_id)):
            return None
        times_ms = [at_ms for item_id, _, at_ms in state.recent if item_id == event.item_id]
        if not times_ms or event.occurred_at - times_ms[0] > VISIT_MS or self._has_been_rated(state, event):
            return None
        features = self.features(event.user_id)
        recent = [one for one in features.recent if one.item_id != event.item_id]
        before = structs.replace(
            features,
            recent=recent,
            seen=[item_id for item_id in features.seen if item_id != event.item_id],
            watermark=recent[0].at if recent else 0,
            event_count=features.event_count - len(times_ms),
        )
        self.catalog.refresh_columns()
        return build_candidates(before, self.catalog, self.params.rank, at_ms=times_ms[0])

    def _may_repeat(self, item_id: str) -> bool:
        labels = self.catalog.labels(item_id) or ItemLabels()
        return self.params.rank.allow_repeat_items.allows(labels.category, self.catalog.repeated_categories)

    def _has_been_rated(self, state: UserState, event: Interaction) -> bool:
        """Return whether the user has already expressed a like or dislike of an item, beyond a view."""
        return any(
            is_positive(weight) or weight <= 0.0 for item_id, weight, _ in state.recent if item_id == event.item_id
        )

    def _learn_outcome(self, candidates: Candidates, event: Interaction) -> None:
        index = self.catalog.items.get(str(event.item_id))
        matches = np.flatnonzero((candidates.items == index) & candidates.is_admissible)
        if len(matches):
            self.on_outcome(candidates, int(matches[0]))
            learn_outcome(
                self.weights,
                candidates,
                int(matches[0]),
                feed_items=self.params.feed_items,
                outcome_weight=self._share(event),
            )

    def _fold(self, event: Interaction, position: Position, *, item: Item | None, is_liked: bool) -> None:
        item_id = str(event.item_id)
        state = self._users.setdefault(event.user_id, UserState(event.user_id))
        links = link_event(state, event, position, self.params.user)
        subject, is_return = self.catalog.labels(item_id) or ItemLabels(), returns(state, event)
        item_signal = user_state.fold(state, event, position, subject=subject, params=self.params.user)
        if item_signal is None:
            return
        if is_return is not None:
            self.repeats.add(subject.category, is_return=is_return)
            self.catalog.repeated_categories = self.repeats.categories
        if self._daily_stats is None:
            self._fold_stats(item_signal)
        else:
            self._daily_stats.put(state)
        index = self.catalog.items.get(item_id)
        if links is not None:
            self._link(index, links)
        self._log.add(event.user_id, index, 1.0 if is_liked else _WEAK)
        if self.refits_item_weights:
            self.item_weights.add(model_event(event, rating_scale=self.params.user.rating_scale), item)
        if self._encoder is not None:
            self._encoder.add([model_event(event, rating_scale=self.params.user.rating_scale)])
            if self._encoder.fit_if_due():
                self.catalog.encoder.serve(self._encoder.export(), self.catalog.items)

    def _fold_stats(self, item_signal: ItemSignal) -> None:
        """Fold the effect of an interaction on its item, and apply the statistics at once."""
        item_state = self._items.setdefault(item_signal.item_id, ItemState(item_signal.item_id))
        if item_stats.fold(item_state, item_stats.to_record([item_signal]), params=self.params.signal):
            self.catalog.apply_stats(item_stats.stats(item_state))

    def _link(self, index: int, event: LinkEvent) -> None:
        """Link an item with the items before it, and learn its embedding from them."""
        window = self.catalog.items.encode_known(name for name, _, _ in event.window)
        groups_back = timestamp_groups_back([at_ms for _, _, at_ms in event.window], event.at_ms)
        self.catalog.neighbors.learn(index, window, groups_back, at_ms=event.at_ms, weight=event.weight)
        context = np.array(list(dict.fromkeys(window.tolist())), np.int32)
        if index not in context:
            self.catalog.learn_embedding(index, context, event.weight)


class _DailyStats:
    """Private statistics, released as the stream passes a day, as the trainer releases them by the clock."""

    def __init__(self, params: LearnerParams, private_stats_params: PrivateStatsParams) -> None:
        self._private_stats, self._signal = private_stats_params, params.signal
        self._choices = UserChoices(most_users=params.max_users)
        self._stats: dict[str, ItemStats] = {}
        self._day = 0

    def put(self, state: UserState) -> None:
        """Note the choices of a user."""
        self._choices.put(
            state.user_id,
            reversed(state.recent),
            seen_items=state.seen,
            event_count=state.event_count,
            segment=state.segment,
        )

    def release_until(self, at_ms: int, catalog: CatalogSnapshot) -> None:
        """Apply the statistics of the day of a time, unless they are there already."""
        day = at_ms // DAY_MS
        if day <= self._day:
            return
        self._day = day
        for stats in private_stats.release(
            self._choices,
            [catalog.items.names[index] for index in np.flatnonzero(catalog.is_listed).tolist()],
            self._stats,
            at_ms=day * DAY_MS,
            params=self._private_stats,
            signal=self._signal,
        ):
            self._stats[stats.item_id] = stats
            catalog.apply_stats(stats)


def _unlisted(item_id: str, at_ms: int) -> Item:
    return Item(item_id=item_id, category="", title="", created_at=at_ms)
