"""`millrace evaluate-policy`: the value of a policy, by what another one has logged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cli.bar import read_bar
from cli.config_file import read_config
from cli.console import new_console
from cli.run import run
from cli.time import From, Until, parse_bound
from evaluation.off_policy.cascade import cascade_doubly_robust
from evaluation.off_policy.contested_feedback import POLICY, REWARDS, EpsilonChange, OutcomeLog
from evaluation.off_policy.estimators import (
    MAX_WEIGHT,
    FeedbackError,
    PolicyEstimate,
    PolicyReport,
    evaluate_feedback,
)
from evaluation.off_policy.feedback_file import read_feedback
from infra.address import resolve_addresses
from infra.analytics.relation import TimeSpan
from infra.analytics.sources import Sources
from infra.error import OperatorError
from infra.kafka.consumer import partitions_of
from infra.kafka.readers.record_window import OnReadProgress
from infra.settings import Settings, read_settings, to_env
from schemas.codec import DecodeError
from schemas.types import Outcome
from topics.topic import OUTCOMES

_MAY_DIFFER = {"EXPLORATION_POLICY", "EPSILON"}
_CANDIDATE = "A candidate file says EXPLORATION_POLICY=epsilon-greedy and another EPSILON than the log, nothing else."


def evaluate_policy(
    config: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The candidate: a file of settings, lines of NAME=VALUE."),
    ] = None,
    feedback: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Feedback of any system as .csv or .jsonl; see above."),
    ] = None,
    since: From = None,
    until: Until = None,
    logged_epsilon: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="EPSILON of the log. Default: that of the settings.", show_default=False),
    ] = None,
    reward: Annotated[str, typer.Option(help=f"Actions that are a reward: {', '.join(REWARDS)}.")] = REWARDS[0],
    max_weight: Annotated[
        float, typer.Option(min=1, help="Importance weight at which weights are clipped.")
    ] = MAX_WEIGHT,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Estimate what a policy would have earned, from what another policy has shown, without showing anything.

    With [bold]--config[/bold]: epsilon-greedy exploration with another EPSILON, from the topic outcomes. Only contested
    places carry information, those where the propensity of the item shown is below 1. Other changes cannot be estimated
    from outcomes.

    With [bold]--feedback[/bold]: any policy, from a file with the columns reward, propensity and target, the
    probabilities of what was shown under the policy that did and under the candidate. Optional columns: user, and
    estimate and expectation, the rewards that a model expects of what was shown and of the candidate.

    Examples:

    millrace evaluate-policy --config more-exploration.env --from 7d

    millrace evaluate-policy --feedback log.csv --json
    """
    if (config is None) == (feedback is None):
        raise OperatorError("There is no policy to evaluate, or two.", "Give either --config or --feedback.")
    if reward not in REWARDS:
        raise OperatorError(f"{reward} is no reward.", f"Choose one of {', '.join(REWARDS)}.")
    try:
        if feedback is not None:
            report, by_list = evaluate_feedback(read_feedback(feedback), max_weight=max_weight), None
        else:
            assert config is not None
            settings = read_settings()
            change = _change(settings, config, logged_epsilon)
            log = OutcomeLog(reward)
            with read_bar("reading the outcomes") as on_progress:
                span = TimeSpan(parse_bound(since), parse_bound(until))
                run(_read(resolve_addresses(settings), log, span=span, on_progress=on_progress))
            report, by_list = _evaluate(log, change, max_weight=max_weight)
    except FeedbackError as error:
        raise OperatorError(f"Nothing can be estimated: {error}.", "See millrace evaluate-policy --help.") from error
    if as_json:
        print(msgspec.json.encode({"report": report, "lists": by_list}).decode())
    else:
        _show(report, by_list, new_console())


def _change(settings: Settings, path: Path, logged_epsilon: float | None) -> EpsilonChange:
    """Return the change of epsilon that a candidate file makes.

    Raises:
        OperatorError: the file changes something else.
    """
    candidate = read_config(settings, path)
    before, after = to_env(settings), to_env(candidate)
    others = sorted(name for name in after if after[name] != before.get(name) and name not in _MAY_DIFFER)
    if others:
        raise OperatorError(f"Outcomes tell nothing of a change of {', '.join(others)}.", _CANDIDATE)
    if candidate.exploration_policy != POLICY:
        raise OperatorError(f"Outcomes tell nothing of the policy {candidate.exploration_policy}.", _CANDIDATE)
    return EpsilonChange(settings.epsilon if logged_epsilon is None else logged_epsilon, candidate.epsilon)


async def _read(settings: Settings, log: OutcomeLog, *, span: TimeSpan, on_progress: OnReadProgress) -> None:
    """Read the outcomes of a span into a log; records that cannot be decoded are dead letters elsewhere."""
    async with Sources(settings, on_progress=on_progress) as sources:
        registry, reader = await sources.kafka()
        codec = registry.codec(Outcome)
        window = await reader.window(partitions_of(OUTCOMES), since_ms=span.from_ms, until_ms=span.until_ms)
        async for records in reader.forwards(window):
            for record in records:
                if record.value is None:
                    continue
                try:
                    value: Any = await registry.decode(codec, record.value)
                except DecodeError:
                    continue
                log.add([value])


def _evaluate(
    log: OutcomeLog, change: EpsilonChange, *, max_weight: float
) -> tuple[PolicyReport, dict[str, PolicyEstimate]]:
    """Return the value of a contested place, and of a list with contested places.

    Raises:
        OperatorError: no outcome carries information.
        FeedbackError: nothing can be estimated.
    """
    if not log.has_contested_places:
        others = ", ".join(f"{count:,} of {name or 'no policy'}" for name, count in sorted(log.other_counts.items()))
        raise OperatorError(
            f"No outcome of {POLICY} has a propensity below 1, so nothing that was shown tells of another policy."
            + (f" There are others: {others}." if others else ""),
            f"Set EXPLORATION_POLICY={POLICY}, and evaluate when users have been shown such feeds.",
        )
    feedback, lists = log.feedback(change)
    report = evaluate_feedback(feedback, max_weight=max_weight)
    return report, {"cascade-dr": cascade_doubly_robust(lists, max_weight=max_weight)}


def _show(report: PolicyReport, by_list: dict[str, PolicyEstimate] | None, console: Console) -> None:
    table = Table("estimator", "value", "95 % interval", title="reward of an item shown", title_justify="left")
    for name, estimate in {"logged policy": report.logged, **report.estimates}.items():
        table.add_row(name, *_cells(estimate))
    console.print(table)
    if by_list is not None:
        table = Table("estimator", "value", "95 % interval", title="reward of a list", title_justify="left")
        for name, estimate in by_list.items():
            table.add_row(name, *_cells(estimate))
        console.print(table)
    console.print(
        f"{report.rounds:,} items shown to {report.users:,} users, worth {report.effective_rounds:,.0f} of the"
        f" candidate itself. {report.clipped_share:.2%} of the weights were clipped, by {report.clipped_weight:.2%} of"
        " their sum.",
        soft_wrap=True,
    )


def _cells(estimate: PolicyEstimate) -> tuple[str, str]:
    return f"{estimate.value:.5f}", f"{estimate.low:.5f} to {estimate.high:.5f}"
