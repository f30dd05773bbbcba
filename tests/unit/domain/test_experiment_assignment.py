"""Assignment to arms: shares, independence and stickiness, over 100,000 users."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from domain.experiment_assignment import arm_of, bucket_of, unit_hash

USERS = [f"user-{number}" for number in range(100_000)]
SHARES = {"control": 0.5, "new": 0.3, "wild": 0.2}


def test_every_arm_gets_its_share_of_the_users() -> None:
    counts = Counter(arm_of("x1", SHARES, user_id) for user_id in USERS)
    for arm, share in SHARES.items():
        deviation = math.sqrt(len(USERS) * share * (1 - share))
        assert abs(counts[arm] - share * len(USERS)) < 4 * deviation, arm


def test_buckets_are_uniform() -> None:
    buckets = Counter(int(bucket_of("search", user_id) * 20) for user_id in USERS)
    expected = len(USERS) / 20
    chi_squared = sum((buckets[number] - expected) ** 2 / expected for number in range(20))
    assert sorted(buckets) == list(range(20))
    assert chi_squared < 43.8  # 19 degrees of freedom, p = 0.001


@pytest.mark.parametrize("others", [("x1", "x2"), ("x1", "x10"), ("a", "b")])
def test_two_experiments_assign_independently(others: tuple[str, str]) -> None:
    first, second = others
    pairs = Counter((arm_of(first, SHARES, user_id), arm_of(second, SHARES, user_id)) for user_id in USERS)
    chi_squared = sum(
        (pairs[a, b] - len(USERS) * SHARES[a] * SHARES[b]) ** 2 / (len(USERS) * SHARES[a] * SHARES[b])
        for a in SHARES
        for b in SHARES
    )
    assert chi_squared < 26.1  # 8 degrees of freedom, p = 0.001


def test_layers_are_independent_of_each_other_and_of_arms() -> None:
    def cell(user_id: str) -> tuple[int, int, str]:
        return int(bucket_of("a", user_id) * 4), int(bucket_of("b", user_id) * 4), arm_of("x1", SHARES, user_id)

    counts = Counter(map(cell, USERS))
    chi_squared = sum(
        (counts[a, b, arm] - len(USERS) * share / 16) ** 2 / (len(USERS) * share / 16)
        for a in range(4)
        for b in range(4)
        for arm, share in SHARES.items()
    )
    assert chi_squared < 82.7  # 47 degrees of freedom, p = 0.001


def test_a_share_that_grows_only_wins_users() -> None:
    new_shares = {"control": 0.4, "new": 0.4, "wild": 0.2}
    moves = Counter((arm_of("x1", SHARES, user_id), arm_of("x1", new_shares, user_id)) for user_id in USERS)
    assert {move for move in moves if move[0] != move[1]} <= {("control", "new"), ("wild", "new"), ("control", "wild")}
    move_count = sum(count for (old, new), count in moves.items() if old != new)
    assert 0.09 < move_count / len(USERS) < 0.16


def test_an_arm_that_takes_from_one_other_arm_moves_nobody_else() -> None:
    shares, first_shares = {"control": 0.9, "new": 0.1}, {"control": 1.0, "new": 0.0}
    before = {user_id for user_id in USERS if arm_of("x", shares, user_id) == "new"}
    after = {user_id for user_id in USERS if arm_of("x", {"control": 0.5, "new": 0.5}, user_id) == "new"}
    assert before < after
    assert not any(arm_of("x", first_shares, user_id) == "new" for user_id in USERS[:1_000])


def test_the_order_of_the_arms_and_the_share_of_nobody_do_not_matter() -> None:
    backwards = dict(reversed(SHARES.items())) | {"later": 0.0}
    assert all(arm_of("x1", SHARES, user_id) == arm_of("x1", backwards, user_id) for user_id in USERS[:5_000])


def test_assignment_is_the_same_in_every_version_of_the_program() -> None:
    """Users would change their arms within a running experiment otherwise."""
    assert unit_hash("salt", "alex") == pytest.approx(0.15126555340911163, abs=1e-15)
    arms = [arm_of("x1", SHARES, f"user-{number}") for number in range(6)]
    assert arms == ["control", "wild", "control", "new", "new", "control"]
