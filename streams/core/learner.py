"""Learning from the stream, test first: what the trainer does with every interaction, and what evaluation drives.

Each event is met as the user's feed would have met it. The moment before it is ranked, the blender learns which
candidate was taken, and only then do the user, the item and the links between items take the event in. Events of one
user with the same time are one moment: all of them are held against what was known before the first, and those after
the first against what was known by then, too, for the feed goes on within a moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from models.blender import Blender
from models.cooccurrence import HALF_LIFE_DAYS, WINDOW, moments_back
from models.personal import Personal
from models.refit import Log
from models.weight import is_liking, is_on_scale, weight_of
from schemas.types import Features, Interaction, Item, Profile
from streams.core import signal, user
from streams.core.params import RankParams, SignalParams, UserParams
from streams.core.part import by_name
from streams.core.position import Position
from streams.core.rank import Look, look, new_blender
from streams.core.repeat import fingerprint
from streams.core.signal import ItemState
from streams.core.taste import EaseTastes, Tastes, model_event
from streams.core.user import UserState
from streams.core.view import Subject, View

FIT_EVENTS = 1_000
"""Events between fits at least; they move apart as the events add up."""
FIT_GROWTH = 0.02
"""Share of the events so far that pass between fits at least."""
TASTE_ITEMS = 2_500
"""Items in a fit, the most popular ones: its time grows with their cube."""
_WEAK = 0.3
_VISIT_MS = 30 * 60_000
"""How long after it was opened an item is taken to be acted on because of that."""
_MOMENTS = 8
"""Moments remembered; events of more users than that hardly share one second and mix."""


@dataclass(frozen=True, slots=True)
class Params:
    """How everything is folded, and what is ranked."""

    user: UserParams
    signal: SignalParams
    rank: RankParams
    half_life_days: float = HALF_LIFE_DAYS
    """Half-life of the links between items."""
    tastes: Callable[[], Tastes] = EaseTastes
    """Makes what tastes come from."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A user at a time: what there was to choose from before the first event of that time, and by now."""

    at_ms: int
    version: int
    """That of the features by now."""
    first: Look
    now: Look
    outcomes: set[str]
    """Items that were learned from: acting on one more than once at a time is one outcome."""


