"""The blend without some of its parts, and its parts alone."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from domain.timestamp import DAY_MS
from evaluation.contestants import contestant
from evaluation.contestants.blend import BlendCandidate
from evaluation.contestants.contestant import EvalContext, UnknownModelError
from models.base import ModelEvent, ModelQuery
from models.blend.personal import PersonalWeights
from streams.core.learning.choices import learn_outcome
from streams.core.ranking.ordering import Candidates
from streams.core.ranking.pipeline import new_blender
from streams.core.ranking.stages.features import FEATURES
from tests.build import whole

SETUP = EvalContext(catalogue=[], seed=0)
EVENTS = [ModelEvent(f"u{n % 7}", f"i{n * n % 23}", 1_000_000 + int(DAY_MS) // 4 * n, 1.0) for n in range(200)]
"""Hardly any two events of a user within a day: each counts in full."""


def the_blend(name: str) -> BlendCandidate:
    model = contestant.build(name, SETUP)
    assert isinstance(model, BlendCandidate)
    return model


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("blend-neighbors", {name for name, part in FEATURES.items() if part.group.name == "neighbors"}),
        ("blend-popular.popular", {"popular"}),
    ],
)
def test_a_blend_learns_as_if_the_parts_left_out_were_not_there(name: str, left_out: set[str]) -> None:
    model = the_blend(name)
    out = np.array([part in left_out for part in FEATURES])
    without = PersonalWeights(new_blender())

    def learn(candidates: Candidates, number: int) -> None:
        parts = np.where(out[:, None], np.float32(0), candidates.features.column(slice(None)))
        rest = replace(candidates, features=whole(parts))
        learn_outcome(without, rest, number, feed_items=model.learner.params.feed_items)

    model.learner.on_outcome = learn
    model.learn(EVENTS)
    blender = model.learner.blender
    assert not blender.weights((3, 2, 1, 0))[out].any()
    assert blender.table[:, ~out] == pytest.approx(without.blender.table[:, ~out], abs=1e-3)
    assert without.blender.outcomes > 0


def test_every_part_that_speaks_is_left_out_once() -> None:
    for repeats in (False, True):
        speaking = {name: part.group.name for name, part in FEATURES.items() if repeats or not part.needs_repeats}
        assert contestant.ablations("parts", repeats=repeats) == [
            "blend", *(f"blend-{source}.{name}" for name, source in speaking.items()),
        ]  # fmt: skip
        sources = contestant.ablations("sources", repeats=repeats)
        assert sources == ["blend", *dict.fromkeys(f"blend-{source}" for source in speaking.values())]
        assert all(contestant.is_known(name) and not contestant.is_baseline(name) for name in sources)


def test_a_feature_alone_ranks_by_its_own_values_and_no_weights_are_learned() -> None:
    model, whole_blend = the_blend("alone-popular.lasting"), the_blend("blend")
    for one in (model, whole_blend):
        one.learn(EVENTS)
    query = ModelQuery("nobody", at_ms=EVENTS[-1].at_ms)
    alone, counts = model.scores([query])[0], Counter(event.item_id for event in EVENTS)
    best = [model.items.names[index] for index in np.argsort(-alone)]
    assert [counts[item] for item in best] == sorted(counts.values(), reverse=True)
    assert model.learner.blender.outcomes == 0 < whole_blend.learner.blender.outcomes
    assert contestant.ablations("alone", repeats=True)[1:] == [
        f"alone-{part.group.name}.{name}" for name, part in FEATURES.items()
    ]


def test_a_part_that_is_not_there_cannot_be_left_out() -> None:
    for name in ("blend-nothing", "blend-", "blend-near", "alone-near", "alone-"):
        assert not contestant.is_known(name)
        with pytest.raises(UnknownModelError):
            contestant.build(name, SETUP)
