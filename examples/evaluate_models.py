"""Offline evaluation from Python: models side by side, with confidence intervals, as `millrace evaluate` does.

The report is plain data, so it can go into a notebook or a build. The model `blend` is the one that serves.

Run it with a data set in any format of `millrace evaluate --help`:

    python examples/evaluate_models.py ml-latest-small --models popularity,item-knn
"""

from __future__ import annotations

from pathlib import Path

import typer

from evaluation import contest
from evaluation.contest import RunTask
from evaluation.protocols.stream import of_dataset
from evaluation.reports import report
from evaluation.reports.report import EvaluationSpec, Report
from loaders.datasets import detect

PROTOCOL = "prequential-strict"


def evaluate(data: Path, models: list[str]) -> Report:
    """Return the report of some models on the last fifth of the events."""
    stream = of_dataset(detect.read(data))
    tasks = [RunTask(path=data, repeats=None, protocol=PROTOCOL, split="test", model=name, seed=0) for name in models]
    result = contest.run(tasks, stream, jobs=1, on_progress=lambda task, count: None)
    spec = EvaluationSpec(protocol=PROTOCOL, split="test", seed=0, seeds=1)
    return report.report(stream, spec, result.runs, result.skip_reasons)


def main(data: Path, models: str = "popularity,item-knn,blend") -> None:
    """Print the accuracy of each model."""
    for name, figures in evaluate(data, models.split(","))["models"].items():
        low, high = (figures["interval"]["ndcg"][bound] for bound in ("low", "high"))
        print(f"{name:12} NDCG@10 {figures['ndcg']:.4f} [{low:.4f}, {high:.4f}]  HR@10 {figures['hr']:.4f}")


if __name__ == "__main__":
    typer.run(main)
