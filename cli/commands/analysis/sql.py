"""`millrace sql`: queries over topics, the archive and files."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bar import read_bar
from cli.console import new_console
from cli.run import run
from cli.time import From, Until, parse_bound
from infra.address import resolve_addresses
from infra.analytics.query_session import QuerySession
from infra.analytics.relation import Relation, TimeSpan
from infra.analytics.sources import ARCHIVE, Sources, topic_named
from infra.analytics.table_file import FileFormat, json_rows, write_file
from infra.analytics.topic_relation import DELETION
from infra.kafka.readers.record_window import OnReadProgress
from infra.settings import Settings, read_settings


def sql(
    statement: Annotated[str, typer.Argument(help="A SELECT statement in DuckDB's dialect.", show_default=False)],
    since: From = None,
    until: Until = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the result to this file, as --to.", show_default=False)
    ] = None,
    to: Annotated[FileFormat, typer.Option(help="The format of the file.")] = "parquet",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per row.")] = False,
) -> None:
    """Query topics, the archive and files.

    A topic is a view of its short name, such as interactions or dead_letters, with the columns of its record and
    appended_at, kafka_partition and kafka_offset. The archive's tables and views are in the schema archive. Files are
    tables under their names in quotes: 'interactions.parquet', 'history.csv'.

    Only the topics that the statement names are read, from Kafka, and of these only the times from --from to --until.

    Examples:

    millrace sql "SELECT action, count(*) AS events FROM interactions GROUP BY ALL ORDER BY events DESC" --from 1d

    millrace sql "SELECT * FROM archive.clicks_by_source"

    millrace sql "SELECT user_id, count(*) FROM 'interactions.parquet' GROUP BY 1" --json
    """
    settings = resolve_addresses(read_settings())
    span = TimeSpan(parse_bound(since), parse_bound(until))
    with read_bar("reading") as on_progress, QuerySession() as session:
        result = run(_query(settings, session, statement, span=span, on_progress=on_progress))
    if output is not None:
        print(f"{run(write_file(_relation(result), output, to)):,} rows in {output}")
    elif as_json:
        for row in json_rows(result):
            sys.stdout.buffer.write(row + b"\n")
    else:
        _show(result)


async def _query(
    settings: Settings, session: QuerySession, statement: str, *, span: TimeSpan, on_progress: OnReadProgress
) -> pa.Table:
    async with Sources(settings, on_progress=on_progress) as sources:
        for schema, name in sorted(session.table_names(statement)):
            topic = topic_named(name)
            if schema == ARCHIVE:
                await session.add(await sources.archive(name), schema=ARCHIVE)
            elif topic is not None and not schema:
                await session.add(await sources.topic(topic, span=span))
        _warn(sources.skipped_counts)
    return session.query(statement)


def _warn(skipped_counts: Mapping[str, int]) -> None:
    """Name the records without a row, besides deletions, which are no rows of a table."""
    unusable_counts = {reason: count for reason, count in skipped_counts.items() if reason != DELETION}
    if unusable_counts:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in unusable_counts.items())
        Console(stderr=True, highlight=False).print(f"Left out: {reasons}.", soft_wrap=True)


def _relation(result: pa.Table) -> Relation:
    async def batches() -> AsyncIterator[pa.RecordBatch]:
        for batch in result.to_batches():
            yield batch

    return Relation("result", result.schema, batches())


def _show(result: pa.Table) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for field in result.schema:
        is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        table.add_column(escape(field.name), justify="right" if is_number else "left")
    for row in result.to_pylist(maps_as_pydicts="strict"):
        table.add_row(*(_text(value) for value in row.values()))
    console = new_console()
    console.print(table)
    console.print(f"{result.num_rows:,} rows")


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else escape(str(value))
