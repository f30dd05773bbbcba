"""The report of a cold replay: what a model makes of a user of whom nothing, one event, two … are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.bootstrap import Bootstrap, difference, interval
from evaluation.metric import accuracy, first_of_case, pooled, users_of
from evaluation.replay import EVERYTHING, KNOWN, ReplayOutcome
from evaluation.report import Asked, Report, about
from evaluation.stream import Stream

_TESTED = ("hr", "ndcg")


def report(
    stream: Stream, asked: Asked, runs: Mapping[str, Sequence[ReplayOutcome]], skipped: Mapping[str, str]
) -> Report:
    """Return each model's accuracy by what was known, over the cases of all seeds, which hold different users out."""
    return {
        **about(stream, asked),
        "known": [_told(number) for number in KNOWN],
        "models": {name: _model(each, stream, asked.seed) for name, each in runs.items()},
        "skipped": dict(skipped),
    }


def _model(each: Sequence[ReplayOutcome], stream: Stream, seed: int) -> Report:
    of_case = [run.known[first_of_case(run)] for run in each]
    found = [
        pooled([accuracy(run).where(known == number) for run, known in zip(each, of_case, strict=True)])
        for number in KNOWN
    ]
    users = np.concatenate([users_of(run, stream)[known == 0] for run, known in zip(each, of_case, strict=True)])
    draws = Bootstrap(users, seed=seed)
    means = [{metric: draws.means(row.columns()[metric]) for metric in _TESTED} for row in found]
    return {
        "cases": len(users),
        "users": len(np.unique(users)),
        "by_known": [
            {
                "known": _told(number),
                **row.mean(),
                "interval": {metric: interval(mean[metric])._asdict() for metric in _TESTED},
                "against_nothing": {metric: difference(mean[metric], means[0][metric])._asdict() for metric in _TESTED},
            }
            for number, row, mean in zip(KNOWN, found, means, strict=True)
        ],
    }


def _told(known: int) -> int | None:
    """Return how many events were known, None for all."""
    return None if known == EVERYTHING else known
