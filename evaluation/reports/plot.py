"""Plots of a report: learning curve, accuracy against coverage, and cold start.

learning-curve      for the whole stream (split `all`): accuracy by the number of learned events
coverage-accuracy   for the other splits: accuracy against catalogue coverage
cold-curve          for held-out users: accuracy by the number of known events
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from evaluation.contestants.contestant import BLEND
from evaluation.reports.report import Report

_FORMATS = ("svg", "png")
_SIZE = (7.5, 4.5)
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
"""A palette safe for colour-blind readers (Okabe and Ito, 2008)."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
"""One more than the colours, so that no two models look the same."""
_STYLE = {
    "svg.hashsalt": "millrace",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e5e5",
    "legend.frameon": False,
    "lines.markersize": 4.5,
}


def write(folder: Path, report: Report) -> None:
    """Write the plot of a report into a folder, as SVG and PNG.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(_STYLE):
        if "known" in report:
            _save(_cold_curve(report), folder / "cold-curve")
        elif report["part"] == "all":
            _save(_learning_curve(report), folder / "learning-curve")
        else:
            _save(_coverage_accuracy(report), folder / "coverage-accuracy")


def _learning_curve(report: Report) -> Any:
    figure, axes = _axes(report, across="events of the stream so far", up="NDCG@10 of the events since the mark before")
    for name, metrics, style in _models(report):
        rows = [row for row in metrics["by_learned"] if row["cases"]]
        axes.plot([row["events"] for row in rows], [row["ndcg"] for row in rows], label=name, **style)
    axes.set(xlim=(0, None), ylim=(0, None))
    axes.xaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    return _keyed(figure, axes)


def _coverage_accuracy(report: Report) -> Any:
    figure, axes = _axes(report, across="coverage: share of the items in anyone's top 10 (%)", up="NDCG@10")
    for name, metrics, style in _models(report):
        bounds, at = metrics["interval"]["ndcg"], 100 * metrics["coverage"]
        apart = [[metrics["ndcg"] - bounds["low"]], [bounds["high"] - metrics["ndcg"]]]
        axes.errorbar([at], [metrics["ndcg"]], apart, elinewidth=0.8, label=name, **(style | {"linestyle": ""}))
    axes.set(xlim=(0, None), ylim=(0, None))
    return _keyed(figure, axes)


def _cold_curve(report: Report) -> Any:
    figure, axes = _axes(report, across="events known of a user, the last ones", up="HR@10")
    positions = range(len(report["known"]))
    for name, metrics, style in _models(report):
        rows = metrics["by_known"]
        axes.plot(positions, [row["hr"] for row in rows], label=name, **style)
        if name == BLEND:
            low, high = ([row["interval"]["hr"][side] for row in rows] for side in ("low", "high"))
            axes.fill_between(
                positions, low, high, color=style["color"], alpha=0.15, linewidth=0, label="95 % interval"
            )
    axes.set_xticks(positions, ["all" if count is None else str(count) for count in report["known"]])
    axes.set(ylim=(0, None))
    return _keyed(figure, axes)


def _models(report: Report) -> Iterator[tuple[str, Report, dict[str, Any]]]:
    """Yield each model with its metrics and line style: the blend first and emphasised, then by descending NDCG."""
    ranked_models = sorted(report["models"].items(), key=lambda pair: (pair[0] != BLEND, -pair[1].get("ndcg", 0.0)))
    for (name, metrics), color, marker in zip(ranked_models, cycle(_COLORS), cycle(_MARKERS)):
        yield name, metrics, {"color": color, "marker": marker, "linewidth": 2.2 if name == BLEND else 1.2}


def _axes(report: Report, *, across: str, up: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(title=f"{report['data']['name']}, {report['protocol']}, {report['part']}", xlabel=across, ylabel=up)
    return figure, axes


def _keyed(figure: Any, axes: Any) -> Any:
    """Put the legend beside the plot."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _save(figure: Any, path: Path) -> None:
    for suffix in _FORMATS:
        metadata = {"Date": None} if suffix == "svg" else None
        figure.savefig(path.with_suffix(f".{suffix}"), metadata=metadata)
