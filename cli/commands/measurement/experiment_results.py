"""`millrace experiments results`: the figures of each arm of an experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.age import age
from cli.commands.measurement.shadow_results import show_shadows
from cli.console import new_console
from cli.run import run
from domain.experiment_results import ArmFigures, ExperimentResults, MetricFigures
from infra import clock
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.redis.connection import StoreError, connect
from infra.redis.metrics.experiment_results_store import RedisExperimentResultsStore
from infra.settings import Settings, read_settings


def results(
    experiment_id: Annotated[str, typer.Argument(help="The experiment.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the figures of each arm, with intervals that hold whenever and however often one looks.

    The arms of a shadow have no users: their lists are compared with those shown, of the last hour and in all.

    Users are the unit. A lift is the relative difference from the first arm. Figures are a minute old at most while the
    experiment runs and the archive role is up.

    Examples:

    millrace experiments results more-surprises

    millrace experiments results more-surprises --json | jq '.arms[].metrics.click_through_rate'
    """
    found_results = run(_read(resolve_addresses(read_settings()), experiment_id))
    if found_results is None:
        raise OperatorError(
            f"The experiment {experiment_id} has no results.",
            "It is unknown, has no outcomes or comparisons yet, or no archive role runs: see millrace status.",
        )
    if as_json:
        print(msgspec.json.encode(found_results).decode())
    elif any(arm.shadow for arm in found_results.arms):
        show_shadows(found_results, new_console())
    else:
        _show(found_results, new_console())


async def _read(settings: Settings, experiment_id: str) -> ExperimentResults | None:
    redis = connect(settings.redis_url)
    try:
        return await RedisExperimentResultsStore(redis).read(experiment_id)
    except StoreError as error:
        raise OperatorError(f"Redis does not answer: {error}", "Start it, or set REDIS_URL.") from error
    finally:
        await redis.aclose()


def _show(all_results: ExperimentResults, console: Console) -> None:
    names = dict.fromkeys(name for arm in all_results.arms for name in arm.metrics)
    metrics = sorted(names, key=lambda name: name != all_results.metric)
    for metric in metrics:
        table = Table("arm", "users", "value", "95 %", "lift", "95 %", "p", box=box.SIMPLE_HEAD, title_justify="left")
        table.title = metric + (" (decides)" if metric == all_results.metric else "")
        for arm in all_results.arms:
            table.add_row(*_cells(arm, arm.metrics.get(metric, MetricFigures()), metric))
        console.print(table)
    seconds = (clock.now_ms() - all_results.computed_at) / 1_000
    notes = [f"Computed {age(seconds)} ago; {escape(all_results.control)} is the control arm."]
    if all_results.users_of_several_arms:
        notes.append(f"{all_results.users_of_several_arms:,} users of several arms count in none.")
    if all_results.has_sample_ratio_mismatch:
        notes.append(
            f"[red]The users are not divided as defined (p = {all_results.sample_ratio_p:.2g}): trust none of the"
            " figures.[/red]"
        )
    console.print(" ".join(notes), soft_wrap=True)


def _cells(arm: ArmFigures, figures: MetricFigures, metric: str) -> list[str]:
    name = escape(arm.name) + (" [red](guardrail)[/red]" if metric in arm.breaches else "")
    return [
        name,
        f"{arm.users:,}",
        _number(figures.value),
        _interval(figures.low, figures.high, _number),
        _percent(figures.lift),
        _interval(figures.lift_low, figures.lift_high, _percent),
        "" if figures.p_value is None else f"{figures.p_value:.3g}",
    ]


def _interval(low: float | None, high: float | None, text: Callable[[float | None], str]) -> str:
    return "" if low is None and high is None else f"{text(low)} to {text(high)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"
