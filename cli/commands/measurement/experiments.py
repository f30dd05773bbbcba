"""`millrace experiments`: A/B experiments from their definition to the promotion of the winner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from api.compat.experiments import ExperimentBody
from api.http.error import InvalidError
from cli.commands.measurement.experiment_results import results
from cli.kafka import open_kafka
from cli.run import run
from domain.timestamp import utc_time
from infra import clock
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.experiments import definition
from infra.experiments.definition import ConflictError, ParameterError
from infra.kafka.publisher import PublishError
from infra.kafka.readers.topic_tail import last
from infra.kafka.registry import Registry, open_registry
from infra.settings import Settings, read_settings
from schemas import record_limit
from schemas.arm_pause import active_until, is_paused
from schemas.limit import OutOfRangeError
from schemas.types import Arm, Experiment
from topics.topic import EXPERIMENTS

experiments = typer.Typer(invoke_without_command=True, add_completion=False, rich_markup_mode="rich")
experiments.command()(results)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Id = Annotated[str, typer.Argument(help="The id of the experiment.", show_default=False)]
_Arm = Annotated[str | None, typer.Option("--arm", help="Only this arm.", show_default=False)]
_COLORS = {"running": "green", "paused": "yellow", "draft": "cyan", "completed": "dim"}
Change = Callable[[list[Experiment]], Experiment]
"""Returns a definition to publish, given the present ones."""


@experiments.callback()
def show(context: typer.Context, as_json: _Json = False) -> None:
    """List the experiments: status, arms with their shares, traffic, and the promoted arm.

    Examples:

    millrace experiments

    millrace experiments --json | jq '.[] | select(.status == "running")'

    millrace experiments create surprise.json --start

    millrace experiments promote surprise surprising
    """
    if context.invoked_subcommand is not None:
        return
    present_definitions = run(_read(resolve_addresses(read_settings())))
    if as_json:
        print(msgspec.json.encode(present_definitions).decode())
    else:
        _show(present_definitions, Console(highlight=False))


@experiments.command()
def create(
    file: Annotated[Path, typer.Argument(help="A JSON file with the body of POST /ab/experiments.")],
    start: Annotated[bool, typer.Option("--start", help="Start it at once; otherwise it is a draft.")] = False,
    as_json: _Json = False,
) -> None:
    """Create an experiment from a JSON file, or define a draft anew: name, arms, and what docs/experiments.md lists.

    Examples:

    echo '{"experiment_id": "surprise", "name": "Surprises", "arms": [{"name": "as it is"}, {"name": "surprising",
    "parameters": {"SERENDIPITY_WEIGHT": 1}}]}' > surprise.json; millrace experiments create surprise.json
    """
    settings = resolve_addresses(read_settings())
    try:
        new = msgspec.json.decode(file.read_bytes(), type=ExperimentBody).record(clock.now_ms())
    except (OSError, msgspec.MsgspecError, InvalidError) as error:
        raise OperatorError(
            f"{file} holds no experiment: {error}", "See docs/experiments.md for the fields."
        ) from error
    if start:
        new = msgspec.structs.replace(new, status="running")

    def created(present_definitions: list[Experiment]) -> Experiment:
        definition.check_parameters(new.arms, settings)
        return definition.created(new, present_definitions)

    _report(run(_publish(settings, created)), as_json=as_json)


@experiments.command()
def start(experiment_id: _Id, arm: _Arm = None, as_json: _Json = False) -> None:
    """Start an experiment, or go on with it after a pause: the next ranking of each user follows its arm.

    Examples:

    millrace experiments start surprise

    millrace experiments start surprise --arm surprising
    """
    _set_status(experiment_id, "running", as_json=as_json, resumed_arm=arm)


@experiments.command()
def pause(experiment_id: _Id, arm: _Arm = None, as_json: _Json = False) -> None:
    """Pause an experiment: users go back to the default with their next ranking, and keep their arms for later.

    With --arm the experiment goes on, and the first arm ranks the users of the paused one.
    """
    _set_status(experiment_id, None if arm else "paused", as_json=as_json, paused_arm=arm)


@experiments.command()
def complete(experiment_id: _Id, as_json: _Json = False) -> None:
    """Complete an experiment for good, without a winner."""
    _set_status(experiment_id, "completed", as_json=as_json)


@experiments.command()
def promote(
    experiment_id: _Id,
    arm: Annotated[str, typer.Argument(help="The name of the arm.", show_default=False)],
    as_json: _Json = False,
) -> None:
    """Complete an experiment, and make the parameters of an arm the default for all users."""
    settings = resolve_addresses(read_settings())
    _report(
        run(
            _publish(
                settings,
                lambda present: definition.promoted(_named(experiment_id, present), arm, now_ms=clock.now_ms()),
            )
        ),
        as_json=as_json,
    )


@experiments.command()
def rollback(experiment_id: _Id, as_json: _Json = False) -> None:
    """Take a promotion back: the parameters of the arm are no longer the default."""
    settings = resolve_addresses(read_settings())
    _report(
        run(
            _publish(
                settings, lambda present: definition.rolled_back(_named(experiment_id, present), now_ms=clock.now_ms())
            )
        ),
        as_json=as_json,
    )


def _set_status(
    experiment_id: str,
    status: str | None,
    *,
    as_json: bool,
    paused_arm: str | None = None,
    resumed_arm: str | None = None,
) -> None:
    """Publish an experiment with another status, which None keeps, and with an arm paused or resumed."""
    settings = resolve_addresses(read_settings())

    def changed(present_definitions: list[Experiment]) -> Experiment:
        old = _named(experiment_id, present_definitions)
        for name in (paused_arm, resumed_arm):
            if name is not None and name not in {arm.name for arm in old.arms}:
                raise ConflictError(f"the experiment has no arm {name!r}")
        if status == "running":
            definition.check_parameters(old.arms, settings)
        names = {arm.name for arm in old.arms if is_paused(arm) and arm.name != resumed_arm}
        if paused_arm is not None:
            names.add(paused_arm)
        return definition.changed(
            old,
            {"status": status or old.status, "occurred_at": clock.now_ms()},
            present_definitions,
            paused_arms=names if paused_arm or resumed_arm else None,
        )

    _report(run(_publish(settings, changed)), as_json=as_json)


async def _read(settings: Settings) -> list[Experiment]:
    """Return the definitions on the topic, newest first."""
    async with open_registry(settings.schema_registry_url) as registry:
        return await _definitions(settings, registry)


async def _definitions(settings: Settings, registry: Registry) -> list[Experiment]:
    entries = await last(settings.kafka_bootstrap_servers, registry, EXPERIMENTS, count=None)
    newest: dict[bytes | None, Experiment | None] = {entry.key: entry.value for entry in entries if not entry.problem}
    return sorted(
        (one for one in newest.values() if one is not None), key=lambda one: (-one.occurred_at, one.experiment_id)
    )


async def _publish(settings: Settings, change: Change) -> Experiment:
    """Publish a definition that follows from the present ones, and return it.

    Raises:
        OperatorError: it is refused, or the broker does not take it.
    """
    async with open_kafka(settings) as (registry, publisher):
        try:
            experiment = change(await _definitions(settings, registry))
            record_limit.check(experiment, now_ms=clock.now_ms())
            await publisher.publish(EXPERIMENTS, [experiment])
        except (ConflictError, ParameterError, OutOfRangeError) as error:
            raise OperatorError(f"The definition is refused: {error}.", "See docs/experiments.md.") from error
        except PublishError as error:
            raise OperatorError(
                f"The definition was not published: {error}", "Start the servers, then try again."
            ) from error
    return experiment


def _named(experiment_id: str, present_definitions: list[Experiment]) -> Experiment:
    for one in present_definitions:
        if one.experiment_id == experiment_id:
            return one
    raise OperatorError(f"There is no experiment {experiment_id}.", "millrace experiments lists them.")


def _report(experiment: Experiment, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(experiment).decode())
        return
    winner = f", and {experiment.winner} is the default" if experiment.winner else ""
    Console(highlight=False, soft_wrap=True).print(
        f"{experiment.experiment_id} is {experiment.status}{winner}.", markup=False
    )


def _show(present_definitions: list[Experiment], console: Console) -> None:
    if not present_definitions:
        raise OperatorError("There is no experiment yet.", "Create one with millrace experiments create FILE.")
    table = Table("experiment", "name", "status", "arms", "layer", "buckets", "promoted")
    for one in present_definitions:
        table.add_row(
            escape(one.experiment_id),
            escape(one.name),
            f"[{_COLORS.get(one.status, 'default')}]{one.status}[/]",
            "\n".join(_arm_texts(one)),
            escape(one.layer),
            f"{one.traffic_from:g} to {one.traffic_to:g}",
            escape(one.winner),
        )
    console.print(table)


def _arm_texts(experiment: Experiment) -> list[str]:
    """Return the arms with their shares; those of a shadow have none."""
    if experiment.is_shadow:
        first, *others = (escape(arm.name) for arm in experiment.arms)
        return [first, *(f"{name} (shadow)" for name in others)]
    return [_arm_text(arm) for arm in experiment.arms]


def _arm_text(arm: Arm) -> str:
    """Return an arm with its share and, where it is paused, since when and why."""
    text, paused_at = escape(f"{arm.name} {arm.share:.0%}"), active_until(arm)
    if paused_at is None:
        return text
    reason = arm.pauses[-1].reason
    since = f"paused {utc_time(paused_at):%Y-%m-%d %H:%M:%S} UTC" + (f": {reason}" if reason else "")
    return f"{text} [yellow]({escape(since)})[/]"
