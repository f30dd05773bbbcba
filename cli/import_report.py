"""The report of an import, and the file of rejected rows."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from loaders.change import Change
from loaders.datasets.products import Products
from loaders.tables.cell import printable
from loaders.tables.encoding import UNDECODED

_SHOWN = 5
"""Number of rows and items to list; the file of rejected rows has them all."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an import; `rows` is the sum of `items`, `repeated` and `rejected`."""

    file: str
    source: str
    rows: int
    items: int
    repeated: int  # wire
    rejected: int  # wire
    added: int  # wire
    updated: int  # wire
    unchanged: int  # wire
    absent: int
    """Number of catalog items of the source that the file does not contain."""
    removed: int  # wire
    notes: list[str]
    rejected_file: str | None
    problems: list[str]
    absent_items: list[str]
    took_s: float

    @classmethod
    def of(
        cls,
        file: Path,
        aside: Path,
        content: Products,
        changes: Change,
        *,
        source: str,
        removed_count: int,
        took_s: float,
    ) -> Report:
        """Return the report of a published import.

        Args:
            file: The imported file.
            aside: The file of rejected rows.
            content: The parsed content of the file.
            changes: The differences from the catalog.
            source: The name of the source.
            removed_count: Number of removed items.
            took_s: The duration, in seconds.
        """
        return cls(
            file=printable(str(file)),
            source=source,
            rows=content.rows,
            items=len(content.items),
            repeated=content.repeat_count,
            rejected=len(content.rejected_rows),
            added=changes.added_count,
            updated=changes.updated,
            unchanged=changes.unchanged_count,
            absent=len(changes.absent),
            removed=removed_count,
            notes=content.notes,
            rejected_file=printable(str(aside)) if content.rejected_rows else None,
            problems=[str(row.where) for row in content.rejected_rows[:_SHOWN]],
            absent_items=list(changes.absent[:_SHOWN]),
            took_s=took_s,
        )


def write_rejected_rows(content: Products, path: Path) -> None:
    """Write the rejected rows to a CSV file, with line number and reason, in their original columns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [name for name in content.columns if name not in ("line", "reason")]
    indexes = [content.columns.index(name) for name in names]
    with path.open("w", encoding="utf-8", errors=UNDECODED, newline="") as text:
        rows = csv.writer(text)
        rows.writerow(["line", "reason", *names])
        for row in content.rejected_rows:
            is_complete = len(row.fields) == len(content.columns)
            fields = [row.fields[index] for index in indexes] if is_complete else row.fields
            rows.writerow([row.where.line, row.where.problem, *fields])


def show(report: Report) -> None:
    """Print a report as text."""
    console = Console(highlight=False, soft_wrap=True)

    def say(text: str) -> None:
        console.print(text, markup=False)

    say(
        f"{report.rows:,} rows: {report.items:,} products, {report.repeated:,} repeated rows, {report.rejected:,} "
        f"rejected. {report.took_s:.1f} s."
    )
    say(f"{report.added:,} products are new, {report.updated:,} changed, {report.unchanged:,} unchanged.")
    for note in report.notes:
        say(f"  {note}")
    if report.absent:
        fate = "were removed" if report.removed else "stay in the catalog; --sync removes them"
        say(f"{report.absent:,} products of {report.source} are not in the file and {fate}:")
        _list(say, report.absent_items, report.absent)
    if report.rejected:
        say(f"{report.rejected:,} rows were rejected and written to {report.rejected_file}:")
        _list(say, report.problems, report.rejected)


def _list(say: Callable[[str], None], lines: Sequence[str], count: int) -> None:
    for line in lines:
        say(f"  {line}")
    if count > len(lines):
        say(f"  … and {count - len(lines):,} more")
