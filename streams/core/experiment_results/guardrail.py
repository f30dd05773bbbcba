"""Guardrails: bounds of what an arm may cost."""

from __future__ import annotations

from dataclasses import dataclass

from streams.core.experiment_results.lift import Lift


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A bound of the lift of a metric, beyond which an arm is paused."""

    metric: str
    """Name of the metric."""
    limit: float
    """The lift: one below 0 must not be fallen short of, one above 0 not be exceeded. -0.05 is a loss of 5 %."""

    def is_breached(self, lift: Lift | None) -> bool:
        """Return whether the whole interval of a lift is beyond the bound.

        Args:
            lift: The lift of the arm in the metric; None as long as there is not enough evidence.

        >>> from streams.core.experiment_results.lift import AlwaysValidInterval
        >>> Guardrail("ctr", -0.05).is_breached(Lift(-0.2, AlwaysValidInterval(-0.3, -0.1), 0.001))
        True
        """
        if lift is None:
            return False
        return lift.interval.high < self.limit if self.limit < 0 else lift.interval.low > self.limit
