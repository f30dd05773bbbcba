"""`millrace evaluate`: how well each model ranks a stream of real events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from evaluation import contest, contestant, lists, plot, report, rmse
from evaluation.contest import Task
from evaluation.protocol import PROTOCOLS, Part
from evaluation.report import Asked, Report
from evaluation.stream import Stream, of_dataset
from infra.dataset import Dataset, DatasetError, source
from infra.error import OperatorError

_RMSE = "rmse"
_PARTS = ("test", "validation")
_BAD_LINES_SHOWN = 5


def evaluate(  # noqa: PLR0913, PLR0917 - each is a flag
    data: Annotated[Path, typer.Option(metavar="PATH", help="A folder or file of any known format.")],
    protocol: Annotated[
        str, typer.Option(help=f"{', '.join(PROTOCOLS)}; or {_RMSE}, for predicted ratings.")
    ] = "prequential-strict",
    models: Annotated[str, typer.Option(help="all, or names parted by commas.")] = "all",
    part: Annotated[
        str, typer.Option(help="test: the last 20 % of events. validation: the 20 % before, to tune on.")
    ] = "test",
    seed: Annotated[int, typer.Option(min=0, help="Of ties, of models that draw, and of the bootstrap.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to run; figures are their means.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Models run side by side, each in a process.")] = 1,
    repeats: Annotated[
        bool | None, typer.Option("--repeats/--no-repeats", help="Whether touched items are ranked again (found out).")
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

    A line of --lists is {"index", "user", "item", "top", "model"}: the event's place in the stream sorted by (time,
    order in the file), from 0, and ids as in the data; with several seeds the lists are the first one's.

    Examples:

    millrace evaluate --data ml-100k

    millrace evaluate --data ml-100k --models popularity,cooccurrence --part validation --json report.json

    millrace evaluate --data clicks.parquet --protocol prequential --seeds 3 --jobs 2 --lists lists.jsonl

    millrace evaluate --data ml-latest-small --protocol rmse
    """
    console = Console(highlight=False)
    _check(protocol, part)
    found = _read(data, console)
    stream = of_dataset(found, repeats=repeats)
    console.print(_about(stream), soft_wrap=True)
    asked = Asked(protocol=protocol, part=cast("Part", part), seed=seed, seeds=seeds)
    if protocol == _RMSE:
        made: Report = _rated(stream, asked, console)
    else:
        tasks = [
            Task(path=data, repeats=repeats, protocol=protocol, part=asked.part, model=name, seed=seed + number)
            for name in _names(models)
            for number in range(seeds)
        ]
        done = _run(tasks, stream, jobs)
        made = report.report(stream, asked, done.runs, done.skipped)
        _tell(made, console)
        if lists_file is not None:
            lists.write(lists_file, stream, {name: runs[0] for name, runs in done.runs.items()})
        if plots is not None:
            plot.write(plots, made)
    made["data"]["bad_lines"] = [str(line) for line in found.bad_lines]
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")


def _check(protocol: str, part: str) -> None:
    known = (*PROTOCOLS, _RMSE)
    if protocol not in known:
        raise OperatorError(f"There is no protocol {protocol}.", f"The protocols are {', '.join(known)}.")
    if part not in _PARTS:
        raise OperatorError(f"There is no part {part}.", f"The parts are {' and '.join(_PARTS)}.")


def _names(models: str) -> list[str]:
    known = contestant.names()
    asked = known if models == "all" else [name for name in models.split(",") if name]
    for name in asked:
        if name not in known:
            raise OperatorError(f"There is no model {name}.", f"The models are {', '.join(known)}; or all.")
    return list(dict.fromkeys(asked))


def _read(path: Path, console: Console) -> Dataset:
    with console.status("reads the data"):
        try:
            data = source.read(path)
        except DatasetError as error:
            raise OperatorError(str(error), "See millrace evaluate --help.") from error
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


