"""A shop's home: the mix, and the charts."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streams.core.shop.home_blend import HomeMix, blend_home, dcg_weights, ranking_by_age
from streams.core.shop.product_rankings import ProductRankings, RankedProduct
from tests.params import HOME_MIX


def a_product(item_id: str, category: str = "audio", **number: float) -> RankedProduct:
    fields = {"price": 50.0, "original_price": 100.0, "rating": 4.0, "reviews": 100} | number
    return RankedProduct(item_id, category, **fields)  # type: ignore[arg-type]


def products(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


def counts(home: list[str]) -> dict[str, int]:
    return dict(Counter(item[0] for item in home))


CLICKED, SEARCHED, DIVERSE = products("c", 60), products("s", 60), products("d", 60)


def test_a_home_is_half_clicked_four_tenths_searched_and_a_tenth_diverse() -> None:
    home = blend_home(CLICKED, SEARCHED, DIVERSE, mix=HOME_MIX, limit=20)
    assert counts(home) == {"c": 10, "s": 8, "d": 2}
    assert home[:10] == ["c0", "s0", "c1", "s1", "c2", "d0", "s2", "c3", "s3", "c4"], "in turn, each best first"
    assert counts(blend_home(CLICKED, SEARCHED, DIVERSE, mix=HOME_MIX, limit=60)) == {"c": 30, "s": 24, "d": 6}


def test_a_component_has_fewer_places_only_where_it_has_no_more_products() -> None:
    assert counts(blend_home(CLICKED, SEARCHED[:3], DIVERSE, mix=HOME_MIX, limit=20)) == {"c": 14, "s": 3, "d": 3}
    assert counts(blend_home(CLICKED[:4], [], DIVERSE, mix=HOME_MIX, limit=20)) == {"c": 4, "d": 16}
    assert counts(blend_home(CLICKED[:4], SEARCHED[:3], DIVERSE[:2], mix=HOME_MIX, limit=20)) == {
        "c": 4,
        "s": 3,
        "d": 2,
    }
    assert blend_home([], [], [], mix=HOME_MIX, limit=20) == []


def test_a_product_of_several_components_is_shown_once_and_takes_no_place_of_the_others() -> None:
    home = blend_home(CLICKED, ["c0", "c1", *SEARCHED], DIVERSE, mix=HOME_MIX, limit=20)
    assert len(set(home)) == 20
    assert home[:4] == ["c0", "c1", "c2", "s0"], "the second place is that of searches, which found c1, too"


def test_a_component_without_weight_has_no_place() -> None:
    mix = HomeMix(clicked_weight=0.0, searched_weight=0.1, diverse_weight=0.9)
    assert counts(blend_home(CLICKED, SEARCHED, DIVERSE, mix=mix, limit=20)) == {"s": 2, "d": 18}


@given(st.tuples(*[st.floats(0.01, 100.0)] * 3), st.integers(1, 60))
def test_any_first_places_hold_the_shares_to_within_one(weights: tuple[float, float, float], limit: int) -> None:
    mix = HomeMix(clicked_weight=weights[0], searched_weight=weights[1], diverse_weight=weights[2])
    home = counts(blend_home(CLICKED, SEARCHED, DIVERSE, mix=mix, limit=limit))
    for name, weight in zip("csd", weights, strict=True):
        assert abs(home.get(name, 0) - limit * weight / sum(weights)) < 1 + 1e-6


def test_what_the_user_has_clicked_is_left_out_and_the_list_is_held_to_its_length() -> None:
    assert blend_home(CLICKED, [], [], mix=HOME_MIX, excluded_products=["c0"], limit=3) == ["c1", "c2", "c3"]
    assert blend_home([], [], [], mix=HOME_MIX, excluded_products=["c0"], limit=3) == []


def test_the_newest_click_counts_most() -> None:
    assert ranking_by_age([{"a": 1.0}, {"b": 1.0}, {"b": 0.05}]) == ["a", "b"]
    assert ranking_by_age([{"a": 1.0}, {"b": 1.0, "c": 0.0}, {"b": 0.2}]) == ["b", "a"], "0.9 + 0.81 × 0.2"
    assert ranking_by_age([]) == []


@given(st.lists(st.text(min_size=1), unique=True, max_size=20))
def test_scores_by_rank_fall_from_one(items: list[str]) -> None:
    scores = list(dcg_weights(items).values())
    assert scores == sorted(scores, reverse=True)
    assert not scores or scores[0] == 1.0


def test_what_trends_leads_and_what_many_rate_well_fills_up() -> None:
    products = [a_product("new", reviews=1), a_product("loved", reviews=9_000), a_product("hot", reviews=0)]
    assert ProductRankings(products, {"hot": -3.0}).trending(9) == ["hot", "loved", "new"]
    assert ProductRankings(products, {"hot": -3.0, "gone": 1.0}).trending(1) == ["hot"]


def test_best_value_is_well_rated_and_much_reduced() -> None:
    products = [
        a_product("half", price=50.0),
        a_product("tenth", price=90.0),
        a_product("half-loved", price=50.0, rating=4.9, reviews=5_000),
        a_product("whole", price=100.0),
        a_product("untold", original_price=None, price=None),
        a_product("half-by-one", price=50.0, rating=5.0, reviews=1),
    ]
    matches = ProductRankings(products, {}).best_value(9)
    assert matches[0] == "half-loved"
    assert matches.index("half-by-one") > 0, "one review says little"
    assert not {"whole", "untold"} & set(matches)


def test_top_categories_trend_most_and_else_are_rated_best() -> None:
    products = [a_product(f"a{n}", "audio", reviews=9_000) for n in range(3)] + [
        a_product(f"b{n}", "books") for n in range(3)
    ]
    assert list(ProductRankings(products, {}).top_categories(2)) == ["audio", "books"]
    matches = ProductRankings(products, {"b2": 5.0}).top_categories(2)
    assert list(matches) == ["books", "audio"]
    assert matches["books"] == ["b2", "b0"]
    assert len(ProductRankings([a_product(f"i{n}", f"c{n}") for n in range(9)], {}).top_categories(2)) == 5


def test_diverse_picks_come_from_categories_that_are_clicked_on_least() -> None:
    products = [a_product(f"{name}{n}", name) for name in ("audio", "books", "cars") for n in range(5)]
    shelves = ProductRankings(products, {})
    matches = shelves.diverse(["audio0", "audio1", "gone"], random.Random(1), 6)
    assert {item[:4] for item in matches} == {"book", "cars"}
    assert [item[:4] for item in matches[:2]] != [item[:4] for item in matches[:1]] * 2, "one of each in turn"
    assert shelves.diverse(["audio0"], random.Random(1), 6) == shelves.diverse(["audio0"], random.Random(1), 6)
    assert {item[:4] for item in shelves.diverse([], random.Random(2), 3)} == {"audi", "book", "cars"}
    everywhere = shelves.diverse(["audio0", "audio1", "books0", "books1", "cars0"], random.Random(3), 9)
    assert {item[:4] for item in everywhere} == {"cars"}
    assert ProductRankings([], {}).diverse([], random.Random(4), 3) == []
