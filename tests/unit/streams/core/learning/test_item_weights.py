"""Tastes by other models than EASE: what each says of one liked item is what a version tells of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from infra.error import OperatorError
from infra.settings import Settings
from models.base import Model, ModelEvent, ModelQuery
from models.factorization import ease
from models.factorization.als import Als
from models.neural.network import MissingTorchError
from models.text.content import ContentModel
from models.text.tfidf import TfIdf, text_of
from schemas.types import Interaction
from streams.core.learning.item_weights import (
    REGULARIZATION,
    EaseItemWeights,
    ItemWeightsProvider,
    ModelItemWeights,
    model_event,
)
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.roles.shop import similarity_fit
from streams.roles.trainer.artifact_store import ArtifactStore
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.item_weight_models import ITEM_WEIGHT_MODELS, item_weights_builder
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.model_version import FittedVersion, fitted_version, item_weight_rows
from streams.runtime.encoder_models import ENCODER_MODELS
from tests.build import T0_MS, a_version, an_interaction, an_item
from tests.unit.streams.builder import ITEMS, PARAMS, World

SMALL: dict[str, Any] = {"collaborative_factors": 8, "content_embedding_dim": 4}


def told(events: list[Interaction]) -> list[ModelEvent]:
    """Return clicks as a model hears of them."""
    return [ModelEvent(event.user_id, str(event.item_id), event.occurred_at, 1.0) for event in events]


def learned(world: World, settings: Settings) -> Learner:
    """Return what a fit has learned that ranks for nobody, which is most of its work."""
    items, events = world
    fit = CandidateFit(learner_params(settings), items, [], total=len(events), weight_events=0)
    for number, event in enumerate(events):
        fit.learn(event, Position(0, number, number + 1))
    return fit.end()


def version_of(learner: Learner) -> FittedVersion:
    return fitted_version(a_version(), learner)


def model_of(name: str, **settings: Any) -> Any:
    tastes = item_weights_builder(Settings(item_item_model=name, **settings))()
    assert isinstance(tastes, ModelItemWeights)
    return tastes.model


def test_without_a_choice_tastes_are_exactly_the_weights_of_ease(world: World, fit_learner: Learner) -> None:
    version = version_of(fit_learner)
    events = {(event.user_id, event.item_id) for event in world[1]}
    users, items = sorted({user for user, _ in events}), version.items
    likes = np.array([[(user, item) in events for item in items] for user in users], np.float32)
    np.testing.assert_array_equal(version.item_weights, ease.weights(sparse.csr_array(likes), REGULARIZATION))
    assert version.item_item_model == Settings().item_item_model == "ease"
    assert isinstance(Learner(PARAMS).item_weights, EaseItemWeights)


def test_tastes_by_als_are_what_it_scores_for_who_has_liked_one_item_alone(world: World) -> None:
    version = version_of(learned(world, Settings(item_item_model="als", **SMALL)))
    assert_scores(version, Als(factors=8, regularization=0.01), world)


def assert_scores(version: FittedVersion, model: Model, world: World) -> None:
    """Check that a version's rows are what a model scores that has learned the same."""
    model.learn(told(world[1]))
    assert len(version.items) == ITEMS
    places = model.items.encode(version.items)
    for row in item_weight_rows(version):
        scores = model.scores([ModelQuery("someone", ((row.item_id, 1.0),))])[0]
        expected = dict(zip(version.items, scores[places], strict=True))
        assert dict(zip(row.others, row.weights, strict=True)) == pytest.approx(
            {item: score for item, score in expected.items() if item != row.item_id}, rel=1e-6
        )


@pytest.mark.parametrize("name", [name for name in ITEM_WEIGHT_MODELS if name != "content"])
def test_one_liked_item_recommends_the_rest_of_its_half(world: World, name: str) -> None:
    if name == "bpr":
        pytest.importorskip("torch")
    version = version_of(learned(world, Settings(item_item_model=name, **SMALL)))
    assert_halves(version)
    assert not version.item_weights.diagonal().any()
    assert version.item_item_model == name


def assert_halves(version: FittedVersion) -> None:
    """Check that items of the world say more of their own half than of the other."""
    assert len(version.items) == ITEMS
    halves = np.array([int(item[1:]) % 2 for item in version.items])
    same = halves[:, None] == halves
    other = ~same
    np.fill_diagonal(same, False)
    ahead = [row[same[number]].mean() > row[other[number]].mean() for number, row in enumerate(version.item_weights)]
    assert np.mean(ahead) > 0.9


