"""User encoders score as the networks that they were exported from do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from models.base import ModelEvent, ModelQuery
from models.encoders.encoded_items import EncodedItems
from models.encoders.encoder_kind import ENCODER_KINDS, EncoderParametersError, user_encoder
from models.encoders.user_encoder import EncoderModel
from models.factorization.dotproduct import DotProduct, DotProductConfig
from models.neural.deep import Deep, DeepConfig
from models.neural.lightgcn import LightGcn, LightGcnConfig
from models.neural.sequence import SelfAttention, SequenceConfig
from tests.unit.models.builder import ITEMS, T0_MS, checkerboard

BUILDERS: dict[str, Callable[[], EncoderModel]] = {
    "sequence": lambda: SelfAttention(SequenceConfig(dim=16, length=6, learning_rate=0.01)),
    "deep": lambda: Deep(DeepConfig(embedding_dim=16, hidden_dim=24, length=6, learning_rate=0.01)),
    "lightgcn": lambda: LightGcn(LightGcnConfig(dim=8, refit_every=60)),
    "dot-product": lambda: DotProduct(DotProductConfig(embedding_dim=8, batch=32, history_days=700.0)),
}
every_network = pytest.mark.parametrize("name", list(BUILDERS))


def fitted(name: str) -> EncoderModel:
    model = BUILDERS[name]()
    model.learn(checkerboard(100))
    return model


def encoded(model: EncoderModel) -> EncodedItems:
    export = model.export()
    has_vector = np.ones(len(export.items), bool)
    return EncodedItems(user_encoder(export.model, export.parameters), export.vectors, has_vector)


def some_histories() -> list[list[tuple[str, float]]]:
    """Return histories of one to ten items, newest first, some of which repeat, and their weights."""
    draw = np.random.default_rng(1)
    weights = [1.0, 0.6, 0.5, 0.2, -0.2]
    return [
        [(f"i{draw.integers(ITEMS)}", weights[draw.integers(len(weights))]) for _ in range(length % 10 + 1)]
        for length in range(60)
    ]


def encoder_scores(model: EncoderModel, items: EncodedItems, history: list[tuple[str, float]]) -> np.ndarray | None:
    numbers = model.items.encode([item for item, _ in history])
    user = items.user(numbers, np.array([weight for _, weight in history], np.float32))
    return None if user is None else items.scores(user, slice(None), count=len(model.items))


@every_network
def test_the_encoder_scores_as_the_network_does_up_to_a_constant(name: str) -> None:
    model = fitted(name)
    items = encoded(model)
    compared_count = 0
    for history in some_histories():
        scores = encoder_scores(model, items, history)
        if scores is None:
            assert name == "dot-product"
            assert all(weight <= 0 for _, weight in history)
            continue
        [expected] = model.scores([ModelQuery("", tuple(history))])
        if name == "dot-product":
            expected = 2 * expected
        np.testing.assert_allclose(scores, expected - expected.mean(), atol=1e-4)
        compared_count += np.ptp(expected) > 0.01
    assert compared_count > 40


@every_network
def test_an_event_changes_the_user_at_once(name: str) -> None:
    model = fitted(name)
    items = encoded(model)
    before = encoder_scores(model, items, [("i0", 1.0), ("i2", 1.0)])
    after = encoder_scores(model, items, [("i1", 1.0), ("i0", 1.0), ("i2", 1.0)])
    assert before is not None
    assert after is not None
    odd = np.array([int(item[1:]) % 2 == 1 for item in model.items.names])
    assert after[odd].mean() > before[odd].mean()


@every_network
def test_items_without_a_vector_score_zero_and_count_for_nothing(name: str) -> None:
    model = fitted(name)
    export = model.export()
    encoder = user_encoder(name, export.parameters)
    has_vector = np.arange(ITEMS) != 3
    items = EncodedItems(encoder, np.where(has_vector[:, None], export.vectors, np.nan), has_vector)
    one = np.ones(1, np.float32)
    assert items.user(np.array([3], np.int32), one) is None
    assert items.user(np.array([ITEMS + 5], np.int32), one) is None
    user = items.user(np.array([4, 3, 5, ITEMS], np.int32), np.ones(4, np.float32))
    assert user is not None
    whole = items.scores(user, slice(None), count=ITEMS + 2)
    assert np.isfinite(whole).all()
    assert whole[3] == whole[-1] == whole[-2] == 0
    some = np.array([1, 3, 4, ITEMS + 1], np.int32)
    np.testing.assert_allclose(items.scores(user, some, count=ITEMS + 2), whole[some], rtol=1e-5, atol=1e-6)
    others = np.array([1, 4], np.int32)
    np.testing.assert_allclose(items.scores(user, others, count=ITEMS + 2), whole[others], rtol=1e-5, atol=1e-6)


@every_network
def test_half_precision_vectors_score_nearly_the_same(name: str) -> None:
    model = fitted(name)
    export = model.export()
    rows = export.vectors.astype(np.float16)
    half = EncodedItems(user_encoder(name, export.parameters), rows, np.ones(len(rows), bool))
    whole = encoded(model)
    for history in some_histories():
        expected, scores = encoder_scores(model, whole, history), encoder_scores(model, half, history)
        if expected is not None and scores is not None:
            np.testing.assert_allclose(scores, expected, atol=0.02)


@every_network
def test_a_new_model_continues_from_a_state(name: str) -> None:
    model = fitted(name)
    state, names = model.state(), list(model.items.names)
    model.add(checkerboard(100))
    other = BUILDERS[name]()
    other.restore(names, state)
    other.add(checkerboard(100))
    later = ModelEvent("late", "new", T0_MS + 10**9, 1.0)
    other.add([later])
    assert other.fit_if_due()
    assert other.export().items == [*names, "new"]
    scores = encoder_scores(other, encoded(other), [("i0", 1.0), ("i2", 1.0)])
    assert scores is not None
    even = np.array([item != "new" and int(item[1:]) % 2 == 0 for item in other.items.names])
    assert scores[even].mean() > scores[~even].mean()
    assert other.size > len(other.items)


@pytest.mark.parametrize("name", ["sequence", "deep"])
def test_a_state_restores_the_network_exactly(name: str) -> None:
    model = fitted(name)
    other = BUILDERS[name]()
    other.restore(list(model.items.names), model.state())
    query = ModelQuery("", (("i0", 1.0), ("i3", -1.0)))
    np.testing.assert_array_equal(other.scores([query]), model.scores([query]))


@every_network
def test_an_export_is_a_copy(name: str) -> None:
    model = fitted(name)
    before, state = model.export(), model.state()
    copies = [array.copy() for array in (before.vectors, *before.parameters.values(), *state.values())]
    model.learn([replace_user(event, "more") for event in checkerboard(100)])
    for array, copy in zip((before.vectors, *before.parameters.values(), *state.values()), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def replace_user(event: ModelEvent, prefix: str) -> ModelEvent:
    return ModelEvent(f"{prefix}-{event.user_id}", event.item_id, event.at_ms + 10**9, event.weight)


def test_unusable_parameters_have_an_error_that_names_the_network() -> None:
    with pytest.raises(EncoderParametersError, match="the parameters of gru cannot be used: there is no such network"):
        user_encoder("gru", {})
    for name in ENCODER_KINDS:
        with pytest.raises(EncoderParametersError, match=f"the parameters of {name} cannot be used: KeyError"):
            user_encoder(name, {})


def test_vectors_of_another_width_are_refused() -> None:
    export = fitted("lightgcn").export()
    encoder = user_encoder("lightgcn", export.parameters)
    with pytest.raises(ValueError, match="an item has 9 numbers, and the encoder takes 17"):
        EncodedItems(encoder, export.vectors[:, :9], np.ones(len(export.items), bool))


def test_the_default_networks_have_parameters_that_fit_a_record() -> None:
    with torch.random.fork_rng(devices=[]):
        sizes = {
            model.name: sum(array.nbytes for array in model.export().parameters.values())
            for model in (SelfAttention(), Deep(), LightGcn(), DotProduct())
        }
    assert max(sizes.values()) < 900_000, sizes


def test_the_length_of_a_window_bounds_the_items_that_count() -> None:
    model = SelfAttention(SequenceConfig(dim=16, length=3))
    model.learn(checkerboard(40))
    items = encoded(model)
    history = [("i0", 1.0), ("i2", 1.0), ("i4", 1.0)]
    np.testing.assert_allclose(
        encoder_scores(model, items, history), encoder_scores(model, items, [*history, ("i1", 1.0)]), atol=1e-6
    )
