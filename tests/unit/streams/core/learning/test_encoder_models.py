"""Networks that a fit learns from the stream: they serve users by their own vectors, and have the settings' sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from evaluation.contestants.blend import BlendCandidate
from evaluation.contestants.contestant import EvalContext
from infra.settings import Settings
from models.base import ModelEvent, ModelQuery
from models.encoders.user_encoder import EncoderModel
from models.neural.network import network
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.learner_params import learner_params
from streams.runtime.encoder_models import ENCODER_MODELS, encoder_builder
from tests.unit.streams.builder import World

SMALL: dict[str, Any] = {"embedding_dim": 16, "learning_rate": 0.02}
every_network = pytest.mark.parametrize("name", list(ENCODER_MODELS))


def learned(world: World, name: str) -> Learner:
    """Return what a fit has learned that ranks for nobody, which is most of its work."""
    items, events = world
    fit = CandidateFit(learner_params(Settings(encoder=name, **SMALL)), items, [], total=len(events), weight_events=0)
    for number, event in enumerate(events):
        fit.learn(event, Position(0, number, number + 1))
    return fit.end()


def halves(learner: Learner) -> np.ndarray[Any, np.dtype[np.intp]]:
    return np.array([int(name[1:]) % 2 for name in learner.catalog.items.names])


@every_network
def test_users_are_served_by_vectors_that_follow_their_last_items(world: World, name: str) -> None:
    learner = learned(world, name)
    encoder, catalog = learner.catalog.encoder.items, learner.catalog
    assert encoder is not None
    half, ahead = halves(learner), []
    for item in range(len(half)):
        history = np.flatnonzero(half == half[item])[:3].astype(np.int32)
        user = encoder.user(history, np.ones(len(history), np.float32))
        assert user is not None
        scores = encoder.scores(user, slice(None), count=len(catalog.items))
        ahead.append(scores[half == half[item]].mean() > scores[half != half[item]].mean())
    assert np.mean(ahead) > 0.9


def scored(model: EncoderModel, world: World) -> Any:
    """Return what a model says of one item after a few refits."""
    model.learn([ModelEvent(event.user_id, str(event.item_id), event.occurred_at, 1.0) for event in world[1][:130]])
    return model.scores([ModelQuery("someone", (("i1", 1.0),))])[0]


def model_of(name: str, **settings: Any) -> EncoderModel:
    build = encoder_builder(Settings(encoder=name, **settings))
    assert build is not None
    return build()


@pytest.mark.parametrize("dimensions", [3, 12])
@pytest.mark.parametrize(
    ("name", "module", "model"),
    [("dot-product", "factorization.dotproduct", "DotProduct"), ("deep", "neural.deep", "Deep")],
)
def test_embeddings_are_as_long_as_the_settings_say(
    world: World, name: str, module: str, model: str, dimensions: int
) -> None:
    own = {"batch": 32} if name == "deep" else {}
    direct: Any = network(f"models.{module}", model, config=f"{model}Config", embedding_dim=dimensions, **own)()
    np.testing.assert_array_equal(scored(model_of(name, embedding_dim=dimensions), world), scored(direct, world))


def test_the_deep_network_has_the_batches_and_the_learning_rate_of_the_settings(world: World) -> None:
    for settings, config in (
        ({"batch_size": 9}, {"batch": 9}),
        ({"learning_rate": 0.05}, {"batch": 32, "learning_rate": 0.05}),
        ({}, {"batch": 32, "learning_rate": 0.001}),
    ):
        direct: Any = network("models.neural.deep", "Deep", config="DeepConfig", embedding_dim=8, **config)()
        np.testing.assert_array_equal(
            scored(model_of("deep", embedding_dim=8, **settings), world), scored(direct, world)
        )


def test_an_evaluated_blend_learns_the_network_that_it_is_given(world: World) -> None:
    blend = BlendCandidate(
        EvalContext(catalogue=list(world[0].values()), seed=0, settings=Settings(encoder="sequence"))
    )
    plain = BlendCandidate(EvalContext(catalogue=list(world[0].values()), seed=0))
    events = [ModelEvent(event.user_id, str(event.item_id), event.occurred_at, 1.0) for event in world[1][:60]]
    for one in (blend, plain):
        one.learn(events)
    assert blend.learner.catalog.encoder.items is not None
    assert plain.learner.catalog.encoder.items is None
