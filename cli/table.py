"""Reports of `millrace evaluate` as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evaluation.report import Report

_WIDTH = 220
"""Of a table that nobody looks at on a terminal: no figure is cut off."""


def a_console() -> Console:
    """Return a console as wide as the terminal, or wide enough for the widest table where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)


def tell(made: Report, console: Console) -> None:
    """Show how well models did."""
    ranked = sorted(made["models"].items(), key=lambda pair: -pair[1]["ndcg"])
    console.print(_figures(ranked, against=made["reference"]))
    several = len(made["seeds"]) > 1
    console.print(
        f"{_about(made)}, {ranked[0][1]['cases'] if ranked else 0:,} cases; ± half of a 95 % interval, bootstrap over"
        f" users{'; then the standard deviation over seeds' if several else ''}; diversity by {made['similarity']}"
    )
    for label, rows in (("earlier events", "by_earlier"), ("time since the previous event", "by_gap")):
        console.print(_broken_down(label, rows, ranked))
    tell_skipped(made, console)


def tell_ablated(made: Report, console: Console) -> None:
    """Show what is lost without each part of the blend."""
    table = Table("", "HR@10", "NDCG@10", f"HR@10 against {made['reference']}", "NDCG@10 against it")
    for name, found in sorted(made["models"].items(), key=lambda pair: float(pair[1]["ndcg"])):
        apart = found["against_reference"]
        table.add_row(
            name, *(_sure(found, metric) for metric in ("hr", "ndcg")), _gap(apart, "hr"), _gap(apart, "ndcg")
        )
    console.print(table)
    console.print(f"{_about(made)}; ± half of a 95 % interval, bootstrap over users; differences on the same draws")
    tell_skipped(made, console)


def tell_cold(made: Report, console: Console) -> None:
    """Show what models make of users by how much is known of them."""
    told = ["all" if known is None else str(known) for known in made["known"]]
    table = Table("model", *told, title="HR@10 / NDCG@10 by the events known of a user", title_justify="left")
    for name, found in made["models"].items():
        table.add_row(name, *(f"{_sure(row, 'hr')}\n{_sure(row, 'ndcg')}" for row in found["by_known"]))
    console.print(table)
    for found in list(made["models"].values())[:1]:
        console.print(
            f"{_about(made)}, {found['cases']:,} cases of {found['users']:,} users held out; ± half of a 95 % interval,"
            " bootstrap over users"
        )
    tell_skipped(made, console)


def tell_rated(made: Report, console: Console) -> None:
    """Show how far predicted ratings are off."""
    table = Table("model", "RMSE on [0, 1]", "in stars")
    for name, found in sorted(made["models"].items(), key=lambda pair: float(pair[1]["rmse"])):
        table.add_row(name, f"{found['rmse']:.4f}", f"{found['rmse_stars']:.3f}")
    console.print(table)
    low, high = made["scale"]
    console.print(
        f"rmse, {made['part']}: {made['cases']:,} ratings after the first {made['train_events']:,} events; "
        f"scale {low:g} to {high:g}"
    )
    tell_skipped(made, console)


def tell_skipped(made: Report, console: Console) -> None:
    """Show whom was left out, and why."""
    for name, reason in made["skipped"].items():
        console.print(f"[yellow]skipped[/] {escape(name)}: {escape(reason)}")


def _figures(ranked: Sequence[tuple[str, Any]], *, against: str | None) -> Table:
    heads = ("HR@10", "NDCG@10", "MRR", "Recall@10", "coverage", "novelty", "diversity", "popularity", "learn", "rank")
    table = Table("model", *heads, f"NDCG against {against}")
    for name, found in ranked:
        table.add_row(
            name,
            _sure(found, "hr") + _spread(found, "hr"),
            _sure(found, "ndcg") + _spread(found, "ndcg"),
            f"{found['mrr']:.3f}",
            f"{found['recall']:.3f}",
            f"{found['coverage']:.3f}",
            f"{found['novelty']:.1f}",
            f"{found['diversity']:.3f}",
            f"{found['popularity']:.2f}",
            f"{found['learn_us']:,.0f} µs",
            f"{found['rank_us']:,.0f} µs",
            _gap(found["against_reference"], "ndcg"),
        )
    return table


def _broken_down(label: str, rows: str, ranked: Sequence[tuple[str, Any]]) -> Table:
    table = Table(title=f"HR@10 / NDCG@10 by the user's {label}", title_justify="left")
    table.add_column("model")
    for row in ranked[0][1][rows] if ranked else ():
        table.add_column(f"{row['label']}\n{row['cases']:,}", justify="right")
    table.add_column("any earlier event", justify="right")
    for name, found in ranked:
        table.add_row(name, *(_pair(row) for row in (*found[rows], found["with_earlier"])))
    return table


def _about(made: Report) -> str:
    return f"{made['protocol']}, {made['part']}, {len(made['seeds'])} seed(s)"


def _pair(row: Report) -> str:
    return f"{row['hr']:.3f} / {row['ndcg']:.3f}" if row["cases"] else "–"


def _sure(found: Report, metric: str) -> str:
    bounds = found["interval"][metric]
    return f"{found[metric]:.4f} ± {(bounds['high'] - bounds['low']) / 2:.3f}"


def _spread(found: Report, metric: str) -> str:
    return f", {found['spread'][metric]:.4f}" if len(found["by_seed"]) > 1 else ""


def _gap(gaps: Report | None, metric: str) -> str:
    if gaps is None:
        return ""
    gap = gaps[metric]
    return f"{gap['mean']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f}), p {gap['p']:.3f}"
