"""Results of shadows for the terminal: how their lists differ from those that were shown."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.age import age
from domain.experiment_results import ExperimentResults, ShadowFigures, ShadowShares
from infra import clock

_SPANS = {"last_hour": "last hour", "total": "in all"}


def show_shadows(all_results: ExperimentResults, console: Console) -> None:
    """Print the figures of the arms of a shadow, then the shares of sources and categories.

    Args:
        all_results: The results.
        console: The terminal.
    """
    table = Table(
        *("arm", "time", "rankings", "overlap@10", "rank-biased", "other first item", "score", "ms", "ms shown"),
        box=box.SIMPLE_HEAD,
    )
    shadows = [(escape(arm.name), arm.shadow) for arm in all_results.arms if arm.shadow is not None]
    for name, shadow in shadows:
        for span, label in _SPANS.items():
            table.add_row(name, label, *_cells(getattr(shadow, span)))
    console.print(table)
    for name, shadow in shadows:
        for title, shares in (("source", shadow.total.sources), ("category", shadow.total.categories)):
            console.print(_shares(f"{name} by {title}", title, shares))
    console.print(
        f"Computed {age((clock.now_ms() - all_results.computed_at) / 1_000)} ago; nobody was shown these arms.",
        soft_wrap=True,
    )


def _cells(figures: ShadowFigures) -> list[str]:
    return [
        f"{figures.rankings:,}",
        _number(figures.overlap, ".3f"),
        _number(figures.rank_biased_overlap, ".3f"),
        _number(figures.first_place_changes, ".1%"),
        _number(figures.score_difference, "+.3g"),
        _number(figures.ranking_ms, ".2f"),
        _number(figures.shown_ranking_ms, ".2f"),
    ]


def _shares(title: str, label: str, shares: list[ShadowShares]) -> Table:
    table = Table(label, "shown", "shadow", box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for one in shares:
        table.add_row(escape(one.label) or "(none)", f"{one.shown_share:.1%}", f"{one.shadow_share:.1%}")
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
