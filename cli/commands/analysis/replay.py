"""`millrace replay`: history folded and ranked again, under the present or other settings."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow as pa
import typer
from rich.console import Console
from rich.table import Table

from cli.bar import read_bar
from cli.config_file import read_config
from cli.console import new_console
from cli.run import on_one_core, run
from cli.time import TIME_HELP, parse_bound, parse_time
from domain.timestamp import iso_time
from evaluation.history.feed_difference import FeedDifference, feed_difference
from evaluation.history.feed_replay import Feeds, equal_features, fold_history, live_features, rank_history
from evaluation.history.history_fold import EventHistory
from infra import clock
from infra.address import resolve_addresses
from infra.analytics.arrow_schema import arrow_schema, record_rows
from infra.analytics.relation import Relation, TimeSpan
from infra.analytics.sources import Sources
from infra.analytics.table_file import FileFormat, write_file
from infra.error import OperatorError
from infra.kafka.readers.record_window import OnReadProgress
from infra.postgres.feed_history import PostgresFeedHistory
from infra.postgres.pool import LazyPool
from infra.redis.connection import StoreError
from infra.settings import Settings, read_settings
from schemas.types import Feed

_USERS_SHOWN = 20
_FORMATS: dict[str, FileFormat] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".duckdb": "duckdb"}


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """A complete replay."""

    from_ms: int
    until_ms: int
    events: int
    """Events folded from the beginning of the topics on."""
    users: int
    """Users ranked: those whose features changed between the times."""
    fold_s: float
    rank_s: float
    took_s: float
    equal_features: int | None = None
    """Users with exactly the features that were published."""
    comparable_features: int | None = None
    """Users of whom that can be said: those without a change since."""
    against_served: FeedDifference | None = None
    """From the feeds that were served, to the replay."""
    against_settings: FeedDifference | None = None
    """From the replay under the present settings, to the replay under those of the file."""


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """The history to replay, and the use of the feeds."""

    span: TimeSpan
    user_ids: list[str]
    settings: Settings
    """The settings of the workers."""
    config: Settings | None
    """Other settings to replay under."""
    compares: bool
    output: Path | None
    at_ms: int
    """The end of the history, in ms since the epoch."""


def replay(
    since: Annotated[str, typer.Option("--from", help=f"Rank users who changed from this time on: {TIME_HELP}")] = "1d",
    until: Annotated[
        str | None, typer.Option("--to", "--until", help="The end of the history; by default now.", show_default=False)
    ] = None,
    user_ids: Annotated[list[str] | None, typer.Option("--user", help="Only this user; may be repeated.")] = None,
    config: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A file of other settings: lines of NAME=VALUE.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Show how the feeds differ from those served.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the records to read.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the feeds to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Fold and rank history again by the code of the workers. The running system is not touched.

    All events up to --to are folded, in the order in which the broker received them, and the users whose features
    changed since --from are ranked as of --to. Features come out as they were published, to the last digit, if the
    settings are the same and the topics still hold all events of the users. The catalogue, the links between items and
    the weights are the present ones: their topics hold no history.

    --compare shows the share of each feed's top ten that stays, and by how many positions items move: against the feeds
    that were served then, and with --config against a replay under the present settings too, which isolates the effect
    of the file.

    Examples:

    millrace replay --from 2h --compare

    millrace replay --from 2026-11-24 --to 2026-11-25 --config other.env --compare --json

    millrace replay --from 1d --user alex --output alex.jsonl
    """
    settings = resolve_addresses(read_settings())
    other_settings = None if config is None else read_config(settings, config)
    until_ms = parse_bound(until)
    at_ms = clock.now_ms() if until_ms is None else until_ms
    span = TimeSpan(parse_time(since), until_ms)
    plan = ReplayPlan(span, user_ids or [], settings, other_settings, compare, output, at_ms)
    if output is not None and output.suffix not in _FORMATS:
        raise OperatorError(f"{output} has no format.", f"Name it with one of {', '.join(_FORMATS)}.")
    on_one_core()
    with read_bar("reading the topics") as on_progress:
        if dry_run:
            count = run(_count(plan, on_progress=on_progress))
        else:
            report = run(_replay(plan, on_progress=on_progress))
    if dry_run:
        print(msgspec.json.encode({"records": count}).decode() if as_json else f"{count:,} records would be read.")
    elif as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report, new_console())


