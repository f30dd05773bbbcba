"""A full fit: everything that happened, learned afresh in its order, and judged before it may serve.

The last events are judged test-then-learn: each outcome is ranked by the weights as they were before it, next to the
weights in service, on the same candidates and parts (Gama et al. 2013, prequential evaluation). Weights in service have
learned from most of these very events, and would win by that alone. So those decide that came after them, where they
learn along as they have done live; where these are too few, what the version in service had reached when judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from infra.redis.stores.model_status import NOT_JUDGED, REFUSED, SERVING
from models.blend.blender import Weights
from models.blend.personal import PersonalWeights
from schemas.types import Interaction, Item, Profile
from streams.core.learning.learner import Learner, LearnerParams
from streams.core.position import Position
from streams.core.ranking.pipeline import Candidates, new_blender, score

JUDGED = 0.2
"""Share of the events, the last ones, on which a fit is judged."""
K = 10
FEWEST = 50
"""Outcomes without which nothing can be said of a fit."""
_CHANCE = 1.96
"""Standard errors within which a difference may be chance, in 95 of 100 cases."""
_REFRESH_EVENTS = 1_000


class RankAccumulator:
    """How high what was taken stood, by a fit's weights and by those in service."""

    def __init__(self) -> None:
        self._ranks: list[tuple[float, float]] = []

    def add(self, rank: float, rival: float = math.inf) -> None:
        """Count an outcome by its two ranks, from 1."""
        self._ranks.append((rank, rival))

    @property
    def outcomes(self) -> int:
        """Return how many there were."""
        return len(self._ranks)

    def ndcg(self) -> tuple[float, float]:
        """Return NDCG@10 of both."""
        own, rival = self._gains().mean(axis=0)
        return float(own), float(rival)

    def hr(self) -> tuple[float, float]:
        """Return HR@10 of both."""
        own, rival = (self._columns() <= K).mean(axis=0)
        return float(own), float(rival)

    def ndcg_delta(self) -> tuple[float, float]:
        """Return by how much the fit's NDCG@10 is higher, and the standard error of that, outcome by outcome."""
        gains = self._gains()
        ahead = gains[:, 0] - gains[:, 1]
        return float(ahead.mean()), float(ahead.std() / math.sqrt(len(ahead)))

    def error(self) -> float:
        """Return the standard error of the fit's NDCG@10."""
        return float(self._gains()[:, 0].std() / math.sqrt(max(self.outcomes, 1)))

    def _gains(self) -> NDArray[np.float64]:
        ranks = self._columns()
        return np.where(ranks <= K, 1.0 / np.log2(1.0 + ranks), 0.0)

    def _columns(self) -> NDArray[np.float64]:
        return np.array(self._ranks or [(math.inf, math.inf)])


@dataclass(frozen=True, slots=True)
class IncumbentModel:
    """What is in service."""

    blender: Mapping[str, Weights]
    """Its blender's state as it was fitted."""
    watermark: int = 0
    """The newest event that it was fitted to."""
    ndcg: float | None = None
    """NDCG@10 that it had when it was judged, if it was."""


Status = Literal["serving", "refused", "not judged"]
"""What a fit may be once it is judged; see `infra.redis.stores.model_status`."""


@dataclass(frozen=True, slots=True)
class PromotionDecision:
    """What came of judging a fit, and why."""

    status: Status
    reason: str
    metrics: Mapping[str, float] = field(default_factory=dict)


