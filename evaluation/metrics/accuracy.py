"""Accuracy metrics of each case.

HR@10: a relevant item is in the top 10. NDCG@10: binary gain over the ideal of min(10, relevant). MRR: over the whole
ranking, of the best relevant item. P@10: relevant in the top 10 over 10; Recall@10: over all relevant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.ranking import K
from evaluation.protocols.replay import ReplayOutcome
from evaluation.protocols.stream import Stream

CaseMetric = NDArray[np.float64]
_DISCOUNT = 1.0 / np.log2(np.arange(2, K + 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Metrics as columns with one entry per case."""

    hr: CaseMetric
    ndcg: CaseMetric
    mrr: CaseMetric
    precision: CaseMetric
    recall: CaseMetric

    def mean(self) -> dict[str, float]:
        """Return the mean of each metric over the cases."""
        return {name: _mean(column) for name, column in self.columns().items()}

    def columns(self) -> dict[str, CaseMetric]:
        """Return each metric by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def where(self, cases: NDArray[np.bool_]) -> Accuracy:
        """Return the metrics of a subset of the cases."""
        return Accuracy(**{name: column[cases] for name, column in self.columns().items()})


def accuracy(outcome: ReplayOutcome) -> Accuracy:
    """Return the metrics of each case."""
    case, hit = outcome.case, outcome.rank <= K
    count = int(case.max()) + 1 if len(case) else 0
    relevant = np.bincount(case, minlength=count)
    hits = np.bincount(case, hit, minlength=count)
    gain = np.where(hit, 1.0 / np.log2(1.0 + outcome.rank), 0.0)
    ideal = np.concatenate(([0.0], np.cumsum(_DISCOUNT)))[np.minimum(relevant, K)]
    best = np.full(count, np.iinfo(np.int32).max, np.int64)
    np.minimum.at(best, case, outcome.rank)
    return Accuracy(
        hr=(hits > 0).astype(np.float64),
        ndcg=np.bincount(case, gain, minlength=count) / ideal,
        mrr=1.0 / best,
        precision=hits / K,
        recall=hits / relevant,
    )


def over_seeds(each: Sequence[Accuracy]) -> Accuracy:
    """Return each case's mean over runs that differ only in their seed."""
    names = each[0].columns()
    return Accuracy(**{name: np.mean([run.columns()[name] for run in each], axis=0) for name in names})


def pooled(each: Sequence[Accuracy]) -> Accuracy:
    """Return the cases of all runs, concatenated."""
    return Accuracy(**{name: np.concatenate([run.columns()[name] for run in each]) for name in each[0].columns()})


def users_of(outcome: ReplayOutcome, stream: Stream) -> NDArray[np.int32]:
    """Return the user of each case."""
    return stream.user[outcome.event_index[first_of_case(outcome)]]


def first_of_case(outcome: ReplayOutcome) -> NDArray[np.intp]:
    """Return the index of each case's first entry in an outcome."""
    return np.asarray(np.unique(outcome.case, return_index=True)[1], np.intp)


def _mean(column: CaseMetric) -> float:
    return float(column.mean()) if len(column) else float("nan")
