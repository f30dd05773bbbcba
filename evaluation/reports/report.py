"""The evaluation report as plain data: stream, protocol, and each model's metrics with confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.contestants.contestant import BLEND, is_baseline
from evaluation.metrics import breakdown
from evaluation.metrics.accuracy import Accuracy, accuracy, over_seeds, users_of
from evaluation.metrics.beyond_accuracy import BeyondAccuracy
from evaluation.metrics.bootstrap import Bootstrap, Means, difference, interval
from evaluation.protocols.protocol import PROTOCOLS, label_of
from evaluation.protocols.replay import ReplayOutcome
from evaluation.protocols.split import Split
from evaluation.protocols.stream import Stream

Report = dict[str, Any]
_TESTED = ("hr", "ndcg", "mrr")
"""Metrics with a confidence interval and a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSpec:
    """Specification of an evaluation."""

    protocol: str
    split: Split
    seed: int
    seeds: int
    ablate: str | None = None
    """Kind of ablations of the blend; None for none."""
    cold: bool = False
    """Whether users are held out."""


def report(
    stream: Stream, spec: EvaluationSpec, runs: Mapping[str, Sequence[ReplayOutcome]], skip_reasons: Mapping[str, str]
) -> Report:
    """Return the report of the outcomes of each model, one outcome per seed."""
    protocol = PROTOCOLS[spec.protocol]
    bounds = protocol.bounds(stream, spec.split)
    beyond_accuracy = BeyondAccuracy(stream, bounds[0])
    accuracies = {name: over_seeds([accuracy(run) for run in each]) for name, each in runs.items()}
    means = {
        name: _means(model_accuracy, runs[name][0], stream, spec.seed) for name, model_accuracy in accuracies.items()
    }
    reference = BLEND if spec.ablate is not None else protocol.compared_with or _best_baseline(accuracies)
    return {
        **about(stream, spec),
        "similarity": beyond_accuracy.similarity,
        "reference": reference,
        "models": {
            name: {
                **_model(accuracies[name], each, beyond_accuracy, bounds),
                "interval": {metric: interval(means[name][metric])._asdict() for metric in _TESTED},
                "against_reference": _against(name, reference, means),
            }
            for name, each in runs.items()
        },
        "skipped": dict(skip_reasons),
    }


def about(stream: Stream, spec: EvaluationSpec) -> Report:
    """Return the description of the stream and the specification."""
    return {
        "data": {
            "name": stream.name,
            "events": len(stream),
            "users": len(stream.users),
            "items": len(stream.items),
            "positives": int(stream.positive.sum()),
            "rated": stream.has_ratings,
            "repeats": stream.repeats,
        },
        "protocol": spec.protocol,
        "part": spec.split,
        "seeds": list(range(spec.seed, spec.seed + spec.seeds)),
    }


def _model(
    model_accuracy: Accuracy, each: Sequence[ReplayOutcome], beyond_accuracy: BeyondAccuracy, bounds: tuple[int, int]
) -> Report:
    first = each[0]
    measures = [beyond_accuracy.of(run) for run in each]
    by_seed = [accuracy(run).mean() for run in each]
    return {
        "cases": len(model_accuracy.hr),
        "lists": len(first.top),
        **model_accuracy.mean(),
        **{key: float(np.mean([figures[key] for figures in measures])) for key in measures[0]},
        "learn_us": float(np.mean([run.learn_us for run in each])),
        "rank_us": float(np.mean([run.rank_us for run in each])),
        "with_earlier": breakdown.with_earlier(first, model_accuracy),
        "by_earlier": breakdown.by_earlier(first, model_accuracy),
        "by_gap": breakdown.by_gap(first, model_accuracy),
        "by_learned": breakdown.by_learned(first, model_accuracy, start=bounds[0], end=bounds[1]),
        "by_seed": by_seed,
        "spread": {metric: float(np.std([seed[metric] for seed in by_seed])) for metric in _TESTED},
    }


def _against(name: str, reference: str | None, means: Mapping[str, dict[str, Means]]) -> Report | None:
    """Return the differences of a model from the reference, or from itself under the reference protocol."""
    other = label_of(name, reference) if reference in PROTOCOLS else reference
    if other is None or other == name or other not in means:
        return None
    return {metric: difference(means[name][metric], means[other][metric])._asdict() for metric in _TESTED}


def _means(model_accuracy: Accuracy, first: ReplayOutcome, stream: Stream, seed: int) -> dict[str, Means]:
    draws = Bootstrap(users_of(first, stream), seed=seed)
    return {metric: draws.means(model_accuracy.columns()[metric]) for metric in _TESTED}


def _best_baseline(accuracies: Mapping[str, Accuracy]) -> str | None:
    """Return the baseline with the highest NDCG@10."""
    baselines = [name for name in accuracies if is_baseline(name)]
    return max(baselines, key=lambda name: accuracies[name].mean()["ndcg"], default=None)
