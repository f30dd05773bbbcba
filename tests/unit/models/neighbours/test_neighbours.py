"""Models of neighbours and of refits, on worlds whose right answer is known: even items go with even, odd with odd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from domain.timestamp import HOUR_MS
from models.base import Model, ModelEvent, ModelQuery
from models.factorization.als import Als
from models.factorization.ease import Ease
from models.factorization.puresvd import PureSvd
from models.factorization.tale import Tale
from models.neighbours.cooccurrence import Cooccurrence
from models.neighbours.itemknn import ItemKnn
from models.neighbours.sessionknn import SessionKnn
from models.neighbours.useruser import UserUser
from models.refitting import FIRST_REFIT_EVENTS, EventMatrix, confidence
from tests.unit.models.builder import ITEMS, T0_MS, checkerboard

BUILDERS: dict[str, Callable[[], Model]] = {
    "ease": lambda: Ease(regularization=100.0, refit_every=40),
    "item-knn": lambda: ItemKnn(refit_every=40),
    "als": lambda: Als(factors=2, sweeps=5, refit_every=40),
    "pure-svd": lambda: PureSvd(factors=2, refit_every=40),
    "user-user": UserUser,
    "session-knn": SessionKnn,
}
every_builder = pytest.mark.parametrize("build", BUILDERS.values(), ids=list(BUILDERS))


def asked(model: Model, item: int, k: int) -> list[str]:
    query = ModelQuery("new", ((f"i{item}", 1.0),), frozenset({f"i{item}"}), T0_MS + 100 * HOUR_MS)
    return list(model.recommend([query], k)[0].items)


@every_builder
def test_items_of_the_same_colour_come_first(build: Callable[[], Model]) -> None:
    model = build()
    model.learn(checkerboard())
    for item in range(ITEMS):
        assert all((int(other[1:]) - item) % 2 == 0 for other in asked(model, item, ITEMS // 2 - 1))


@every_builder
def test_a_disliked_item_does_not_count_as_much_as_a_liked_one(build: Callable[[], Model]) -> None:
    model = build()
    model.learn(checkerboard())
    query = ModelQuery("new", (("i0", -1.0), ("i1", 1.0)), frozenset({"i0", "i1"}))
    assert int(model.recommend([query], 1)[0].items[0][1:]) % 2 == 1


@pytest.mark.parametrize(
    "build", [Ease, Tale, ItemKnn, Als, PureSvd], ids=["ease", "tale", "item-knn", "als", "pure-svd"]
)
def test_an_item_that_came_after_the_refit_has_no_score_and_no_history_of_it_gets_the_fallback(
    build: Callable[[], Model],
) -> None:
    model = build()
    model.learn([ModelEvent(f"u{n % 4}", f"i{n % 6}", T0_MS + n, 1.0) for n in range(FIRST_REFIT_EVENTS)])
    model.learn([ModelEvent("u1", "late", T0_MS + FIRST_REFIT_EVENTS, 1.0)])
    known_scores, unknown = model.scores([ModelQuery("a", (("i0", 1.0),)), ModelQuery("b", (("late", 1.0),))])
    late = model.items.get("late")
    assert not np.isfinite(known_scores[late])
    assert np.isfinite(unknown[late])


def test_ease_is_its_closed_form() -> None:
    model = Ease(regularization=2.0, refit_every=10_000, position_discount=0.5)
    events = checkerboard(users=FIRST_REFIT_EVENTS // 4)
    model.learn(events)
    preferences = np.zeros((FIRST_REFIT_EVENTS // 4, len(model.items)))
    for event in events:
        preferences[int(event.user_id[1:]), model.items.get(event.item_id)] = 1.0
    inverse = np.linalg.inv(preferences.T @ preferences + 2.0 * np.eye(preferences.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    expected = weights[model.items.get("i0")] + 0.5 * weights[model.items.get("i2")]
    assert model.scores([ModelQuery("new", (("i0", 1.0), ("i2", 1.0)))])[0] == pytest.approx(expected, abs=1e-5)


def test_ease_keeps_to_the_most_popular_items_of_a_catalogue_too_large() -> None:
    model = Ease(max_items=4)
    model.learn([ModelEvent(f"u{n}", f"i{n % 4}", T0_MS, 1.0) for n in range(FIRST_REFIT_EVENTS - 4)])
    model.learn([ModelEvent(f"u{n}", f"rare{n}", T0_MS, 1.0) for n in range(4)])
    scores = model.scores([ModelQuery("a", (("i0", 1.0),))])[0]
    assert [model.items.names[item] for item in np.flatnonzero(np.isfinite(scores))] == ["i0", "i1", "i2", "i3"]


def test_als_factors_are_where_the_loss_has_no_slope() -> None:
    model = Als(factors=3, sweeps=40, unobserved_weight=0.2, regularization=0.02, position_discount=1.0)
    events = checkerboard(users=FIRST_REFIT_EVENTS // 4)
    model.learn(events)
    factors, count = model._factors.astype(np.float64), len(model.items)
    items = [model.items.get("i0"), model.items.get("i2")]
    user = np.linalg.solve(
        0.2 * factors.T @ factors + factors[items].T @ factors[items] + 0.02 * (2 + 0.2 * count) * np.eye(3),
        factors[items].sum(axis=0),
    )
    scores = model.scores([ModelQuery("new", (("i2", 1.0), ("i0", 1.0)))])[0]
    assert scores == pytest.approx(factors @ user, abs=1e-4)
    assert scores[items].min() > 0.5


@pytest.mark.parametrize("factors", [1, 2, 100])
def test_pure_svd_projects_histories_on_the_largest_singular_vectors(factors: int) -> None:
    model = PureSvd(factors=factors, refit_every=10_000, position_discount=1.0)
    events = checkerboard(users=FIRST_REFIT_EVENTS // 4)
    model.learn(events)
    matrix = model._event_matrix.matrix().toarray()
    _, values, vectors = np.linalg.svd(matrix)
    largest = vectors[: min(factors, len(values) - 1)]
    history = np.zeros(len(model.items))
    history[[model.items.get("i0"), model.items.get("i2")]] = 1.0
    scores = model.scores([ModelQuery("new", (("i2", 1.0), ("i0", 1.0)))])[0]
    assert scores == pytest.approx(history @ largest.T @ largest, abs=1e-4)


@pytest.mark.parametrize(("users", "items"), [(1, 40), (40, 1)])
def test_pure_svd_fits_one_user_and_one_item(users: int, items: int) -> None:
    model = PureSvd()
    model.learn([ModelEvent(f"u{n % users}", f"i{n % items}", T0_MS + n, 1.0) for n in range(FIRST_REFIT_EVENTS)])
    assert np.isfinite(model.scores([ModelQuery("new", (("i0", 1.0),))])[0][0])


def test_sessions_end_after_a_gap_and_the_nearest_place_counts_most() -> None:
    model = SessionKnn(gap_hours=1.0)
    model.learn([ModelEvent("u1", item, T0_MS + n, 1.0) for n, item in enumerate(["a", "b", "c", "d"])])
    model.learn([ModelEvent("u1", "later", T0_MS + 2 * HOUR_MS, 1.0)])
    matches = model.recommend([ModelQuery("new", (("a", 1.0),), frozenset({"a"}))], 4)[0]
    assert list(matches.items) == ["b", "c", "d", "later"]
    assert not np.isfinite(matches.scores[-1])


def test_sessions_past_the_remembered_ones_are_forgotten() -> None:
    model = SessionKnn(max_sessions=2)
    for user in range(3):
        model.learn([ModelEvent(f"u{user}", "a", T0_MS, 1.0), ModelEvent(f"u{user}", f"b{user}", T0_MS, 1.0)])
    scores = model.scores([ModelQuery("new", (("a", 1.0),))])[0]
    assert [bool(np.isfinite(scores[model.items.get(f"b{user}")])) for user in range(3)] == [False, True, True]


def test_a_user_is_not_a_neighbour_of_himself() -> None:
    model = UserUser()
    model.learn(
        [ModelEvent("u1", "a", T0_MS, 1.0), ModelEvent("u1", "b", T0_MS, 1.0), ModelEvent("u2", "c", T0_MS, 1.0)]
    )
    stranger_scores, asking = model.scores([ModelQuery("u9", (("a", 1.0),)), ModelQuery("u1", (("a", 1.0),))])
    assert np.isfinite(stranger_scores[model.items.get("b")])
    assert asking.tolist() == model.scores([ModelQuery("nobody")])[0].tolist()


def test_the_log_keeps_the_last_event_of_a_pair_and_forgets_the_oldest() -> None:
    items = Cooccurrence().items
    log = EventMatrix(items, capacity=2)
    a, b = items.add("a"), items.add("b")
    for item, value in ((a, 0.1), (b, 0.2), (a, 0.3)):
        log.add("u", item, value)
    assert log.matrix().toarray().tolist() == [pytest.approx([0.3, 0.2])]
    log.add("u", b, 0.4)
    assert log.matrix().toarray().tolist() == [pytest.approx([0.3, 0.4])]


@pytest.mark.parametrize(("weight", "expected"), [(-1.0, 0.3), (0.0, 0.3), (0.2, 0.7), (0.6, 1.0), (5.0, 1.0)])
def test_interest_rises_with_the_weight(weight: float, expected: float) -> None:
    assert confidence(weight, dislike_confidence=0.3) == pytest.approx(expected)
