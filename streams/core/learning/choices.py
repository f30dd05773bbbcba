"""Choices: outcomes of feeds, from which the weights of the blend are learned.

Workers publish them with the features that the items of the feed had, so that nothing is ranked a second time. A fit of
the history ranks each outcome as the feed of that time would have been ranked.
"""

from __future__ import annotations

import numpy as np

from models.blend.feature_matrix import FeatureMatrix
from models.blend.personal import PersonalWeights
from schemas.types import Choice, Interaction
from streams.core.ranking.ordering import Candidates, highest, score
from streams.core.ranking.served_feeds import FeedChoice
from streams.core.ranking.stages.features import FEATURES

_NUMBERS = {name: number for number, name in enumerate(FEATURES)}
_NAMES = np.array(list(FEATURES))
_VALUE = np.dtype("<f2")


def choice_record(outcome: FeedChoice, event: Interaction, *, share: float) -> Choice | None:
    """Return an outcome as a record; None if the feed did not hold the item, so that nothing can be learned from it.

    Args:
        outcome: The outcome.
        event: The interaction that made it one.
        share: Its weight in what all users share, from 0 to 1.
    """
    feed, choice_set = outcome.feed, outcome.feed.choice_set
    if outcome.item_id not in choice_set.items:
        return None
    rows = np.flatnonzero((choice_set.values != choice_set.values[:, :1]).any(axis=1))
    return Choice(
        user_id=event.user_id,
        event_id=event.event_id,
        item_id=outcome.item_id,
        occurred_at=event.occurred_at,
        opened_at=outcome.at_ms,
        generated_at=feed.generated_at,
        rank=outcome.rank,
        items=list(choice_set.items),
        context=[int(one) for one in choice_set.context(outcome.at_ms - feed.watermark)],
        features=_NAMES[rows].tolist(),
        values=choice_set.values[rows].astype(_VALUE).tobytes(),
        share=share,
    )


def learn_choice(weights: PersonalWeights, choice: Choice) -> None:
    """Learn the weights of all users, and those of the user, from a choice.

    Args:
        weights: The weights.
        choice: The choice; ranking features that this release does not have are passed over.
    """
    rows_here = [(row, _NUMBERS[name]) for row, name in enumerate(choice.features) if name in _NUMBERS]
    values = np.frombuffer(choice.values, _VALUE).reshape(len(choice.features), len(choice.items))
    rows = np.zeros((len(rows_here), len(FEATURES)), np.float32)
    rows[np.arange(len(rows_here)), [number for _, number in rows_here]] = 1.0
    block = values[[row for row, _ in rows_here]].astype(np.float32)
    weights.learn(
        choice.user_id,
        FeatureMatrix([(rows, block)]),
        choice.items.index(choice.item_id),
        tuple(choice.context),
        outcome_weight=choice.share,
    )


def learn_outcome(
    weights: PersonalWeights, candidates: Candidates, chosen_index: int, *, feed_items: int, outcome_weight: float = 1.0
) -> None:
    """Learn from the choice of a candidate, if it is among those that the feed would have held.

    Args:
        weights: The weights.
        candidates: The candidates of the user.
        chosen_index: Index of the chosen one.
        feed_items: Number of items in a feed.
        outcome_weight: Weight of the outcome in what all users share, from 0 to 1.
    """
    user_id, context = candidates.query.features.user_id, candidates.query.context
    scores = score(candidates, weights.blender.serving_weights(context, weights.offset(user_id)))
    members = highest(scores, feed_items) if len(scores) > feed_items else np.arange(len(scores))
    members = members[np.isfinite(scores[members])]
    place = int(members.searchsorted(chosen_index))
    if place < len(members) and members[place] == chosen_index:
        weights.learn(user_id, candidates.features.subset(members), place, context, outcome_weight=outcome_weight)