async def _count(plan: ReplayPlan, *, on_progress: OnReadProgress) -> int:
    async with Sources(plan.settings, on_progress=on_progress) as sources:
        return await EventHistory(*await sources.kafka()).count(until_ms=plan.span.until_ms)


async def _replay(plan: ReplayPlan, *, on_progress: OnReadProgress) -> ReplayReport:
    began_s, new_settings = time.perf_counter(), plan.config or plan.settings
    several_settings = [plan.settings, new_settings] if plan.config and plan.compares else [new_settings]
    async with Sources(plan.settings, on_progress=on_progress) as sources:
        registry, reader = await sources.kafka()
        history = await fold_history(
            registry, reader, several_settings, span=plan.span, user_ids=frozenset(plan.user_ids)
        )
        rankings = await rank_history(
            plan.settings, registry, history, several_settings, at_ms=plan.at_ms, on_progress=on_progress
        )
        live = await live_features(registry, reader) if plan.compares else {}
    feeds = rankings[-1].by_user
    equal_count, comparable_count = equal_features(history.folds[0], live, history.users)
    if plan.output is not None:
        await write_file(_relation(feeds), plan.output, _FORMATS[plan.output.suffix])
    return ReplayReport(
        from_ms=plan.span.from_ms or 0,
        until_ms=plan.at_ms,
        events=history.event_count,
        users=len(history.users),
        fold_s=round(history.took_s, 3),
        rank_s=round(sum(ranking.took_s for ranking in rankings), 3),
        equal_features=equal_count if plan.compares else None,
        comparable_features=comparable_count if plan.compares else None,
        against_served=feed_difference(await _served(plan, feeds), feeds) if plan.compares else None,
        against_settings=_settings_difference(rankings),
        took_s=round(time.perf_counter() - began_s, 3),
    )


def _settings_difference(rankings: list[Feeds]) -> FeedDifference | None:
    if len(rankings) == 1:
        return None
    before, after = rankings
    return feed_difference(before.by_user, after.by_user)


async def _served(plan: ReplayPlan, users: Mapping[str, Feed]) -> dict[str, Feed]:
    """Return the feeds that were served at the end of the history."""
    database = LazyPool(plan.settings.database_url, connections=1)
    history = PostgresFeedHistory(database)
    try:
        feeds = {user_id: await history.read(user_id, plan.at_ms) for user_id in users}
    except StoreError as error:
        raise OperatorError(
            f"The history of feeds cannot be read: {error}", "Start PostgreSQL, or leave --compare out."
        ) from error
    finally:
        await database.close()
    return {user_id: feed for user_id, feed in feeds.items() if feed is not None}


def _relation(feeds: Mapping[str, Feed]) -> Relation:
    schema = arrow_schema(Feed)

    async def batches() -> AsyncIterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist(record_rows(list(feeds.values())), schema)

    return Relation("feeds", schema, batches())


def _show(report: ReplayReport, console: Console) -> None:
    console.print(
        f"{report.events:,} events folded in {report.fold_s:.1f} s"
        f" ({report.events / max(report.fold_s, 1e-3):,.0f}/s); {report.users:,} users who changed from"
        f" {iso_time(report.from_ms)} to {iso_time(report.until_ms)} ranked in {report.rank_s:.1f} s;"
        f" {report.took_s:.1f} s with reading",
        soft_wrap=True,
    )
    if report.comparable_features is not None:
        console.print(
            f"Features: {report.equal_features:,} of {report.comparable_features:,} users have exactly those published."
        )
    for title, difference in (
        ("against the feeds that were served", report.against_served),
        ("against a replay under the present settings", report.against_settings),
    ):
        if difference is not None:
            console.print(_difference(title, difference))


def _difference(title: str, difference: FeedDifference) -> Table:
    table = Table("user", "top ten that stays", "mean rank change", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in difference.by_user[:_USERS_SHOWN]:
        table.add_row(row.user_id, f"{row.overlap:.0%}", f"{row.rank_change:.2f}")
    table.add_section()
    total = f"{difference.users:,} users, {difference.equal_feeds:,} feeds equal"
    table.add_row(total, f"{difference.overlap:.1%}", f"{difference.rank_change:.2f}")
    return table