def test_item_weights_by_content_are_text_similarities() -> None:
    texts = {"blue": "modal jazz", "train": "hard bop jazz", "moog": "synthetic ambient", "fog": "ambient drone"}
    items = {name: an_item(name, title=text, category="", topics=[]) for name, text in texts.items()}
    events = [an_interaction(user_id=f"u{number}", item_id=name) for number, name in enumerate(items)]
    version = version_of(learned((items, events), Settings(item_item_model="content", **SMALL)))
    model = ContentModel(TfIdf(dimensions=4), {name: text_of(item) for name, item in items.items()})
    model.learn(told(events))
    for number, name in enumerate(version.items):
        scores = model.scores([ModelQuery("someone", ((name, 1.0),))])[0, model.items.encode(version.items)]
        scores[number] = 0.0
        np.testing.assert_allclose(version.item_weights[number], scores, atol=1e-6)
    assert version.item_weights[version.items.index("blue")].argmax() == version.items.index("train")


def test_an_item_without_scores_in_a_model_has_no_item_weights() -> None:
    tastes: ItemWeightsProvider = ModelItemWeights("als", Als(factors=2))
    for number in range(32):  # the first refit
        tastes.add(
            model_event(an_interaction(user_id=f"u{number % 8}", item_id=f"i{number % 5}"), rating_scale=5.0), None
        )
    tastes.add(model_event(an_interaction(user_id="u1", item_id="late"), rating_scale=5.0), None)
    weights = tastes.weights(sparse.csr_array((8, 6), dtype=np.float32), ["i0", "i1", "late", "never"])
    assert weights[:2, :2].any()
    assert not weights[2:].any()
    assert not weights[:, 2:].any()


def test_a_model_hears_how_much_an_action_says_and_what_was_rated() -> None:
    assert model_event(an_interaction(action="rate", value=4.0, occurred_at=T0_MS), rating_scale=5.0) == ModelEvent(
        "u1", "i1", T0_MS, 0.6, 0.8
    )
    assert model_event(an_interaction(action="save", occurred_at=T0_MS), rating_scale=5.0) == ModelEvent(
        "u1", "i1", T0_MS, 2.5, None
    )


def test_a_version_by_another_model_is_restored_with_the_model_name(world: World, tmp_path: Path) -> None:
    version = version_of(learned(world, Settings(item_item_model="als", **SMALL)))
    shelf = ArtifactStore(tmp_path, artifacts_kept=3)
    shelf.put(version, serving=None)
    again = shelf.get("v1")
    assert (version.item_item_model, again.item_item_model) == ("als", "als")
    np.testing.assert_array_equal(again.item_weights, version.item_weights)


def test_a_model_that_tastes_cannot_come_from_is_refused_with_those_that_they_can() -> None:
    for name in ("popularity", "session-knn", "eas"):
        with pytest.raises(OperatorError, match=f"ITEM_ITEM_MODEL names {name}.\nThere are ease, als, ") as exc_info:
            learner_params(Settings(item_item_model=name))
        assert all(name in exc_info.value.remedy for name in ITEM_WEIGHT_MODELS)


@pytest.mark.parametrize("name", list(ENCODER_MODELS))
def test_networks_are_refused_with_the_setting_that_serves_them(name: str) -> None:
    message = f"ITEM_ITEM_MODEL names {name}, a network .*\nSet ENCODER={name} instead"
    with pytest.raises(OperatorError, match=message):
        learner_params(Settings(item_item_model=name))


def test_a_model_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingTorchError, match="Bpr needs torch: pip install"):
        Learner(learner_params(Settings(item_item_model="bpr")))


@pytest.mark.parametrize("overrides", [{"factors": 7}, {"regularization": 3.0}])
def test_als_has_the_factors_and_the_regularization_of_the_settings(world: World, overrides: dict[str, Any]) -> None:
    settings = {f"collaborative_{name}": value for name, value in overrides.items()}
    expected = scored(Als(**overrides), world)
    np.testing.assert_array_equal(scored(model_of("als", **settings), world), expected)
    assert (scored(model_of("als"), world) != expected).any()


def test_texts_are_compared_by_as_many_words_and_directions_as_the_settings_say() -> None:
    texts = {"i1": "one two three", "i2": "two three four", "i3": "four five", "i4": "five one six"}
    for settings, encoder in (
        ({"tfidf_max_features": 2}, TfIdf(features=2)),
        ({"content_embedding_dim": 1}, TfIdf(dimensions=1)),
        ({}, TfIdf(features=10_000, dimensions=384)),
    ):
        direct, model = ContentModel(encoder, texts), model_of("content", **settings)
        model.describe(texts)
        query, most = ModelQuery("someone", (("i1", 1.0),)), len(texts)
        np.testing.assert_array_equal(model.nearest(query, most).scores, direct.nearest(query, most).scores)


def test_a_shop_compares_texts_by_the_configured_number_of_words() -> None:
    assert similarity_fit.fit_model(["i1", "i2"], ["one two three", "two three four"], features=2).words == [
        "three",
        "two",
    ]


def scored(model: Model, world: World) -> Any:
    """Return what a model says of one item after a few refits."""
    model.learn(told(world[1][:130]))
    return model.scores([ModelQuery("someone", (("i1", 1.0),))])[0]
