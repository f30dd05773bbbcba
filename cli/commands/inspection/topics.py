"""`millrace topics`: listing and tailing topics."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from cli.run import until_stopped
from cli.time import From, Until, parse_bound
from domain.timestamp import DAY_MS, iso_time
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.kafka.readers.topic_tail import Condition, TailEntry, TailFilter, follow, last
from infra.kafka.registry import open_registry
from infra.settings import Settings, read_settings
from topics import TOPICS, Topic
from topics.topic import FOREVER, by_name

topics = typer.Typer(invoke_without_command=True, add_completion=False, rich_markup_mode="rich")
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]


@topics.callback()
def show(context: typer.Context, as_json: _Json = False) -> None:
    """List the topics with writer, key, retention and schema.

    Examples:

    millrace topics

    millrace topics tail interactions -n 5
    """
    if context.invoked_subcommand is not None:
        return
    rows = [describe(topic) for topic in TOPICS]
    if as_json:
        for row in rows:
            print(msgspec.json.encode(row).decode())
        return
    headings = {
        "name": "topic",
        "key": "key",
        "schema": "schema",
        "kept": "kept",
        "owner": "written by",
        "doc": "content",
    }
    table = Table(*headings.values(), box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in table.columns[:3]:
        column.no_wrap = True
    for row in rows:
        table.add_row(*(str(row[name]) for name in headings))
    Console(highlight=False).print(table)


@topics.command()
def tail(
    name: Annotated[str, typer.Argument(help="A topic, with or without its version: interactions, feeds.v1.")],
    count: Annotated[int, typer.Option("-n", min=0, help="Number of past events to print first.")] = 10,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Print all past events first.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Do not wait for further events.")] = False,
    key: Annotated[str | None, typer.Option(help="Only of this key, such as a user.", show_default=False)] = None,
    offset: Annotated[
        str | None, typer.Option(help="Only from this position on: PARTITION@OFFSET, as printed.", show_default=False)
    ] = None,
    since: From = None,
    until: Until = None,
    where: Annotated[list[str] | None, typer.Option(help="Only events whose field compares so; see above.")] = None,
    as_json: _Json = False,
) -> None:
    """Print the last events of a topic, decoded, then new events until Ctrl-C.

    --where compares a field: action=like, action!=view, value>=4, context.surface~home (contains), query=null. Given
    several times, all must hold.

    Examples:

    millrace topics tail interactions

    millrace topics tail feeds -n 1 --once --json | jq .value

    millrace topics tail dead-letters --from-beginning

    millrace topics tail interactions --key alex --from 1h --where action=like --once
    """
    try:
        topic = by_name(name)
    except KeyError:
        names = ", ".join(topic.short_name for topic in TOPICS)
        raise OperatorError(f"There is no topic {name}.", f"The topics are {names}.") from None
    settings = resolve_addresses(read_settings())
    first = None if from_beginning else count
    partition, from_offset = (None, 0) if offset is None else _position(offset, topic)
    tail_filter = TailFilter(
        key=None if key is None else key.encode(),
        partition=partition,
        from_offset=from_offset,
        from_ms=parse_bound(since),
        until_ms=parse_bound(until),
        conditions=tuple(map(_condition, where or ())),
    )
    until_stopped(
        lambda stop: _tail(settings, topic, stop, tail_filter=tail_filter, first=first, once=once, as_json=as_json)
    )


def describe(topic: Topic) -> dict[str, Any]:
    """Return a topic as a table row."""
    days = f"{topic.retention_ms / DAY_MS:g} d"
    retention = {"compact": "newest per key", "delete": days, "compact,delete": f"newest per key, {days}"}
    assert topic.retention_ms != FOREVER or topic.is_compacted
    return {
        "name": topic.name,
        "owner": topic.owner,
        "key": topic.key,
        "kept": retention[topic.cleanup_policy],
        "schema": topic.record.__name__,
        "partitions": topic.partitions,
        "doc": topic.doc,
    }


def _position(text: str, topic: Topic) -> tuple[int, int]:
    """Return the partition and the offset of a position as it is printed."""
    partition, sign, offset = text.partition("@")
    if not (sign and partition.isdigit() and offset.isdigit() and int(partition) < topic.partitions):
        raise OperatorError(
            f"{text!r} is no position in {topic.name}.",
            f"Give one such as 3@1017, of {topic.partitions} partitions.",
        )
    return int(partition), int(offset)


def _condition(text: str) -> Condition:
    try:
        return Condition.parse(text)
    except ValueError:
        raise OperatorError(f"{text!r} is no condition.", "Give one such as action=like or value>=4.") from None


async def _tail(
    settings: Settings,
    topic: Topic,
    stop: asyncio.Event,
    *,
    tail_filter: TailFilter,
    first: int | None,
    once: bool,
    as_json: bool,
) -> None:
    servers = settings.kafka_bootstrap_servers

    async def work() -> None:
        async with open_registry(settings.schema_registry_url) as registry:
            for entry in await last(servers, registry, topic, count=first, tail_filter=tail_filter):
                _print(entry, as_json=as_json)
            if not once:
                async for entry in follow(servers, registry, topic, tail_filter=tail_filter):
                    _print(entry, as_json=as_json)

    working, stopping = asyncio.ensure_future(work()), asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not working.done():
        working.cancel()
    with suppress(asyncio.CancelledError):
        await working


def _print(entry: TailEntry, *, as_json: bool) -> None:
    at = iso_time(entry.at_ms)
    key = entry.key.decode(errors="backslashreplace") if entry.key is not None else None
    if as_json:
        row = {"partition": entry.partition, "offset": entry.offset, "at": at, "key": key, "value": entry.value}
        if entry.problem:
            row["problem"] = entry.problem
        print(msgspec.json.encode(row).decode(), flush=True)
    else:
        body = f"✗ {entry.problem}" if entry.problem else msgspec.json.encode(entry.value).decode()
        print(f"{at}  {entry.partition}@{entry.offset}  {key}  {body}", flush=True)