def _run(tasks: Sequence[Task], stream: Stream, jobs: int) -> contest.Done:
    """Run the tasks with a bar for each."""
    shown: dict[Task, TaskID] = {}
    with _bars() as bars:

        def progress(task: Task, learned: int) -> None:
            if task not in shown:
                shown[task] = bars.add_task(f"{task.model} {task.seed}", total=len(stream))
            bars.update(shown[task], completed=learned)

        done = contest.run(tasks, stream, jobs=jobs, on_progress=progress)
        for number in shown.values():
            bars.update(number, completed=len(stream))
    return done


def _bars() -> Progress:
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True))


def _tell(made: Report, console: Console) -> None:
    heads = ("HR@10", "NDCG@10", "MRR", "Recall@10", "coverage", "novelty", "diversity", "popularity", "learn", "rank")
    table = Table("model", *heads, f"NDCG against {made['best_baseline']}")
    ranked = sorted(made["models"].items(), key=lambda pair: -pair[1]["ndcg"])
    for name, found in ranked:
        table.add_row(
            name,
            _sure(found, "hr"),
            _sure(found, "ndcg"),
            f"{found['mrr']:.3f}",
            f"{found['recall']:.3f}",
            f"{found['coverage']:.3f}",
            f"{found['novelty']:.1f}",
            f"{found['diversity']:.3f}",
            f"{found['popularity']:.2f}",
            f"{found['learn_us']:,.0f} µs",
            f"{found['rank_us']:,.0f} µs",
            _against(found["against_best_baseline"]),
        )
    console.print(table)
    cases = ranked[0][1]["cases"] if ranked else 0
    console.print(
        f"{made['protocol']}, {made['part']}, {len(made['seeds'])} seed(s), {cases:,} cases; "
        f"± half of a 95 % interval, bootstrap over users; diversity by {made['similarity']}"
    )
    for label, rows in (("earlier events", "by_earlier"), ("time since the previous event", "by_gap")):
        console.print(_broken_down(label, rows, ranked))
    _tell_skipped(made, console)


def _broken_down(label: str, rows: str, ranked: Sequence[tuple[str, Any]]) -> Table:
    table = Table(title=f"HR@10 / NDCG@10 by the user's {label}", title_justify="left")
    table.add_column("model")
    for row in ranked[0][1][rows] if ranked else ():
        table.add_column(f"{row['label']}\n{row['cases']:,}", justify="right")
    table.add_column("any earlier event", justify="right")
    for name, found in ranked:
        table.add_row(name, *(_pair(row) for row in (*found[rows], found["with_earlier"])))
    return table


def _pair(row: Report) -> str:
    return f"{row['hr']:.3f} / {row['ndcg']:.3f}" if row["cases"] else "–"


def _sure(found: Report, metric: str) -> str:
    bounds = found["interval"][metric]
    return f"{found[metric]:.4f} ± {(bounds['high'] - bounds['low']) / 2:.3f}"


def _against(found: Report | None) -> str:
    if found is None:
        return ""
    gap = found["ndcg"]
    return f"{gap['mean']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f}), p {gap['p']:.3f}"


def _rated(stream: Stream, asked: Asked, console: Console) -> Report:
    if not stream.rated:
        raise OperatorError("There are no ratings to predict.", "Choose a protocol that ranks.")
    with _bars() as bars:
        shown: dict[str, TaskID] = {}

        def progress(name: str, done: int) -> None:
            if name not in shown:
                shown[name] = bars.add_task(name, total=len(stream))
            bars.update(shown[name], completed=done)

        made = rmse.report(stream, asked.part, on_progress=progress)
    table = Table("model", "RMSE on [0, 1]", "in stars")
    for name, found in sorted(made["models"].items(), key=lambda pair: float(pair[1]["rmse"])):
        table.add_row(name, f"{found['rmse']:.4f}", f"{found['rmse_stars']:.3f}")
    console.print(table)
    console.print(
        f"rmse, {asked.part}: {made['cases']:,} ratings after the first {made['train_events']:,} events; "
        f"scale {stream.low:g} to {stream.high:g}"
    )
    _tell_skipped(made, console)
    return {"data": report.about(stream), "protocol": asked.protocol, "part": asked.part, **made}


def _tell_skipped(made: Report, console: Console) -> None:
    for name, reason in made["skipped"].items():
        console.print(f"[yellow]skipped[/] {escape(name)}: {escape(reason)}")
