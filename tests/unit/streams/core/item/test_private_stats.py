"""Private statistics: what an attacker can tell of a person, and what is left to rank by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats as distributions

from domain.timestamp import DAY_MS
from models import decay
from schemas.types import ItemStats
from streams.core.item.keyed_noise import normal_scale
from streams.core.item.private_stats import StatsNoise, release
from streams.core.item.user_choices import AGES, CELLS, LAST, UNITS, UserChoices
from streams.core.params import PrivateStatsParams, SignalParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from tests.build import T0_MS, an_item, stats

SIGNAL = SignalParams(trending_decay_rate=0.95, popularity_half_life_days=30.0)
PARAMS = PrivateStatsParams(epsilon=1.0, delta=1e-5, key=b"k" * 32)
TODAY_MS = T0_MS // DAY_MS * DAY_MS
PERSONS, RELEASES, CONFIDENCE = 400, 4, 0.999
ITEMS_OF_A_PERSON = int(LAST)
MOST_ACTIONS = [(number, 1.0, 0) for number in range(100)]
"""Actions that move the sums as far as is possible."""


def released(
    choices: UserChoices,
    items: Sequence[str],
    earlier: Mapping[str, ItemStats] | None = None,
    *,
    at_ms: int = TODAY_MS,
    params: PrivateStatsParams = PARAMS,
) -> dict[str, ItemStats]:
    rows = release(choices, items, earlier or {}, at_ms=at_ms, params=params, signal=SIGNAL)
    return {row.item_id: row for row in rows}


def choices_of(users: Mapping[str, Sequence[str]], *, segments: Mapping[str, str] | None = None) -> UserChoices:
    """Return choices made half a day ago."""
    choices = UserChoices()
    for user, items in users.items():
        history = [(item, 1.0, TODAY_MS - DAY_MS // 2) for item in reversed(items)]
        segment = (segments or {}).get(user, "")
        choices.put(user, history, seen_items=items, event_count=len(items), segment=segment)
    return choices


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 99), st.floats(-1.0, 5.0), st.integers(0, 90)), max_size=100),
    st.sampled_from([0.1, 1.0, 4.0]),
)
@example(MOST_ACTIONS, 1.0)
def test_the_noise_is_that_of_the_guarantee_for_all_data_of_a_user(
    actions: list[tuple[int, float, int]], epsilon: float
) -> None:
    """The sums of all kinds, each divided by the deviation of its noise, move by as much as the mechanism allows."""
    items = [f"i{number}" for number in range(100)]
    choices = UserChoices()
    history = [(items[number], weight, TODAY_MS - age * DAY_MS) for number, weight, age in actions]
    acted_items = list(dict.fromkeys(item for item, _, _ in reversed(history)))
    choices.put("user", history, seen_items=acted_items, event_count=len(history), segment="fans")
    noise = StatsNoise.of(PrivateStatsParams(epsilon=epsilon, delta=1e-5, key=b"k" * 32))
    distances = [
        (choices.by_cell(items, TODAY_MS) / noise.cells).ravel(),
        choices.in_segment("fans", items) / noise.segment,
        1.0 / noise.segment_users,
    ]
    distance = math.hypot(*np.concatenate(distances)) * normal_scale(epsilon, 0.5e-5)
    assert distance <= 1 + 1e-9
    assert distance > 1 - 1e-9 or actions != MOST_ACTIONS, "no more noise than it takes"


def attack(params: PrivateStatsParams) -> float:
    """Return the epsilon that an attacker proves who knows all choices but whether persons have made theirs.

    Of many persons every second one has; each is looked for by the likelihood of the sums of the person's own items.
    """
    items = {f"p{number}": [f"p{number} {item}" for item in range(ITEMS_OF_A_PERSON)] for number in range(PERSONS)}
    choices = choices_of({person: own for person, own in items.items() if int(person[1:]) % 2})
    noise = StatsNoise.of(params).cells / UNITS
    of_one = choices_of({"p0": items["p0"]}).by_cell(items["p0"], TODAY_MS) / UNITS
    every_item = [item for own in items.values() for item in own]
    scores: tuple[list[float], list[float]] = ([], [])
    for number in range(RELEASES):
        rows = released(choices, every_item, at_ms=TODAY_MS + number, params=params)
        for person, own in items.items():
            sums = np.array([rows[item].choice_sums for item in own])
            scores[int(person[1:]) % 2].append(float((sums * of_one / noise**2).sum()))
    strangers, members = (np.array(one) for one in scores)
    return least_epsilon(members, strangers, params.delta)


def least_epsilon(members: NDArray[np.float64], strangers: NDArray[np.float64], delta: float) -> float:
    """Return the epsilon that the best attack by a threshold proves, with confidence (Clopper and Pearson 1934)."""
    best, trials = 0.0, len(members)
    for cut in np.quantile(np.concatenate([members, strangers]), np.linspace(0.01, 0.99, 99)):
        for hits, false_alarms in (
            (np.count_nonzero(members >= cut), np.count_nonzero(strangers >= cut)),
            (np.count_nonzero(strangers < cut), np.count_nonzero(members < cut)),
        ):
            low = distributions.beta.ppf(1 - CONFIDENCE, hits, trials - hits + 1) if hits else 0.0
            high = distributions.beta.ppf(CONFIDENCE, false_alarms + 1, trials - false_alarms)
            if low > delta:
                best = max(best, math.log((low - delta) / high))
    return best


def test_membership_inference_proves_no_more_than_epsilon() -> None:
    assert attack(PARAMS) <= PARAMS.epsilon


def test_the_attack_finds_noise_that_is_too_small() -> None:
    assert attack(PrivateStatsParams(epsilon=8.0, delta=1e-5, key=b"k" * 32)) > PARAMS.epsilon


def test_the_same_release_is_the_same_again_also_in_parts() -> None:
    users = {f"u{number}": [f"i{item}" for item in range(number % 40)] for number in range(300)}
    items = [f"i{number}" for number in range(40)]
    first, again = released(choices_of(users), items), released(choices_of(users), items[20:])
    assert {item: first[item] for item in items[20:]} == again
    assert first != released(choices_of(users), items, at_ms=TODAY_MS + DAY_MS)


def test_a_group_of_one_user_is_not_named_and_a_large_one_is() -> None:
    users = {f"u{number}": ["i0"] for number in range(1_000)} | {"one": ["i0"]}
    segments = dict.fromkeys(users, "many") | {"one": "the only one"}
    choices = choices_of(users, segments=segments)
    rows = [released(choices, ["i0"], at_ms=TODAY_MS + number)["i0"] for number in range(200)]
    assert all(set(row.segment_sums) == {"many"} for row in rows)
    assert all(set(row.segments) == {"many"} for row in rows)


def test_an_item_that_nobody_chose_counts_for_nothing_nearly_always() -> None:
    items = [f"i{number}" for number in range(1_000)]
    rows = released(choices_of({"u": items[:1]}), items).values()
    assert all(any(row.choice_sums) for row in rows), "a sum does not tell that there is a choice"
    assert sum(row.popularity > decay.EMPTY for row in rows) < 150
    assert abs(np.mean([row.choice_sums for row in rows])) < 3.0


def test_large_sums_are_close_to_the_truth_and_at_once() -> None:
    users = {f"u{number}": ["hit"] if number % 2 else ["hit", "flop"] for number in range(40_000)}
    row = released(choices_of(users), ["hit", "flop", "unknown"])
    at_rest = {item: math.exp(row[item].horizons[2]) for item in ("hit", "flop")}
    assert at_rest == {"hit": pytest.approx(40_000, rel=0.02), "flop": pytest.approx(20_000, rel=0.02)}
    trend = decay.as_of(row["hit"].trending, at_ms=TODAY_MS, rate=SIGNAL.trending_rate)
    assert trend == pytest.approx(40_000 * 0.95**12, rel=0.02)
    later = released(choices_of(users | {f"v{n}": ["flop"] for n in range(40_000)}), ["flop"], row, at_ms=TODAY_MS + 1)
    assert math.exp(later["flop"].horizons[2]) == pytest.approx(60_000, rel=0.02)
    assert later["flop"].first_at == row["flop"].first_at == TODAY_MS


def test_small_sums_are_averaged_over_days() -> None:
    users = {f"u{number}": ["i0"] for number in range(50)}
    choices, errors, earlier = choices_of(users), [], dict[str, ItemStats]()
    for number in range(60):
        earlier = released(choices, ["i0"], earlier, at_ms=TODAY_MS + number)
        errors.append(abs(earlier["i0"].choice_sums[0] - 50.0))
    deviation = float(StatsNoise.of(PARAMS).cells[0] / UNITS)
    assert earlier["i0"].releases == 60
    assert np.mean(errors[30:]) < deviation / 4
    assert errors[0] > 0.0


def test_a_private_release_replaces_exact_statistics_as_a_whole() -> None:
    exact = stats(
        "i0", trending=9.0, segments={"fans": 9.0}, counts={"click": 3}, rating_count=2, hours=[1.0] * 24,
        weekdays=[1.0] * 7, horizons=[9.0] * 4, cohorts=[9.0] * 6,
    )  # fmt: skip
    catalog = CatalogSnapshot()
    catalog.apply_item(an_item("i0"))
    catalog.apply_stats(exact)
    row = released(UserChoices(), ["i0"], {"i0": exact})["i0"]
    assert (row.counts, row.rating_count, row.segments) == ({}, 0, {"fans": decay.EMPTY})
    assert (len(row.choice_sums), len(row.cohorts), row.releases) == (CELLS, CELLS - AGES, 1)
    catalog.apply_stats(row)
    assert not np.isfinite(catalog.segments["fans"]).any()
    assert not catalog.visit_times.hour_lift(0, 1).any()
    assert released(UserChoices(), ["i0"], {"i0": row}, at_ms=TODAY_MS + 1)["i0"].segments == {}


def test_no_items_are_no_statistics() -> None:
    assert list(islice(release(choices_of({"u": ["i"]}), [], {}, at_ms=1, params=PARAMS, signal=SIGNAL), 1)) == []
