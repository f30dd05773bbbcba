"""The privacy budget of a day, as a fold over the spendings in the order of their log."""

from __future__ import annotations

import math

import msgspec

from domain.timestamp import DAY_MS, utc_time
from infra.error import OperatorError
from schemas.types import PrivacySpending

_TOLERANCE = 1e-9
"""Share of a budget by which the rounding of its sums may exceed it."""


class PrivacyGuarantee(msgspec.Struct, frozen=True, kw_only=True):
    """The guarantee of a release: (epsilon, delta)-differential privacy for all data of a user together."""

    epsilon: float
    delta: float
    groups_per_user: int = 1
    """Number of groups in which a user counts, at most."""


class PrivacyBudget(msgspec.Struct, kw_only=True):
    """The budget of a day (UTC), by the broker's clock, and the spendings from it."""

    day: int
    """In days since the epoch."""
    epsilon: float
    delta: float
    spendings: list[PrivacySpending] = msgspec.field(default_factory=list)
    """The granted ones, in their order."""
    refusals: int = 0
    """Number of spendings that were refused."""

    @property
    def epsilon_spent(self) -> float:
        """Return the sum of epsilon of all releases (basic composition)."""
        return math.fsum(spending.epsilon for spending in self.spendings)

    @property
    def delta_spent(self) -> float:
        """Return the sum of delta of all releases."""
        return math.fsum(spending.delta for spending in self.spendings)

    @property
    def epsilon_left(self) -> float:
        """Return the epsilon that is left, at least 0."""
        return max(0.0, self.epsilon - self.epsilon_spent)

    @property
    def delta_left(self) -> float:
        """Return the delta that is left, at least 0."""
        return max(0.0, self.delta - self.delta_spent)

    def fold(self, spending: PrivacySpending) -> bool:
        """Count the next spending of the log, and return whether it is granted. A repetition counts once.

        A spending is held to the budget that it states, so all readers come to the same result.

        Args:
            spending: The spending.
        """
        if any(spending.spending_id == other.spending_id for other in self.spendings):
            return True
        is_within = _is_within(self.epsilon_spent, spending.epsilon, spending.budget_epsilon) and _is_within(
            self.delta_spent, spending.delta, spending.budget_delta
        )
        if is_within:
            self.spendings.append(spending)
        else:
            self.refusals += 1
        return is_within


class BudgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """The privacy budget of a day (UTC): the part spent and the part left. Times are in ms since the epoch."""

    day: str
    epsilon: float
    epsilon_spent: float
    epsilon_left: float
    delta: float
    delta_spent: float
    delta_left: float
    resets_at: int
    refusals: int
    """Number of releases that were refused."""
    spendings: list[PrivacySpending]
    """The releases, in the order of their spendings."""


class OverBudgetError(OperatorError):
    """A release would exceed the privacy budget of the day; nothing was released."""

    def __init__(self, spending: PrivacySpending, budget: PrivacyBudget) -> None:
        self.spending, self.budget = spending, budget
        super().__init__(
            f"The release needs epsilon {spending.epsilon:g} and delta {spending.delta:g}; of the day's privacy budget"
            f" epsilon {budget.epsilon_left:g} and delta {budget.delta_left:g} are left.",
            f"Release with a lower --epsilon, or after {utc_time((budget.day + 1) * DAY_MS):%Y-%m-%d %H:%M} UTC."
            " `millrace privacy budget` lists what was spent.",
        )


def report(budget: PrivacyBudget) -> BudgetReport:
    """Return a budget as a report."""
    return BudgetReport(
        day=f"{utc_time(budget.day * DAY_MS):%Y-%m-%d}",
        epsilon=budget.epsilon,
        epsilon_spent=budget.epsilon_spent,
        epsilon_left=budget.epsilon_left,
        delta=budget.delta,
        delta_spent=budget.delta_spent,
        delta_left=budget.delta_left,
        resets_at=(budget.day + 1) * DAY_MS,
        refusals=budget.refusals,
        spendings=budget.spendings,
    )


def _is_within(sum_: float, amount: float, budget: float) -> bool:
    return sum_ + amount <= budget * (1.0 + _TOLERANCE)
