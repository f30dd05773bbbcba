"""Online evaluation: figures of feeds and outcomes."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from domain.timestamp import MINUTE_MS
from models.blend.fallback import LISTED
from streams.core.ranking.choice_set import ChoiceSet
from streams.core.ranking.online_evaluation import OnlineEvaluation
from streams.core.ranking.served_feeds import FeedChoice, ServedFeed
from tests.build import T0_MS, a_feed

ITEMS = [f"i{n}" for n in range(12)]
FEED = a_feed(items=ITEMS, watermark=T0_MS, generated_at=T0_MS)
SERVED = ServedFeed.of(FEED, ChoiceSet.of(ITEMS, np.zeros((1, len(ITEMS)), np.float32), [(0, (0,))]))


@pytest.fixture
def evaluation() -> OnlineEvaluation:
    return OnlineEvaluation(interval_ms=10 * MINUTE_MS)


def add(evaluation: OnlineEvaluation, item_id: str, *, minute: int) -> None:
    at_ms = T0_MS + minute * MINUTE_MS
    evaluation.add(FeedChoice(item_id, SERVED, at_ms), at_ms=at_ms)


def test_a_hit_gains_by_its_rank_and_a_miss_nothing(evaluation: OnlineEvaluation) -> None:
    for item in ("i0", "i3", "i11", "unknown"):
        add(evaluation, item, minute=0)
    [figures] = evaluation.drain().values()
    assert (figures.outcomes, figures.hits, figures.gain) == (4, 2, pytest.approx(1.0 + 1.0 / log2(5)))
    assert evaluation.totals == {"outcomes": 4, "hits": 2, "gain": pytest.approx(1.0 + 1.0 / log2(5))}


def test_figures_are_by_interval_and_come_back_when_they_are_not_stored(evaluation: OnlineEvaluation) -> None:
    evaluation.show(FEED)
    add(evaluation, "i0", minute=1)
    add(evaluation, "i1", minute=25)
    figures = evaluation.drain()
    first = T0_MS // (10 * MINUTE_MS)
    assert [(number - first, one.outcomes) for number, one in sorted(figures.items())] == [(0, 1), (2, 1)]
    assert figures[first].items == set(ITEMS[:LISTED])
    add(evaluation, "i2", minute=26)
    evaluation.put_back(figures)
    assert sum(one.outcomes for one in evaluation.drain().values()) == 3
    assert evaluation.drain() == {}
