"""The budget of a day: what is granted, in the order of the log, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import DAY_MS
from infra.privacy.privacy_budget import OverBudgetError, PrivacyBudget, report
from infra.privacy.privacy_ledger import LEDGER
from schemas.types import PrivacySpending
from tests.build import T0_MS

DAY = T0_MS // DAY_MS


def a_spending(number: int = 0, **overrides: Any) -> PrivacySpending:
    fields: dict[str, Any] = {
        "ledger": LEDGER,
        "spending_id": f"s{number}",
        "principal": "ann",
        "release": "interactions by item_id",
        "mechanism": "discrete Laplace",
        "epsilon": 0.1,
        "delta": 1e-6,
        "budget_epsilon": 1.0,
        "budget_delta": 1e-5,
        "occurred_at": T0_MS,
    }
    return PrivacySpending(**(fields | overrides))


def a_budget() -> PrivacyBudget:
    return PrivacyBudget(day=DAY, epsilon=1.0, delta=1e-5)


def test_ten_tenths_are_granted_and_no_more() -> None:
    budget = a_budget()
    assert [budget.fold(a_spending(number)) for number in range(12)] == [True] * 10 + [False] * 2
    assert (budget.epsilon_left, budget.refusals) == (0.0, 2)


def test_a_smaller_spending_is_granted_after_a_refusal() -> None:
    budget = a_budget()
    grants = [budget.fold(a_spending(number, epsilon=epsilon)) for number, epsilon in enumerate((0.7, 0.4, 0.3))]
    assert grants == [True, False, True]


def test_delta_bounds_like_epsilon() -> None:
    budget = a_budget()
    assert [budget.fold(a_spending(number, epsilon=0.01, delta=6e-6)) for number in range(2)] == [True, False]


def test_a_spending_that_was_written_twice_counts_once() -> None:
    budget = a_budget()
    assert [budget.fold(a_spending(1, epsilon=0.8)) for _ in range(3)] == [True] * 3
    assert budget.epsilon_spent == 0.8


@given(st.lists(st.floats(1e-6, 2.0), max_size=50))
def test_no_order_of_spendings_exceeds_the_budget(amounts: list[float]) -> None:
    budget = a_budget()
    grants = [budget.fold(a_spending(number, epsilon=amount)) for number, amount in enumerate(amounts)]
    total = math.fsum(amount for amount, is_granted in zip(amounts, grants, strict=True) if is_granted)
    assert budget.epsilon_spent == total <= 1.0 + 1e-8
    for amount, is_granted in zip(amounts, grants, strict=True):
        assert is_granted or amount > budget.epsilon_left - 1e-9


def test_a_refusal_says_what_is_left_and_when_there_is_more() -> None:
    budget = a_budget()
    budget.fold(a_spending(0, epsilon=0.75))
    error = OverBudgetError(a_spending(1, epsilon=0.5), budget)
    assert "epsilon 0.5" in error.problem
    assert "epsilon 0.25" in error.problem
    assert "00:00 UTC" in error.remedy


def test_a_report_adds_up() -> None:
    budget = a_budget()
    for number in range(3):
        budget.fold(a_spending(number))
    today = report(budget)
    assert today.epsilon_spent + today.epsilon_left == pytest.approx(today.epsilon)
    assert (today.resets_at, len(today.spendings)) == ((DAY + 1) * DAY_MS, 3)
