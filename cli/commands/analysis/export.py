"""`millrace export`: topics, the archive and training data as files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cli.bar import read_bar
from cli.console import new_console
from cli.run import on_one_core, run
from cli.time import From, Until, parse_bound
from evaluation.history.training_table import TRAINING, training_relation
from infra import clock
from infra.address import resolve_addresses
from infra.analytics.relation import Relation, TimeSpan
from infra.analytics.sources import Sources, topic_named
from infra.analytics.table_file import FileFormat, write_file
from infra.error import OperatorError
from infra.kafka.readers.record_window import OnReadProgress
from infra.privacy.anonymous_relation import anonymous_relation, segment_column
from infra.privacy.pseudonyms import pseudonyms
from infra.privacy.user_counts import user_counts
from infra.settings import Settings, comma_separated, read_settings

_SEGMENTS_PER_USER = 64
"""Segments that a user counts for, at most, who has changed them."""


class ExportReport(msgspec.Struct, frozen=True):
    """A complete export."""

    name: str
    file: str
    format: FileFormat
    rows: int
    bytes: int
    columns: list[str]
    left_out: list[str]
    """Columns left out of a pseudonymous export."""
    skipped: dict[str, int]  # wire
    """Records left out, by reason: deletions, and bytes that are no record."""
    took_s: float


class ExportPlan(msgspec.Struct, frozen=True):
    """The rows and columns to export, and their file."""

    name: str
    format: FileFormat
    file: Path
    span: TimeSpan
    user_id: str | None
    columns: list[str]
    limit: int | None
    is_pseudonymous: bool


def export(  # noqa: PLR0913, PLR0917 - each is a flag
    name: Annotated[str, typer.Argument(help="A topic, `training`, or a table of the archive.", metavar="NAME")],
    to: Annotated[FileFormat, typer.Option(help="The format. In CSV, lists and maps are JSON texts.")] = "parquet",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; by default NAME with the format's suffix.")
    ] = None,
    since: From = None,
    until: Until = None,
    user_id: Annotated[str | None, typer.Option("--user", help="Only of this user.", show_default=False)] = None,
    columns: Annotated[str, typer.Option(help="Only these columns, separated by commas.", show_default=False)] = "",
    limit: Annotated[int | None, typer.Option(min=0, help="At most this many rows.", show_default=False)] = None,
    is_pseudonymous: Annotated[
        bool | None,
        typer.Option("--pseudonymous/--exact", help="Without names; EXPORT_PSEUDONYMS by default.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Export a topic, training data, or a table or view of the archive to a file, with typed times.

    Times are those of the append to the topic, by the broker's clock. A topic holds what its retention left, and of a
    compacted one the newest record of each key. Records that cannot be decoded are left out and counted.

    `training` has a row for each interaction with an item: the outcome, and the features of its user and its item as
    they were before it, folded from the topics by the code of the workers. `outcomes` has each item shown, with the
    actions that followed; a later record of an id replaces an earlier one.

    A pseudonymous export has keyed hashes in place of ids, which change every PSEUDONYM_DAYS, and none of the columns
    that could name somebody, such as texts and places. Segments of fewer than PRIVACY_K users become empty, and rows
    of groups with fewer are left out.

    Examples:

    millrace export interactions --to parquet --from 7d

    millrace export interactions --pseudonymous --to csv

    millrace export training --to duckdb --output shop.duckdb

    millrace export outcomes --to csv --user alex --columns shown_at,item_id,clicks,place
    """
    suffix = Path(name).name
    path = output or Path(f"{suffix}.{to}")
    if path.exists() and to != "duckdb" and not overwrite:
        raise OperatorError(f"{path} exists.", "Name another file with --output, or replace it with --overwrite.")
    span = TimeSpan(parse_bound(since), parse_bound(until))
    settings = resolve_addresses(read_settings())
    if is_pseudonymous is None:
        is_pseudonymous = settings.export_pseudonyms
    if is_pseudonymous and user_id is not None:
        raise OperatorError("--user would show whose pseudonym it is.", "Leave --user out, or add --exact.")
    plan = ExportPlan(name, to, path, span, user_id, comma_separated(columns), limit, is_pseudonymous)
    on_one_core()
    with read_bar(f"exporting {name}") as on_progress:
        report = run(_export(settings, plan, on_progress=on_progress))
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report)


async def _export(settings: Settings, plan: ExportPlan, *, on_progress: OnReadProgress) -> ExportReport:
    began_s = time.perf_counter()
    async with Sources(settings, on_progress=on_progress) as sources:
        relation = await _relation(settings, sources, plan)
        names = relation.schema.names
        if plan.is_pseudonymous:
            relation = await _anonymous(settings, sources, plan, relation)
        left_out = [name for name in names if name not in relation.schema.names]
        if plan.columns:
            relation = relation.select(plan.columns)
        if plan.limit is not None:
            relation = relation.head(plan.limit)
        row_count = await write_file(relation, plan.file, plan.format)
    return ExportReport(
        name=relation.name,
        file=str(plan.file),
        format=plan.format,
        rows=row_count,
        bytes=plan.file.stat().st_size,
        columns=relation.schema.names,
        left_out=left_out,
        skipped=dict(sources.skipped_counts),
        took_s=round(time.perf_counter() - began_s, 3),
    )


async def _relation(settings: Settings, sources: Sources, plan: ExportPlan) -> Relation:
    if plan.name == TRAINING:
        registry, reader = await sources.kafka()
        return await training_relation(settings, registry, reader, span=plan.span, user_id=plan.user_id)
    topic = topic_named(plan.name)
    if topic is not None:
        return await sources.topic(topic, span=plan.span, user_id=plan.user_id)
    return await sources.archive(plan.name, span=plan.span, user_id=plan.user_id)


async def _anonymous(settings: Settings, sources: Sources, plan: ExportPlan, relation: Relation) -> Relation:
    """Return a relation without names; one with segments is read once before, for their numbers of users."""
    column, users_by_segment = segment_column(relation), dict[str, int]()
    if column is not None:
        count_relation = await _relation(settings, sources, plan)
        users_by_segment = await user_counts(count_relation, column, groups_per_user=_SEGMENTS_PER_USER)
        sources.skipped_counts.clear()
    return anonymous_relation(
        relation,
        pseudonyms(settings, clock.now_ms()),
        users_by_segment=users_by_segment,
        k=settings.privacy_k,
    )


def _show(report: ExportReport) -> None:
    console = new_console()
    rate = report.rows / max(report.took_s, 1e-3)
    console.print(
        f"{report.rows:,} rows of {report.name} in {report.file} ({report.bytes:,} bytes), {report.took_s:.1f} s,"
        f" {rate:,.0f} rows/s",
        soft_wrap=True,
        markup=False,
    )
    if report.left_out:
        console.print(f"Columns left out: {', '.join(report.left_out)}.", soft_wrap=True)
    if report.skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.skipped.items())
        console.print(f"Left out: {reasons}.", soft_wrap=True)
