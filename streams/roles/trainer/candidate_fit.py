"""Candidate fit: a full fit that learns the whole history in order, and is evaluated before it may serve.

The last events are evaluated test-then-learn: the weights before each outcome rank it, and so do the weights in
service, on the same candidates and features (Gama et al. 2013, prequential evaluation). The weights in service have
learned from most of these events, and would win for that reason alone. So only the events after their fit decide, on
which they continue to learn as they do live. If there are too few, the NDCG decides that the version in service had
reached in its own evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

from infra.redis.stores.model_status import NOT_JUDGED, REFUSED, SERVING
from models.blend.blender import Weights
from models.blend.fallback import LISTED
from models.blend.feature_matrix import rank_of
from models.blend.personal import PersonalWeights
from schemas.types import Interaction, Item, Profile
from streams.core.learning.choices import learn_outcome
from streams.core.learning.learner import Learner, LearnerParams
from streams.core.learning.rank_accumulator import MIN_OUTCOMES, RankAccumulator
from streams.core.learning.visits import Positions
from streams.core.position import Position
from streams.core.ranking.ordering import Candidates, score
from streams.core.ranking.pipeline import new_blender

MAX_OUTCOMES = 0.2
"""Share of the events, the last ones, on which a fit is evaluated."""
_Z_95 = 1.96
"""Standard errors of the 95 % confidence interval of a difference."""
_REFRESH_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class IncumbentModel:
    """The version in service."""

    blender: Mapping[str, Weights]
    """The state of its blender at the end of its fit."""
    watermark: int = 0
    """Time of the newest event in its fit, in ms since the epoch."""
    ndcg: float | None = None
    """NDCG@10 of its own evaluation, if it had one."""


Status = Literal["serving", "refused", "not judged"]
"""Status of a fit after its evaluation; see `infra.redis.stores.model_status`."""


@dataclass(frozen=True, slots=True)
class PromotionDecision:
    """The result of evaluating a fit, with its reason."""

    status: Status
    reason: str
    metrics: Mapping[str, float] = field(default_factory=dict)


class CandidateFit:
    """A new learner that replays the history."""

    def __init__(
        self,
        params: LearnerParams,
        catalogue: Mapping[str, Item],
        profiles: Iterable[tuple[Position, Profile]],
        *,
        total: int,
        serving: IncumbentModel | None = None,
        weight_events: int | None = None,
    ) -> None:
        """Create an empty fit.

        Args:
            params: Parameters of folding, ranking and learning.
            catalogue: Items by id; an item enters once the stream passes its creation time, or at its first event.
            profiles: The stated profiles of the users.
            total: Number of events to come.
            serving: The version in service, which the fit is compared with.
            weight_events: Number of the last events that the blender learns from; all by default.
        """
        self.learner = Learner(params, on_outcome=self._judge)
        self.learned_count = 0
        self.positions: Positions = {}
        """The newest (offset, append time) learned, by partition."""
        self.total = total
        self.judged_ranks, self.unseen_ranks = RankAccumulator(), RankAccumulator()
        """Ranks on the last events, and on those of them after the fit of the version in service."""
        self._catalogue = catalogue
        self._future_items = sorted(catalogue.values(), key=attrgetter("created_at"), reverse=True)
        self._weighed_from = 0 if weight_events is None else total - weight_events
        self._judged_from = (1.0 - MAX_OUTCOMES) * total
        self._serving, self._at_ms = serving, 0
        self._incumbent = PersonalWeights(new_blender())
        if serving is not None:
            self._incumbent.blender.restore({name: array.copy() for name, array in serving.blender.items()})
        for position, profile in profiles:
            self.learner.profile(profile, position)

    def learn(self, event: Interaction, position: Position) -> None:
        """Learn the next event."""
        self._at_ms = event.occurred_at
        self.positions[position.partition] = position.after(self.positions.get(position.partition))
        self._add_items(event.occurred_at)
        if self.learned_count % _REFRESH_EVENTS == 0 and len(self._catalogue) > self.learner.params.rank.exact_items:
            self.learner.catalog.refresh()
        learn_event(
            self.learner,
            event,
            position,
            item=self._catalogue.get(event.item_id or ""),
            learn_weights=self.learned_count >= self._weighed_from,
        )
        self.learned_count += 1

    def end(self) -> Learner:
        """Fit the item weights to all events, and return the learner."""
        self._add_items(math.inf)
        if self.learner.events:
            self.learner.fit()
        return self.learner

    def verdict(self, *, tolerance: float) -> PromotionDecision:
        """Decide whether the fit may serve.

        The fit is refused if its NDCG@10 is lower than that of the incumbent, including its online learning, by more
        than the tolerance and by more than chance. With too few outcomes it is not judged, and does not serve.

        Args:
            tolerance: Largest acceptable loss, as a share of the incumbent's NDCG@10.
        """
        accumulator = self.unseen_ranks if self.unseen_ranks.outcomes >= MIN_OUTCOMES else self.judged_ranks
        if accumulator.outcomes < MIN_OUTCOMES:
            reason = f"{accumulator.outcomes} outcomes are too few to judge by: it takes {MIN_OUTCOMES}"
            return PromotionDecision(NOT_JUDGED, reason, {"outcomes": float(accumulator.outcomes)})
        (own, incumbent), (own_hr, incumbent_hr) = accumulator.ndcg(), accumulator.hr()
        delta, error = accumulator.ndcg_delta()
        metrics = {"ndcg@10": own, "hr@10": own_hr, "outcomes": float(accumulator.outcomes)}
        if accumulator is self.judged_ranks and self._serving is not None and self._serving.ndcg is not None:
            incumbent = self._serving.ndcg
            delta, error = own - incumbent, accumulator.error()
        else:
            metrics |= {"serving_hr@10": incumbent_hr}
        metrics |= {"serving_ndcg@10": incumbent}
        serving = "the weights before any fit" if self._serving is None else "the version in service then"
        summary = f"NDCG@{LISTED} {own:.4f} against {incumbent:.4f} of {serving}, on {accumulator.outcomes:,} outcomes"
        if delta < -max(tolerance * incumbent, _Z_95 * error):
            return PromotionDecision(REFUSED, f"worse: {summary}", metrics)
        return PromotionDecision(SERVING, summary, metrics)

    def _add_items(self, at_ms: float) -> None:
        """Add the items created before a time to the catalog snapshot."""
        future_items, catalog = self._future_items, self.learner.catalog
        while future_items and future_items[-1].created_at < at_ms:
            item = future_items.pop()
            if catalog.labels(item.item_id) is None:
                catalog.apply_item(item)

    def _judge(self, candidates: Candidates, clicked_index: int) -> None:
        is_unseen = self._serving is None or self._at_ms > self._serving.watermark
        if self.learned_count >= self._judged_from:
            own, incumbent = (
                _rank(weights, candidates, clicked_index) for weights in (self.learner.weights, self._incumbent)
            )
            self.judged_ranks.add(own, incumbent)
            if is_unseen:
                self.unseen_ranks.add(own, incumbent)
        if is_unseen and self._serving is not None:
            learn_outcome(self._incumbent, candidates, clicked_index, feed_items=self.learner.params.feed_items)


def learn_event(
    learner: Learner, event: Interaction, position: Position, *, item: Item | None = None, learn_weights: bool
) -> None:
    """Learn an event; an item outside the catalogue is learned, but never ranked.

    Args:
        learner: The learner to update.
        event: The event.
        position: Its position in the topic.
        item: The item of the event, if the catalogue holds it.
        learn_weights: Whether the blender learns from the event, too.
    """
    unknown = item is None and event.item_id is not None and learner.catalog.labels(event.item_id) is None
    learner.learn(event, position, item=item, learn_weights=learn_weights)
    if unknown and event.item_id is not None:
        learner.catalog.remove_item(event.item_id)


def _rank(weights: PersonalWeights, candidates: Candidates, clicked_index: int) -> float:
    """Return the rank of the clicked item, from 1; tied items share their mean rank."""
    offset = weights.offset(candidates.query.features.user_id)
    scores = score(candidates, weights.blender.serving_weights(candidates.query.context, offset))
    return rank_of(scores, clicked_index)
