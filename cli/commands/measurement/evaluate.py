"""`millrace evaluate`: offline evaluation of models on a stream of real events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID

from cli import table
from cli.bar import bars
from cli.config_file import read_config
from cli.console import new_console
from evaluation import contest
from evaluation.contest import RunTask
from evaluation.contestants import contestant
from evaluation.metrics import rmse
from evaluation.protocols.as_served import FEED_MS, ServingDelays
from evaluation.protocols.protocol import PROTOCOLS, label_of
from evaluation.protocols.split import SPLITS, Split
from evaluation.protocols.stream import Stream, of_dataset
from evaluation.reports import cold_start, lists, plot, report
from evaluation.reports.report import EvaluationSpec, Report
from infra.error import OperatorError
from infra.settings import Settings, read_settings
from loaders import Dataset, DatasetError
from loaders.datasets import detect
from streams.core.ranking.catalog.encoder_spaces import NO_ENCODER

_RMSE = "rmse"
_BAD_LINES_SHOWN = 5


def evaluate(  # noqa: PLR0913, PLR0917 - each is a flag
    data: Annotated[
        Path, typer.Option(metavar="PATH", help="A folder or file in a supported format, or sparse-shop-1.")
    ],
    protocol: Annotated[
        str, typer.Option(help=f"{', '.join(PROTOCOLS)}; or {_RMSE}, for predicted ratings.")
    ] = "prequential-strict",
    models: Annotated[str, typer.Option(help="all, or names separated by commas.")] = "all",
    part: Annotated[
        str,
        typer.Option(
            help="test: the last 20 % of events. validation: the 20 % before them, for tuning. all: all events. "
            "successive: the last 10 %, and the 10 % of the others before them."
        ),
    ] = "test",
    ablate: Annotated[
        str | None,
        typer.Option(
            help="sources or parts: compare the blend with itself without each source or feature, instead of --models."
            " alone: compare it with each of its features alone."
        ),
    ] = None,
    cold: Annotated[
        bool,
        typer.Option("--cold", help="Hold out users, and report accuracy by the number of their known events."),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Random seed of ties, stochastic models, the bootstrap, and the choice of held-out users."
        ),
    ] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds; the figures are means over them.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Number of models to run in parallel, each in its own process.")] = 1,
    repeats: Annotated[
        bool | None,
        typer.Option(
            "--repeats/--no-repeats",
            help="Whether items may be recommended again to the same user. Default: detected from the data.",
        ),
    ] = None,
    rating_scale: Annotated[
        float | None,
        typer.Option(min=0.01, help="The highest rating. Default: 1, 5, 10 or 100, depending on the data."),
    ] = None,
    delay_ms: Annotated[
        int,
        typer.Option(min=0, help="as-served: time from an event to the feed in the store. `millrace bench freshness`."),
    ] = FEED_MS,
    config: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A file of settings of the blend, for some defaults: lines of NAME=VALUE."
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write the complete report as JSON.")
    ] = None,
    lists_file: Annotated[
        Path | None,
        typer.Option("--lists", metavar="OUT", help="Write all top-10 lists, one line of JSON per test event."),
    ] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Write plots as SVG and PNG.")] = None,
) -> None:
    """Replay a stream of real events in order, rank before learning, and report the accuracy of each model.

    Protocols: [bold]prequential-strict[/bold] replays the whole stream and ranks all events of a user with the same
    timestamp before it learns any of them. [bold]prequential[/bold] proceeds event by event. [bold]global-split[/bold]
    learns the first 80 % and ranks once per user. [bold]leave-last-out[/bold] ranks each user's last event.

    [bold]as-served[/bold] ranks the same events as prequential-strict, but by the feed that a client would have read:
    it was made --delay-ms after the user's previous event, with the weights, item statistics and links published by
    then, and has not changed since. A user without a feed is shown the default feed. The report also has the figures
    of prequential-strict, and what is lost by the time since the previous event.

    [bold]successive[/bold] is the protocol of "Time to Split" (RecSys 2025), for comparison with published tables:
    every rating is an interaction, users and items with fewer than 5 are left out, models are frozen at the 0.9
    quantile of the times, and each later event is ranked on its user's live history. Beside each frozen model the
    report has the same model as it goes on learning, [bold]successive-live[/bold].

    Formats: MovieLens folders, check-in arrays, Gowalla check-ins, click sessions, and CSV, TSV or Parquet with user,
    item, timestamp and optionally a rating. Ratings of 4 of 5 or more are positive; without ratings all events are.
    The names sparse-shop-SEED, sparse-fads-SEED, sparse-hauls-SEED and sparse-small-SEED stand for generated streams.

    --cold learns nothing from a fifth of the users, and ranks each of their test events with only the user's last 0,
    1, 2, 3, 5, 10 or all events known. Five seeds hold out every user once.

    --ablate sources shows the contribution of each source of the blend: the model blend-neighbors works without
    neighbours, the model blend-neighbors.near without one feature of them. --ablate alone compares the blend with each
    of its features alone: the model alone-popular.lasting ranks by the number of events of an item, decayed by nothing.

    The blend has the default settings, whatever the environment says, but for those of --config. With ENCODER set, it
    learns that network and serves users by its vectors.

    A line of --lists is {"index", "user", "item", "top", "model"}: `index` is the event's position, from 0, in the
    stream sorted by (time, order in the file); ids are as in the data. With several seeds, the lists are those of the
    first one.

    Examples:

    millrace evaluate --data ml-100k

    millrace evaluate --data ml-100k --models popularity,cooccurrence --part validation --json report.json

    millrace evaluate --data ml-100k --protocol as-served --models blend --delay-ms 300

    millrace evaluate --data ml-100k --protocol successive --models blend,cooccurrence,popularity

    millrace evaluate --data clicks.parquet --protocol prequential --seeds 3 --jobs 2 --lists lists.jsonl

    millrace evaluate --data ml-latest-small --protocol rmse

    millrace evaluate --data ml-100k --ablate sources --json ablation.json

    millrace evaluate --data sparse-shop-1 --ablate alone

    millrace evaluate --data ml-100k --models blend,popularity --cold --seeds 5 --plots plots
    """
    console = new_console()
    _check(protocol, part, ablate, cold=cold)
    settings = replace(Settings(), encoder=read_settings().encoder)
    if config is not None:
        settings = read_config(settings, config)
    dataset = _read(data, console)
    stream = of_dataset(dataset, repeats=repeats, rating_scale=rating_scale)
    if rating_scale is not None and stream.high > rating_scale:
        raise OperatorError(f"Ratings go up to {stream.high:g}.", f"Give a --rating-scale of {stream.high:g} or more.")
    console.print(_describe(stream), soft_wrap=True)
    stream = _prepared(stream, protocol, console)
    if settings.encoder != NO_ENCODER:
        console.print(f"the blend learns the network {settings.encoder}", soft_wrap=True)
    options = EvaluationSpec(
        protocol=protocol, split=cast("Split", part), seed=seed, seeds=seeds, ablate=ablate, cold=cold
    )
    if protocol == _RMSE:
        result = _rated(stream, options, console)
    else:
        tasks = [
            RunTask(
                path=data,
                repeats=repeats,
                protocol=other,
                label=None if other == protocol else label_of(name, other),
                split=options.split,
                model=name,
                seed=seed + number,
                cold=cold,
                rating_scale=rating_scale,
                delays=ServingDelays(feed_ms=delay_ms),
                settings=settings,
            )
            for name in (_names(models) if ablate is None else contestant.ablations(ablate, repeats=stream.repeats))
            for other in _protocols(options)
            for number in range(seeds)
        ]
        run_result = _run(tasks, stream, jobs)
        result = _ranked(stream, options, run_result, console)
        if lists_file is not None:
            lists.write(lists_file, stream, {name: runs[0] for name, runs in run_result.runs.items()})
        if plots is not None:
            plot.write(plots, result)
    result["data"]["bad_lines"] = [str(line) for line in dataset.bad_lines]
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")


def _check(protocol: str, split: str, ablate: str | None, *, cold: bool) -> None:
    for noun, name, names in (
        ("protocol", protocol, (*PROTOCOLS, _RMSE)),
        ("part", split, tuple(SPLITS)),
        ("kind of ablation", ablate, (None, *contestant.ABLATIONS)),
    ):
        if name not in names:
            choices = ", ".join(choice for choice in names if choice is not None)
            raise OperatorError(f"There is no {noun} {name}.", f"Choose one of {choices}.")
    if protocol == _RMSE:
        return
    definition = PROTOCOLS[protocol]
    if split not in definition.splits:
        raise OperatorError(f"{protocol} has no part {split}.", f"Choose one of {', '.join(definition.splits)}.")
    if cold and definition.has_live_histories:
        raise OperatorError(f"{protocol} holds no users out.", "Choose another protocol for --cold.")


def _protocols(options: EvaluationSpec) -> list[str]:
    """Return the protocols to run: the chosen one, and the one that it is compared with."""
    other = PROTOCOLS[options.protocol].compared_with
    return [options.protocol] if other is None or options.ablate is not None else [options.protocol, other]


def _prepared(stream: Stream, protocol: str, console: Console) -> Stream:
    """Return the stream as the protocol replays it."""
    if protocol == _RMSE:
        return stream
    prepared_stream = PROTOCOLS[protocol].prepare(stream)
    if prepared_stream is not stream:
        console.print(f"{protocol} keeps {_describe(prepared_stream)}", soft_wrap=True)
    if not len(prepared_stream):
        raise OperatorError(f"No events are left for {protocol}.", "Choose another protocol.")
    return prepared_stream


def _names(models: str) -> list[str]:
    every_name = contestant.names()
    names = every_name if models == "all" else [name for name in models.split(",") if name]
    for name in names:
        if not contestant.is_known(name):
            raise OperatorError(f"There is no model {name}.", f"The models are {', '.join(every_name)}; or all.")
    return list(dict.fromkeys(names))


def _read(path: Path, console: Console) -> Dataset:
    with console.status("reading the data"):
        try:
            data = detect.read(path)
        except DatasetError as error:
            raise OperatorError(str(error), "See millrace evaluate --help.") from error
    for note in data.notes:
        console.print(f"read as {escape(note)}", soft_wrap=True)
    for line in data.bad_lines[:_BAD_LINES_SHOWN]:
        console.print(f"[yellow]skipped[/] {escape(str(line))}", soft_wrap=True)
    if len(data.bad_lines) > _BAD_LINES_SHOWN:
        console.print(f"[yellow]skipped[/] {len(data.bad_lines):,} lines in total; --json reports each")
    return data


def _describe(stream: Stream) -> str:
    kind = "ratings" if stream.has_ratings else "no ratings"
    return (
        f"{escape(stream.name)}: {len(stream):,} events of {len(stream.users):,} users on {len(stream.items):,} items; "
        f"{kind}, {int(stream.positive.sum()):,} positive; items {'may' if stream.repeats else 'do not'} repeat"
    )


def _run(tasks: Sequence[RunTask], stream: Stream, jobs: int) -> contest.RunResult:
    """Run the tasks, with a progress bar for each."""
    with _bars(len(stream)) as show:
        return contest.run(
            tasks, stream, jobs=jobs, on_progress=lambda task, count: show(f"{task.name} {task.seed}", count)
        )


@contextmanager
def _bars(events: int) -> Iterator[Callable[[str, int], None]]:
    """Show a progress bar per name; yield a function that updates a bar, given its name and the completed events."""
    tasks: dict[str, TaskID] = {}
    with bars() as display:

        def show(name: str, amount: int) -> None:
            if name not in tasks:
                tasks[name] = display.add_task(name, total=events)
            display.update(tasks[name], completed=amount)

        yield show
        for number in tasks.values():
            display.update(number, completed=events)


def _ranked(stream: Stream, options: EvaluationSpec, run_result: contest.RunResult, console: Console) -> Report:
    if options.cold:
        result = cold_start.report(stream, options, run_result.runs, run_result.skip_reasons)
        table.print_cold_start(result, console)
        return result
    result = report.report(stream, options, run_result.runs, run_result.skip_reasons)
    (table.print_metrics if options.ablate is None else table.print_ablation)(result, console)
    return result


def _rated(stream: Stream, options: EvaluationSpec, console: Console) -> Report:
    if not stream.has_ratings:
        raise OperatorError("There are no ratings to predict.", "Choose a ranking protocol.")
    with _bars(len(stream)) as show:
        result = report.about(stream, options) | rmse.report(stream, options.split, on_progress=show)
    table.print_rating_errors(result, console)
    return result
