"""`millrace evaluate`: how well each model ranks a stream of real events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID

from cli import table
from cli.bar import bars
from evaluation import cold as cold_replay
from evaluation import contest, contestant, lists, plot, report, rmse
from evaluation.contest import RunTask
from evaluation.protocol import PARTS, PROTOCOLS, Part
from evaluation.report import EvaluationSpec, Report
from evaluation.stream import Stream, of_dataset
from infra.error import OperatorError
from loaders import Dataset, DatasetError
from loaders.datasets import detect

_RMSE = "rmse"
_BAD_LINES_SHOWN = 5


def evaluate(  # noqa: PLR0913, PLR0917 - each is a flag
    data: Annotated[Path, typer.Option(metavar="PATH", help="A folder or file of any known format.")],
    protocol: Annotated[
        str, typer.Option(help=f"{', '.join(PROTOCOLS)}; or {_RMSE}, for predicted ratings.")
    ] = "prequential-strict",
    models: Annotated[str, typer.Option(help="all, or names parted by commas.")] = "all",
    part: Annotated[
        str,
        typer.Option(help="test: the last 20 % of events. validation: the 20 % before, to tune on. all: all of them."),
    ] = "test",
    ablate: Annotated[
        str | None,
        typer.Option(help="sources or parts: the blend, and the blend without each of them, instead of --models."),
    ] = None,
    cold: Annotated[
        bool,
        typer.Option("--cold", help="Hold users out, and tell accuracy by how many of their events are known."),
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Of ties, models that draw, the bootstrap, and who is held out.")
    ] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to run; figures are their means.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Models run side by side, each in a process.")] = 1,
    repeats: Annotated[
        bool | None, typer.Option("--repeats/--no-repeats", help="Whether touched items are ranked again (found out).")
    ] = None,
    rating_scale: Annotated[
        float | None, typer.Option(min=0.01, help="The highest rating: by default 1, 5, 10 or 100, as the data need.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="OUT", help="Write the whole report.")] = None,
    lists_file: Annotated[
        Path | None, typer.Option("--lists", metavar="OUT", help="Write every top 10, one JSON line per test event.")
    ] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Write plots as SVG and PNG.")] = None,
) -> None:
    """Replay a stream of real events in order, rank before learning, and tell how well each model did.

    Protocols: [bold]prequential-strict[/bold] replays the whole stream; all events of a user at one time are ranked
    before any of them is learned. [bold]prequential[/bold] goes event by event. [bold]global-split[/bold] learns the
    first 80 % and ranks once per user. [bold]leave-last-out[/bold] ranks each user's last event.

    Formats: MovieLens folders, check-in arrays, Gowalla check-ins, click sessions, and CSV, TSV or Parquet with user,
    item, timestamp and perhaps a rating. Ratings from 4 of 5 on are positive; without ratings every event is.

    --cold learns nothing from a fifth of the users, and ranks each of their test events with only their last 0, 1, 2,
    3, 5, 10 or all events known. Five seeds hold out everybody once.

    --ablate sources shows what each source of the blend adds: a model called blend-neighbors does without neighbours,
    one called blend-neighbors.near without one part of them.

    A line of --lists is {"index", "user", "item", "top", "model"}: the event's place in the stream sorted by (time,
    order in the file), from 0, and ids as in the data; with several seeds the lists are the first one's.

    Examples:

    millrace evaluate --data ml-100k

    millrace evaluate --data ml-100k --models popularity,cooccurrence --part validation --json report.json

    millrace evaluate --data clicks.parquet --protocol prequential --seeds 3 --jobs 2 --lists lists.jsonl

    millrace evaluate --data ml-latest-small --protocol rmse

    millrace evaluate --data ml-100k --ablate sources --json ablation.json

    millrace evaluate --data ml-100k --models blend,popularity --cold --seeds 5 --plots plots
    """
    console = table.a_console()
    _check(protocol, part, ablate)
    found = _read(data, console)
    stream = of_dataset(found, repeats=repeats, rating_scale=rating_scale)
    if rating_scale is not None and stream.high > rating_scale:
        raise OperatorError(f"Ratings go up to {stream.high:g}.", f"Give a --rating-scale of {stream.high:g} or more.")
    console.print(_about(stream), soft_wrap=True)
    asked = EvaluationSpec(protocol=protocol, part=cast("Part", part), seed=seed, seeds=seeds, ablate=ablate, cold=cold)
    if protocol == _RMSE:
        made = _rated(stream, asked, console)
    else:
        tasks = [
            RunTask(
                path=data,
                repeats=repeats,
                protocol=protocol,
                part=asked.part,
                model=name,
                seed=seed + number,
                cold=cold,
                rating_scale=rating_scale,
            )
            for name in (_names(models) if ablate is None else contestant.ablations(ablate, repeats=stream.repeats))
            for number in range(seeds)
        ]
        done = _run(tasks, stream, jobs)
        made = _ranked(stream, asked, done, console)
        if lists_file is not None:
            lists.write(lists_file, stream, {name: runs[0] for name, runs in done.runs.items()})
        if plots is not None:
            plot.write(plots, made)
    made["data"]["bad_lines"] = [str(line) for line in found.bad_lines]
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")


def _check(protocol: str, part: str, ablate: str | None) -> None:
    for what, asked, known in (
        ("protocol", protocol, (*PROTOCOLS, _RMSE)),
        ("part", part, tuple(PARTS)),
        ("kind of ablation", ablate, (None, *contestant.ABLATIONS)),
    ):
        if asked not in known:
            there = ", ".join(name for name in known if name is not None)
            raise OperatorError(f"There is no {what} {asked}.", f"There are {there}.")


def _names(models: str) -> list[str]:
    known = contestant.names()
    asked = known if models == "all" else [name for name in models.split(",") if name]
    for name in asked:
        if not contestant.is_known(name):
            raise OperatorError(f"There is no model {name}.", f"The models are {', '.join(known)}; or all.")
    return list(dict.fromkeys(asked))


def _read(path: Path, console: Console) -> Dataset:
    with console.status("reads the data"):
        try:
            data = detect.read(path)
        except DatasetError as error:
            raise OperatorError(str(error), "See millrace evaluate --help.") from error
    for note in data.notes:
        console.print(f"read as {escape(note)}", soft_wrap=True)
    for line in data.bad_lines[:_BAD_LINES_SHOWN]:
        console.print(f"[yellow]left out[/] {escape(str(line))}", soft_wrap=True)
    if len(data.bad_lines) > _BAD_LINES_SHOWN:
        console.print(f"[yellow]left out[/] {len(data.bad_lines):,} lines in all; --json tells each")
    return data


def _about(stream: Stream) -> str:
    kind = "ratings" if stream.rated else "no ratings"
    return (
        f"{escape(stream.name)}: {len(stream):,} events of {len(stream.users):,} users on {len(stream.items):,} items; "
        f"{kind}, {int(stream.positive.sum()):,} positive; items {'may' if stream.repeats else 'do not'} repeat"
    )


def _run(tasks: Sequence[RunTask], stream: Stream, jobs: int) -> contest.RunResult:
    """Run the tasks with a bar for each."""
    with _bars(len(stream)) as show:
        return contest.run(
            tasks, stream, jobs=jobs, on_progress=lambda task, learned: show(f"{task.model} {task.seed}", learned)
        )


@contextmanager
def _bars(events: int) -> Iterator[Callable[[str, int], None]]:
    """Show a bar for each name; yields what is told how far it is."""
    shown: dict[str, TaskID] = {}
    with bars() as display:

        def show(name: str, done: int) -> None:
            if name not in shown:
                shown[name] = display.add_task(name, total=events)
            display.update(shown[name], completed=done)

        yield show
        for number in shown.values():
            display.update(number, completed=events)


def _ranked(stream: Stream, asked: EvaluationSpec, done: contest.RunResult, console: Console) -> Report:
    if asked.cold:
        made = cold_replay.report(stream, asked, done.runs, done.skipped)
        table.tell_cold(made, console)
        return made
    made = report.report(stream, asked, done.runs, done.skipped)
    (table.tell if asked.ablate is None else table.tell_ablated)(made, console)
    return made


def _rated(stream: Stream, asked: EvaluationSpec, console: Console) -> Report:
    if not stream.rated:
        raise OperatorError("There are no ratings to predict.", "Choose a protocol that ranks.")
    with _bars(len(stream)) as show:
        made = report.about(stream, asked) | rmse.report(stream, asked.part, on_progress=show)
    table.tell_rated(made, console)
    return made
