"""A network beside the stream: judged before it learns, against popularity first and then against a version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch")

from models.base import ModelEvent
from models.encoders.encoded_items import EncodedItems
from models.encoders.user_encoder import EncoderModel
from models.neural.lightgcn import LightGcn, LightGcnConfig
from models.neural.sequence import SelfAttention, SequenceConfig
from models.vocabulary import Vocabulary
from streams.core.learning.encoder_learner import EncoderLearner
from streams.core.learning.rank_accumulator import MIN_OUTCOMES

ITEMS = 12


def build() -> EncoderModel:
    return SelfAttention(SequenceConfig(dim=16, length=4, refit_every=40, learning_rate=0.01, dropout=0.0))


def walks(users: int, *, first: int = 0, step: int = 1) -> list[ModelEvent]:
    """Return events of users who go round a circle of items in steps, each from a place of its own."""
    draw = np.random.default_rng(first)
    return [
        ModelEvent(f"u{first}-{user}", f"i{(start + step * place) % ITEMS}", 1_000 * user + place, 1.0)
        for user, start in enumerate(draw.integers(ITEMS, size=users).tolist())
        for place in range(5)
    ]


def teach(learner: EncoderLearner, events: list[ModelEvent]) -> None:
    for start in range(0, len(events), 50):
        learner.learn(events[start : start + 50])


def serve_itself(learner: EncoderLearner) -> None:
    export, _ = learner.export()
    names = Vocabulary()
    for item_id in export.items:
        names.add(item_id)
    learner.serve(EncodedItems.of(export, names), names)


def test_a_network_that_ranks_better_than_popularity_is_better() -> None:
    learner = EncoderLearner(build, events=10_000)
    teach(learner, walks(60))
    learner.decision()
    assert learner.ranks.outcomes == 0, "the next decision is made on new outcomes"
    teach(learner, walks(200, first=1))
    decision = learner.decision()
    assert decision is not None
    assert decision.is_better, decision.reason
    assert decision.reason.startswith("NDCG@10 0.")
    assert "of popularity, on " in decision.reason
    assert decision.metrics["ndcg@10"] > decision.metrics["serving_ndcg@10"]
    assert learner.ranks.outcomes == 0, "the next decision is made on new outcomes"


def test_with_few_outcomes_nothing_is_decided() -> None:
    learner = EncoderLearner(build, events=10_000)
    teach(learner, walks(20))
    assert learner.ranks.outcomes < MIN_OUTCOMES
    assert learner.decision() is None


def test_a_network_that_has_learned_nonsense_since_is_not_better_than_the_version_in_service() -> None:
    learner = EncoderLearner(build, events=10_000)
    teach(learner, walks(300))
    serve_itself(learner)
    draw = np.random.default_rng(5)
    noise = [ModelEvent(f"n{n // 5}", f"i{draw.integers(ITEMS)}", 10**6 + n, 1.0) for n in range(2_000)]
    learner.model.add(noise)
    for _ in range(60):
        learner.model.learn(noise[:40])
    teach(learner, walks(60, first=2))
    decision = learner.decision()
    assert decision is not None
    assert not decision.is_better
    assert decision.reason.startswith("not better: NDCG@10 0.")
    assert "of the version in service" in decision.reason


def test_a_network_that_follows_a_change_is_better_than_the_version_before_it() -> None:
    learner = EncoderLearner(build, events=10_000)
    teach(learner, walks(200))
    serve_itself(learner)
    teach(learner, walks(300, first=3, step=5))
    decision = learner.decision()
    assert decision is not None
    assert decision.is_better, decision.reason


def test_an_outcome_is_ranked_before_it_is_learned_and_returns_are_none() -> None:
    learner = EncoderLearner(build, events=10_000)
    teach(learner, walks(60))
    before = learner.ranks.outcomes
    event = ModelEvent("ann", "i1", 10**7, 1.0)
    learner.learn([event])
    assert learner.ranks.outcomes == before, "there is no item before it"
    learner.learn([ModelEvent("ann", "i1", 10**7, 1.0), ModelEvent("ann", "i3", 10**7, -1.0)])
    assert learner.ranks.outcomes == before, "a return and a dislike"
    learner.learn([ModelEvent("ann", "new", 10**7, 1.0)])
    assert learner.ranks.outcomes == before + 1
    assert learner.ranks._ranks[-1][0] == np.inf, "the network did not know the item yet"


def test_events_of_before_are_kept_but_neither_judged_nor_counted() -> None:
    learner = EncoderLearner(build, events=10_000)
    learner.add(walks(100))
    assert (learner.ranks.outcomes, learner.learned_count, learner.model.fits) == (0, 0, 0)
    learner.learn(walks(1, first=9))
    assert learner.model.fits == 1
    assert learner.watermark == 99_004


@pytest.mark.parametrize("name", ["sequence", "lightgcn"])
def test_the_tables_of_the_network_are_bounded_and_what_it_knows_of_kept_items_stays(name: str) -> None:
    builders: dict[str, Callable[[], EncoderModel]] = {
        "sequence": build,
        "lightgcn": lambda: LightGcn(LightGcnConfig(dim=8, refit_every=40)),
    }
    most = 200
    learner = EncoderLearner(builders[name], events=most)
    for number in range(40):
        strangers = [ModelEvent(f"s{number}-{n}", f"x{number}-{n}", number, 1.0) for n in range(20)]
        learner.learn([*walks(10, first=number), *strangers])
        assert learner.model.size <= 4 * most
    assert len(learner.model.items) < 40 * 20
    assert "x0-0" not in learner.model.items.names
    assert {f"i{n}" for n in range(ITEMS)} <= set(learner.model.items.names)
    teach(learner, walks(40, first=99))
    export, state = learner.export()
    assert len(export.items) == len(export.vectors)
    assert {len(state[table]) for table in learner.model.item_tables} == {len(export.items)}


def test_a_learner_starts_from_a_state_and_refuses_that_of_another_network() -> None:
    learner = EncoderLearner(build, events=10_000)
    teach(learner, walks(200))
    export, state = learner.export()
    other = EncoderLearner(build, events=10_000)
    other.start_from(export.items, state)
    np.testing.assert_array_equal(other.export()[0].vectors, export.vectors)
    model = other.model
    for wrong in ({"item": state["item.weight"]}, state | {"norm.weight": np.ones(3, np.float32)}):
        with pytest.raises((KeyError, RuntimeError)):
            other.start_from(export.items, wrong)
    assert other.model is model