class Learner:
    """Everything known of users and items, as learned from interactions alone."""

    def __init__(
        self,
        params: Params,
        *,
        refits: bool = True,
        on_outcome: Callable[[Look, int], None] = lambda seen, taken: None,
    ) -> None:
        """Start from nothing.

        Args:
            params: How everything is folded, and what is ranked.
            refits: Whether tastes are fitted anew as events add up, and their model learns; otherwise `fit` is left to
                the caller.
            on_outcome: Hears of each outcome, what there was and the place of what was taken, before it is learned.
        """
        self.params = params
        self.refits, self.on_outcome = refits, on_outcome
        self.view = View(half_life_days=params.half_life_days, learns=True, exact_items=params.rank.exact_items)
        self.weights = Personal(new_blender())
        self.tastes = params.tastes()
        self.events = 0
        self._users: dict[str, UserState] = {}
        self._items: dict[str, ItemState] = {}
        self._moments: dict[str, _Moment] = {}
        self._log = Log(self.view.items)
        self._fit_due = FIT_EVENTS

    @property
    def blender(self) -> Blender:
        """Return the weights that all users share."""
        return self.weights.blender

    def features(self, user_id: str) -> Features:
        """Return the features of a user, known or not."""
        state, offset = self._users.get(user_id) or UserState(user_id), self.weights.offset(user_id)
        state.weights = {} if offset is None else by_name(offset)
        return user.snapshot(state, self.params.user)

    def look(self, user_id: str, at_ms: int) -> Look:
        """Return what there is to choose from for a user at a time."""
        return self._moment(user_id, at_ms).now

    def learn(self, event: Interaction, position: Position, *, item: Item | None = None, weigh: bool = True) -> None:
        """Learn from one interaction; one whose rating is above the scale is passed over.

        Args:
            event: The interaction.
            position: Where it stood in its topic.
            item: What the catalogue says of its item, when it is not in the view yet.
            weigh: Whether the blender learns too, which costs a ranking.
        """
        scale = self.params.user.rating_scale
        if event.item_id is None or not is_on_scale(event.action, event.value, scale) or self._repeats(event, position):
            return
        liking = is_liking(weight_of(event.action, event.value, scale))
        if weigh and liking:
            self._weigh(event)
        if self.view.subject(event.item_id) is None:
            self.view.apply_item(item or _unlisted(event.item_id, event.occurred_at))
        self._fold(event, position, item=item, liking=liking)
        self.events += 1
        if self.refits and self.events >= self._fit_due:
            self.fit()

    def profile(self, event: Profile, position: Position) -> None:
        """Take over what a user states."""
        user.fold_profile(self._users.setdefault(event.user_id, UserState(event.user_id)), event, position)

    def forget_profile(self, user_id: str, at_ms: int, position: Position) -> None:
        """Forget what a user stated until a time."""
        if user_id in self._users:
            user.forget_profile(self._users[user_id], at_ms, position)

    def fit(self) -> None:
        """Fit what a liking of each item says of the others to all that was learned."""
        matrix = self._log.matrix()
        heard = np.asarray(matrix.sum(axis=0)).ravel()
        kept = np.sort(np.argsort(-heard, kind="stable")[:TASTE_ITEMS]).astype(np.int32)
        names = [self.view.items.names[index] for index in kept.tolist()]
        self.view.tastes.fill(kept, self.tastes.weights(matrix[:, kept], names)[None].astype(np.float64))
        self._fit_due = self.events + max(FIT_EVENTS, int(FIT_GROWTH * self.events))

    def _repeats(self, event: Interaction, position: Position) -> bool:
        state = self._users.get(event.user_id)
        return state is not None and (
            position.repeats(state.position) or fingerprint(event.event_id) in state.event_ids
        )

    def _moment(self, user_id: str, at_ms: int) -> _Moment:
        """Return a user's moment with what there is to choose from by now."""
        features, known = self.features(user_id), self._moments.get(user_id)
        if known is None or known.at_ms != at_ms or known.version != features.version:
            self.view.refresh_columns()
            now = look(features, self.view, self.params.rank, at_ms=at_ms)
            goes_on = known is not None and known.at_ms == at_ms
            first, outcomes = (known.first, known.outcomes) if known is not None and goes_on else (now, set[str]())
            known = _Moment(at_ms, features.version, first, now, outcomes)
            self._moments.pop(user_id, None)
            self._moments[user_id] = known
            if len(self._moments) > _MOMENTS:
                del self._moments[next(iter(self._moments))]
        return known

    def _weigh(self, event: Interaction) -> None:
        viewed = self._as_viewed(event)
        if viewed is not None:
            known = self._moments.get(event.user_id)
            if known is not None and known.at_ms == event.occurred_at:
                known.outcomes.add(str(event.item_id))
            self._learn_outcome(viewed, event)
            return
        moment = self._moment(event.user_id, event.occurred_at)
        if event.item_id in moment.outcomes:
            return
        moment.outcomes.add(str(event.item_id))
        self._learn_outcome(moment.first, event)
        if moment.now is not moment.first:
            self._learn_outcome(moment.now, event)

    def _share(self, event: Interaction) -> float:
        state = self._users.get(event.user_id)
        return 1.0 if state is None else user.outcome_share(state, str(event.item_id), event.occurred_at)

    def _as_viewed(self, event: Interaction) -> Look | None:
        """Return what there was to choose from when a user first looked at an item that is now acted on.

        Whoever opens an item before liking it has chosen it then: by now it is one of those that are not shown again.
        """
        state = self._users.get(event.user_id)
        if state is None or self.params.rank.repeats:
            return None
        times_ms = [at_ms for item_id, _, at_ms in state.recent if item_id == event.item_id]
        if not times_ms or event.occurred_at - times_ms[0] > _VISIT_MS or self._was_judged(state, event):
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
        self.view.refresh_columns()
        return look(before, self.view, self.params.rank, at_ms=times_ms[0])

    def _was_judged(self, state: UserState, event: Interaction) -> bool:
        """Say whether the user has already shown to like or dislike an item, beyond having looked at it."""
        return any(
            is_liking(weight) or weight <= 0.0 for item_id, weight, _ in state.recent if item_id == event.item_id
        )

    def _learn_outcome(self, seen: Look, event: Interaction) -> None:
        index = self.view.items.get(str(event.item_id))
        taken = np.flatnonzero((seen.items == index) & seen.admissible)
        if len(taken):
            self.on_outcome(seen, int(taken[0]))
            self.weights.learn(
                event.user_id,
                seen.parts,
                int(taken[0]),
                seen.whom.context,
                among=seen.admissible,
                share=self._share(event),
            )

    def _fold(self, event: Interaction, position: Position, *, item: Item | None, liking: bool) -> None:
        item_id = str(event.item_id)
        state = self._users.setdefault(event.user_id, UserState(event.user_id))
        before, share = state.recent[-WINDOW:][::-1], user.share(state, item_id, event.occurred_at)
        heard = user.fold(
            state, event, position, subject=self.view.subject(item_id) or Subject(), params=self.params.user
        )
        if heard is None:
            return
        doing = self._items.setdefault(item_id, ItemState(item_id))
        if signal.fold(doing, signal.told([heard]), params=self.params.signal):
            self.view.apply_stats(signal.stats(doing))
        index = self.view.items.get(item_id)
        window = self.view.items.known(name for name, _, _ in before)
        moments = moments_back([at_ms for _, _, at_ms in before], event.occurred_at)
        self.view.neighbors.learn(index, window, moments, at_ms=event.occurred_at, liking=liking, share=share)
        self._log.add(event.user_id, index, 1.0 if liking else _WEAK)
        if self.refits:
            self.tastes.add(model_event(event, self.params.user.rating_scale), item)


def _unlisted(item_id: str, at_ms: int) -> Item:
    return Item(item_id=item_id, category="", title="", created_at=at_ms)
