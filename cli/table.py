"""Tables of `millrace evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation.metrics.beyond_accuracy import METRICS
from evaluation.protocols.protocol import PROTOCOLS, label_of
from evaluation.reports.report import Report


def print_metrics(report: Report, console: Console) -> None:
    """Print the metrics of models."""
    ranking = sorted(report["models"].items(), key=lambda pair: -pair[1]["ndcg"])
    console.print(_figures(ranking, against=report["reference"]))
    several = len(report["seeds"]) > 1
    console.print(
        f"{_describe(report)}, {ranking[0][1]['cases'] if ranking else 0:,} cases; ± half of a 95 % interval,"
        f" bootstrap over users{'; then the standard deviation over seeds' if several else ''};"
        f" diversity and serendipity by {report['similarity']}"
    )
    for label, rows in (("earlier events", "by_earlier"), ("time since the previous event", "by_gap")):
        console.print(_breakdown(label, rows, ranking))
    if report["reference"] in PROTOCOLS:
        console.print(_differences(report))
    print_skipped(report, console)


def print_ablation(report: Report, console: Console) -> None:
    """Print the metrics of an ablation: the blend, and it without each feature or feature group, or with one alone."""
    table = Table("", "HR@10", "NDCG@10", f"HR@10 against {report['reference']}", "NDCG@10 against it")
    for name, figures in sorted(report["models"].items(), key=lambda pair: float(pair[1]["ndcg"])):
        gaps = figures["against_reference"]
        table.add_row(
            name,
            *(_with_interval(figures, metric) for metric in ("hr", "ndcg")),
            _format_gap(gaps, "hr"),
            _format_gap(gaps, "ndcg"),
        )
    console.print(table)
    console.print(
        f"{_describe(report)}; ± half of a 95 % interval, bootstrap over users; differences on the same draws"
    )
    print_skipped(report, console)


def print_cold_start(report: Report, console: Console) -> None:
    """Print the metrics for cold-start users, by the number of their known events."""
    headings = ["all" if count is None else str(count) for count in report["known"]]
    table = Table(
        "model", *headings, title="HR@10 / NDCG@10 by the number of known events of the user", title_justify="left"
    )
    for name, figures in report["models"].items():
        table.add_row(
            name, *(f"{_with_interval(row, 'hr')}\n{_with_interval(row, 'ndcg')}" for row in figures["by_known"])
        )
    console.print(table)
    for figures in list(report["models"].values())[:1]:
        console.print(
            f"{_describe(report)}, {figures['cases']:,} cases of {figures['users']:,} held-out users;"
            " ± half of a 95 % interval, bootstrap over users"
        )
    print_skipped(report, console)


def print_rating_errors(report: Report, console: Console) -> None:
    """Print the errors of predicted ratings."""
    table = Table("model", "RMSE on [0, 1]", "in stars", "MAE on [0, 1]")
    for name, figures in sorted(report["models"].items(), key=lambda pair: float(pair[1]["rmse"])):
        table.add_row(name, f"{figures['rmse']:.4f}", f"{figures['rmse_stars']:.3f}", f"{figures['mae']:.4f}")
    console.print(table)
    low, high = report["scale"]
    console.print(
        f"rmse, {report['part']}: {report['cases']:,} ratings after the first {report['train_events']:,} events; "
        f"scale {low:g} to {high:g}"
    )
    print_skipped(report, console)


def print_skipped(report: Report, console: Console) -> None:
    """Print the skipped models with the reasons."""
    for name, reason in report["skipped"].items():
        console.print(f"[yellow]skipped[/] {escape(name)}: {escape(reason)}")


def _figures(ranking: Sequence[tuple[str, Any]], *, against: str | None) -> Table:
    accuracy, costs = ("HR@10", "NDCG@10", "MRR", "P@10", "Recall@10"), ("learn", "rank")
    table = Table("model", *accuracy, *METRICS, *costs, f"NDCG against {against}")
    for name, figures in ranking:
        table.add_row(
            name,
            _with_interval(figures, "hr") + _format_deviation(figures, "hr"),
            _with_interval(figures, "ndcg") + _format_deviation(figures, "ndcg"),
            f"{figures['mrr']:.3f}",
            f"{figures['precision']:.3f}",
            f"{figures['recall']:.3f}",
            f"{figures['coverage']:.3f}",
            f"{figures['novelty']:.1f}",
            f"{figures['diversity']:.3f}",
            f"{figures['serendipity']:.3f}",
            f"{figures['popularity']:.2f}",
            f"{figures['learn_us']:,.0f} µs",
            f"{figures['rank_us']:,.0f} µs",
            _format_gap(figures["against_reference"], "ndcg"),
        )
    return table


def _breakdown(label: str, rows: str, ranking: Sequence[tuple[str, Any]]) -> Table:
    table = Table(title=f"HR@10 / NDCG@10 by the user's {label}", title_justify="left")
    table.add_column("model")
    for row in ranking[0][1][rows] if ranking else ():
        table.add_column(f"{row['label']}\n{row['cases']:,}", justify="right")
    table.add_column("any earlier event", justify="right")
    for name, figures in ranking:
        table.add_row(name, *(_pair(row) for row in (*figures[rows], figures["with_earlier"])))
    return table


def _differences(report: Report) -> Table:
    """Return the differences from the reference protocol, by the time since the user's previous event."""
    other, models = report["reference"], report["models"]
    pairs = {name: (figures, models.get(label_of(name, other))) for name, figures in models.items()}
    table = Table(title=f"HR@10 / NDCG@10 against {other}, by the same time", title_justify="left")
    table.add_column("model")
    for row in next(iter(models.values()))["by_gap"] if models else ():
        table.add_column(row["label"], justify="right")
    table.add_column("all", justify="right")
    for name, (figures, reference) in pairs.items():
        if reference is not None:
            rows = zip((*figures["by_gap"], figures), (*reference["by_gap"], reference), strict=True)
            table.add_row(name, *(_change(row, before) for row, before in rows))
    return table


def _change(row: Report, before: Report) -> str:
    if not row["cases"]:
        return "–"
    return " / ".join(
        f"{row[metric] / before[metric] - 1:+.1%}" if before[metric] else "–" for metric in ("hr", "ndcg")
    )


def _describe(report: Report) -> str:
    return f"{report['protocol']}, {report['part']}, {len(report['seeds'])} seed(s)"


def _pair(row: Report) -> str:
    return f"{row['hr']:.3f} / {row['ndcg']:.3f}" if row["cases"] else "–"


def _with_interval(figures: Report, metric: str) -> str:
    bounds = figures["interval"][metric]
    return f"{figures[metric]:.4f} ± {(bounds['high'] - bounds['low']) / 2:.3f}"


def _format_deviation(figures: Report, metric: str) -> str:
    return f", {figures['spread'][metric]:.4f}" if len(figures["by_seed"]) > 1 else ""


def _format_gap(gaps: Report | None, metric: str) -> str:
    if gaps is None:
        return ""
    gap = gaps[metric]
    return f"{gap['mean']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f}), p {gap['p']:.3f}"
