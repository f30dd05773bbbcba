"""`millrace trace`: the way of one event to the feed that reflects it."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bar import read_bar
from cli.console import new_console
from cli.duration import parse_duration
from cli.run import run
from domain.timestamp import utc_time
from infra import clock
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.event_trace import EventTrace, Hop, TraceClients, trace_event
from infra.kafka.readers.record_window import OnReadProgress, window_reader
from infra.kafka.registry import open_registry
from infra.postgres.pool import LazyPool
from infra.redis.connection import connect
from infra.redis.stores.feed_store import RedisFeedStore
from infra.settings import Settings, read_settings

_COLORS = {"served": "green", "dead_letter": "red"}


def trace(
    event_id: Annotated[str, typer.Argument(help="The id of the event, as its producer sent it.", show_default=False)],
    user_id: Annotated[str | None, typer.Option("--user", help="Its user, which makes the search faster.")] = None,
    since: Annotated[str, typer.Option(help="How far back to search, such as 90s, 30min, 1h or 7d.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Follow one event, hop by hop with times: its topic, the user's features, the feed, Redis, PostgreSQL.

    Topics are searched from their ends backwards. The times of topics are the broker's; an event occurs by the clock of
    its producer, and a feed is ranked by the clock of its worker.

    Ends with exit code 1 if no topic holds the event within the time searched.

    Examples:

    millrace trace 0197f3a2-54c1-7d51-b2b4-2f4b6a0a7d11

    millrace trace 0197f3a2-54c1-7d51-b2b4-2f4b6a0a7d11 --user alex --since 1d --json | jq .total_ms
    """
    since_ms = clock.now_ms() - round(parse_duration(since) * 1000)
    settings = resolve_addresses(read_settings())
    with read_bar("searching the topics") as on_progress:
        event_trace = run(_trace(settings, event_id, user_id, since_ms=since_ms, on_progress=on_progress))
    if event_trace is None:
        owner = f" of user {user_id}" if user_id else ""
        raise OperatorError(
            f"No topic holds an event {event_id}{owner} of the last {since}.",
            "Search further back, as with --since 7d. The API has answered 202 to an event that is in a topic.",
        )
    if as_json:
        print(msgspec.json.encode(event_trace).decode())
    else:
        _show(event_trace, new_console())


async def _trace(
    settings: Settings, event_id: str, user_id: str | None, *, since_ms: int, on_progress: OnReadProgress
) -> EventTrace | None:
    database = LazyPool(settings.database_url, connections=1)
    try:
        async with (
            aclosing(connect(settings.redis_url)) as redis,
            open_registry(settings.schema_registry_url) as registry,
            window_reader(settings.kafka_bootstrap_servers, on_progress=on_progress) as reader,
        ):
            clients = TraceClients(reader, registry, RedisFeedStore(redis), database)
            return await trace_event(clients, event_id, user_id=user_id, since_ms=since_ms)
    finally:
        await database.close()


def _show(event_trace: EventTrace, console: Console) -> None:
    table = Table("step", "time (UTC)", "after", "partition@offset of topic", "note", title_justify="left")
    for column in table.columns[:4]:
        column.no_wrap = True
    table.columns[4].overflow = "fold"
    for hop in event_trace.hops:
        table.add_row(hop.step, _time(hop), _latency(hop.after_ms), _place(hop), escape(hop.note))
    console.print(f"Event {event_trace.event_id} of user {event_trace.user_id}", markup=False, soft_wrap=True)
    console.print(table)
    state = event_trace.state.replace("_", " ")
    total = "" if event_trace.total_ms is None else f", {event_trace.total_ms:,} ms from its append to that of the feed"
    console.print(f"[{_COLORS.get(event_trace.state, 'yellow')}]{state}[/]{total}", soft_wrap=True)
    if event_trace.detail:
        console.print(event_trace.detail, markup=False, soft_wrap=True)
    if event_trace.repeats:
        console.print(f"Further copies: {', '.join(event_trace.repeats)}", markup=False, soft_wrap=True)


def _time(hop: Hop) -> str:
    if hop.at is None:
        return ""
    return utc_time(hop.at).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def _latency(after_ms: int | None) -> str:
    return "" if after_ms is None else f"{after_ms:+,} ms"


def _place(hop: Hop) -> str:
    return "" if hop.partition is None else f"{hop.partition}@{hop.offset} of {hop.topic}"
