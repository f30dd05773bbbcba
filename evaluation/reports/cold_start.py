"""The report of a cold-start replay: accuracy for users with no known event, one, two …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.metrics.accuracy import accuracy, first_of_case, pooled, users_of
from evaluation.metrics.bootstrap import Bootstrap, difference, interval
from evaluation.protocols.replay import EVERYTHING, KNOWN, ReplayOutcome
from evaluation.protocols.stream import Stream
from evaluation.reports.report import EvaluationSpec, Report, about

_TESTED = ("hr", "ndcg")


def report(
    stream: Stream, spec: EvaluationSpec, runs: Mapping[str, Sequence[ReplayOutcome]], skip_reasons: Mapping[str, str]
) -> Report:
    """Return each model's accuracy by the number of known events, over the cases of all seeds.

    Each seed holds out different users.
    """
    return {
        **about(stream, spec),
        "known": [_count_or_none(number) for number in KNOWN],
        "models": {name: _model(each, stream, spec.seed) for name, each in runs.items()},
        "skipped": dict(skip_reasons),
    }


def _model(each: Sequence[ReplayOutcome], stream: Stream, seed: int) -> Report:
    of_case = [run.known_count[first_of_case(run)] for run in each]
    accuracies = [
        pooled([accuracy(run).where(event_counts == number) for run, event_counts in zip(each, of_case, strict=True)])
        for number in KNOWN
    ]
    users = np.concatenate(
        [users_of(run, stream)[event_counts == 0] for run, event_counts in zip(each, of_case, strict=True)]
    )
    draws = Bootstrap(users, seed=seed)
    means = [{metric: draws.means(row.columns()[metric]) for metric in _TESTED} for row in accuracies]
    return {
        "cases": len(users),
        "users": len(np.unique(users)),
        "by_known": [
            {
                "known": _count_or_none(number),
                **row.mean(),
                "interval": {metric: interval(mean[metric])._asdict() for metric in _TESTED},
                "against_nothing": {metric: difference(mean[metric], means[0][metric])._asdict() for metric in _TESTED},
            }
            for number, row, mean in zip(KNOWN, accuracies, means, strict=True)
        ],
    }


def _count_or_none(count: int) -> int | None:
    """Return the number of known events, None for all."""
    return None if count == EVERYTHING else count