class CandidateFit:
    """A fresh learner on its way through the history."""

    def __init__(
        self,
        params: LearnerParams,
        catalogue: Mapping[str, Item],
        profiles: Iterable[tuple[Position, Profile]],
        *,
        total: int,
        serving: IncumbentModel | None = None,
        weighed: int | None = None,
    ) -> None:
        """Start from nothing.

        Args:
            params: How everything is folded, and what is ranked.
            catalogue: Items by id; each enters when the stream has passed the time it was created, or is acted on.
            profiles: What users state.
            total: Events that will come.
            serving: What is in service, which the fit is held against.
            weighed: How many of the last events the blender learns from; all by default.
        """
        self.learner = Learner(params, on_outcome=self._judge)
        self.learned = 0
        self.total = total
        self.judged, self.unseen = RankAccumulator(), RankAccumulator()
        """Of the last events, and of those of them that came after what is in service."""
        self._catalogue = catalogue
        self._entering = sorted(catalogue.values(), key=attrgetter("created_at"), reverse=True)
        self._weighed_from = 0 if weighed is None else total - weighed
        self._judged_from = (1.0 - JUDGED) * total
        self._serving, self._at_ms = serving, 0
        self._rival = PersonalWeights(new_blender())
        if serving is not None:
            self._rival.blender.restore({name: array.copy() for name, array in serving.blender.items()})
        for position, profile in profiles:
            self.learner.profile(profile, position)

    def learn(self, event: Interaction, position: Position) -> None:
        """Learn the next event."""
        self._at_ms = event.occurred_at
        self._enter(event.occurred_at)
        if self.learned % _REFRESH_EVENTS == 0 and len(self._catalogue) > self.learner.params.rank.exact_items:
            self.learner.view.refresh()
        learn_event(
            self.learner,
            event,
            position,
            item=self._catalogue.get(event.item_id or ""),
            weigh=self.learned >= self._weighed_from,
        )
        self.learned += 1

    def end(self) -> Learner:
        """Fit the tastes to all of it, and return the learner, ready to go on live."""
        learner = self.learner
        self._enter(math.inf)
        if learner.events:
            learner.fit()
        learner.refits, learner.on_outcome = False, lambda candidates, clicked_index: None
        return learner

    def verdict(self, *, tolerance: float) -> PromotionDecision:
        """Judge it. What ranks worse than what serves, by more than a share of that and chance, is refused.

        What serves is taken as far as it has learned live. Too few outcomes say nothing, and a fit of which nothing is
        known does not serve.
        """
        tally = self.unseen if self.unseen.outcomes >= FEWEST else self.judged
        if tally.outcomes < FEWEST:
            reason = f"{tally.outcomes} outcomes are too few to judge by: it takes {FEWEST}"
            return PromotionDecision(NOT_JUDGED, reason, {"outcomes": float(tally.outcomes)})
        (own, rival), (own_hr, rival_hr) = tally.ndcg(), tally.hr()
        lead, error = tally.ndcg_delta()
        metrics = {"ndcg@10": own, "hr@10": own_hr, "outcomes": float(tally.outcomes)}
        if tally is self.judged and self._serving is not None and self._serving.ndcg is not None:
            rival = self._serving.ndcg
            lead, error = own - rival, tally.error()
        else:
            metrics |= {"serving_hr@10": rival_hr}
        metrics |= {"serving_ndcg@10": rival}
        serving = "the weights before any fit" if self._serving is None else "what was in service"
        summary = f"NDCG@{K} {own:.4f} against {rival:.4f} of {serving}, on {tally.outcomes:,} outcomes"
        if lead < -max(tolerance * rival, _CHANCE * error):
            return PromotionDecision(REFUSED, f"worse: {summary}", metrics)
        return PromotionDecision(SERVING, summary, metrics)

    def _enter(self, at_ms: float) -> None:
        """Let items in that were created before a time."""
        entering, view = self._entering, self.learner.view
        while entering and entering[-1].created_at < at_ms:
            item = entering.pop()
            if view.labels(item.item_id) is None:
                view.apply_item(item)

    def _judge(self, candidates: Candidates, clicked_index: int) -> None:
        is_news = self._serving is None or self._at_ms > self._serving.watermark
        if self.learned >= self._judged_from:
            own, rival = (_rank(weights, candidates, clicked_index) for weights in (self.learner.weights, self._rival))
            self.judged.add(own, rival)
            if is_news:
                self.unseen.add(own, rival)
        if is_news and self._serving is not None:
            self._rival.learn(
                candidates.query.features.user_id,
                candidates.parts,
                clicked_index,
                candidates.query.context,
                among=candidates.admissible,
            )


def learn_event(
    learner: Learner, event: Interaction, position: Position, *, item: Item | None = None, weigh: bool
) -> None:
    """Learn an event; an item that no catalogue holds is learned of, and never ranked."""
    unknown = item is None and event.item_id is not None and learner.view.labels(event.item_id) is None
    learner.learn(event, position, item=item, weigh=weigh)
    if unknown and event.item_id is not None:
        learner.view.remove_item(event.item_id)


def _rank(weights: PersonalWeights, candidates: Candidates, clicked_index: int) -> float:
    """Return where what was taken stood, ties at their mean rank."""
    shared, offset = (
        weights.blender.weights(candidates.query.context),
        weights.offset(candidates.query.features.user_id),
    )
    scores = score(candidates, shared if offset is None else shared + offset)
    ahead, level = int((scores > scores[clicked_index]).sum()), int((scores == scores[clicked_index]).sum())
    return 1.0 + ahead + (level - 1) / 2
