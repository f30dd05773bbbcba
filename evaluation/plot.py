"""Plots of a report: what each further event of a user brings, and what accuracy costs in coverage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FORMATS = ("svg", "png")
_SIZE = (8.0, 5.0)


def write(folder: Path, report: dict[str, Any]) -> None:
    """Write learning-curve and coverage-accuracy into a folder, as SVG and PNG.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{report['data']['name']}, {report['protocol']}, {report['part']}"
    _save(_learning_curve(report, about), folder / "learning-curve")
    _save(_coverage_accuracy(report, about), folder / "coverage-accuracy")


def _learning_curve(report: dict[str, Any], about: str) -> Any:
    figure, axes = _axes(about, "events of the user before", "HR@10")
    for name, found in report["models"].items():
        rows = [row for row in found["by_earlier"] if row["cases"]]
        axes.plot([row["label"] for row in rows], [row["hr"] for row in rows], marker="o", label=name)
    axes.legend(fontsize="small")
    return figure


def _coverage_accuracy(report: dict[str, Any], about: str) -> Any:
    figure, axes = _axes(about, "coverage: share of the items in any top 10", "NDCG@10")
    for name, found in report["models"].items():
        axes.scatter(found["coverage"], found["ndcg"])
        axes.annotate(name, (found["coverage"], found["ndcg"]), xytext=(5, 3), textcoords="offset points")
    return figure


def _axes(title: str, across: str, up: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=across, ylabel=up)
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    for suffix in _FORMATS:
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(path.with_suffix(f".{suffix}"), metadata=metadata)
