"""`millrace import`: catalogues from files into the stream."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from cli.bar import bars
from cli.run import run
from infra import clock, settings
from infra.address import located
from infra.cluster import cluster_id
from infra.dataset import DatasetError, products
from infra.dataset.products import UNDECODED, Products
from infra.error import OperatorError
from infra.publisher import Publisher, PublishError, Publishes
from infra.registry import Registry
from infra.settings import Settings
from schemas.types import Item
from topics.topic import ITEMS

imports = typer.Typer(
    no_args_is_help=True,
    help="Publish what files hold.\n\nExample: millrace import products catalogue.csv",
)
_BATCH = 2_000
_SHOWN = 5


class Mark:
    """How far an import has come, in a file of its own: what was acknowledged is not published again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """Return how many items were acknowledged; none where nothing is told."""
        try:
            return int(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def write(self, published: int) -> None:
        """Remember how many were."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        beside.write_text(str(published))
        beside.replace(self._path)

    def end(self) -> None:
        """Forget: the next import of the file begins anew."""
        self._path.unlink(missing_ok=True)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an import."""

    file: str
    rows: int
    items: int
    repeated: int
    resumed_from: int
    rejected: int
    rejected_file: str | None
    problems: list[str]
    took_s: float


@imports.callback()
def group() -> None:
    """Publish what files hold."""


@imports.command("products")
def products_(
    file: Annotated[Path, typer.Argument(help="A CSV file with the columns of a shop's catalogue.")],
    rejected: Annotated[
        Path | None, typer.Option(help="Where rows that cannot be used go; by default a file under MILLRACE_HOME.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Publish the products of a CSV file to the catalogue; one that was interrupted goes on where it was.

    The columns are id, name, main_category, sub_category, image, link, ratings, no_of_ratings, discount_price,
    actual_price, discount_ratio, in any order; name and main_category must be there. Rows that cannot be used are set
    aside with their line and the reason, in a file that can be corrected and imported.

    Examples:

    millrace import products catalogue.csv

    millrace import products catalogue.csv --rejected bad.csv --json | jq .rejected
    """
    configured = located(settings.read())
    began_s = time.monotonic()
    try:
        found = products.read(file, now_ms=clock.now_ms())
    except DatasetError as error:
        raise OperatorError(str(error), "See the columns with `millrace import products --help`.") from error
    aside = rejected or configured.home.expanduser() / "imports" / f"{file.stem}.rejected.csv"
    if found.bad_lines:
        set_aside(found, aside)
    if not found.items:
        raise OperatorError(f"{file} holds no product that can be used.", f"{aside} says of each row why.")
    with bars(transient=True) as bar:
        task = bar.add_task(f"{file.name} → items", total=len(found.items))
        resumed_from = run(_publish(configured, file, found.items, lambda done: bar.update(task, completed=done)))
    report = Report(
        file=str(file),
        rows=found.rows,
        items=len(found.items),
        repeated=found.repeated,
        resumed_from=resumed_from,
        rejected=len(found.bad_lines),
        rejected_file=str(aside) if found.bad_lines else None,
        problems=list(map(str, found.bad_lines[:_SHOWN])),
        took_s=round(time.monotonic() - began_s, 2),
    )
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report)


def set_aside(found: Products, path: Path) -> None:
    """Write the rows that cannot be used, each with its line and the reason, under the columns they had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = [name for name in found.columns if name not in ("line", "reason")]
    kept = [found.columns.index(name) for name in told]
    with path.open("w", encoding="utf-8", errors=UNDECODED, newline="") as text:
        rows = csv.writer(text)
        rows.writerow(["line", "reason", *told])
        for bad, fields in zip(found.bad_lines, found.bad_rows, strict=True):
            whole = len(fields) == len(found.columns)
            rows.writerow([bad.line, bad.problem, *([fields[place] for place in kept] if whole else fields)])


async def publish(publisher: Publishes, items: list[Item], mark: Mark, on_progress: Callable[[int], object]) -> int:
    """Publish items from the mark on, and return where that was.

    Raises:
        PublishError: the broker did not take some; the mark stands before them.
    """
    began = min(mark.read(), len(items))
    for start in range(began, len(items), _BATCH):
        on_progress(start)
        await publisher.publish(ITEMS, items[start : start + _BATCH])
        mark.write(start + _BATCH)
    mark.end()
    on_progress(len(items))
    return began


async def _publish(configured: Settings, file: Path, items: list[Item], on_progress: Callable[[int], object]) -> int:
    cluster = await asyncio.to_thread(cluster_id, configured.kafka_bootstrap_servers)
    with file.open("rb") as data:
        digest = hashlib.file_digest(data, "blake2b").hexdigest()[:16]
    mark = Mark(configured.home.expanduser() / "imports" / f"{cluster}-{digest}.mark")
    registry = Registry(configured.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    publisher = Publisher(configured.kafka_bootstrap_servers, registry)
    try:
        return await publish(publisher, items, mark, on_progress)
    except PublishError as error:
        raise OperatorError(
            f"{mark.read()} of {len(items)} items are published: {error}", "The same command goes on from there."
        ) from error
    finally:
        await publisher.close()
        registry.close()


def _show(report: Report) -> None:
    console = Console(highlight=False, soft_wrap=True)
    told = (
        f"{report.items:,} products of {report.rows:,} rows are published, {report.repeated:,} rows told of one again."
    )
    console.print(f"{told} {report.took_s:.1f} s.", markup=False)
    if report.resumed_from:
        console.print(f"{report.resumed_from:,} of them were published before.", markup=False)
    if report.rejected:
        console.print(f"{report.rejected:,} rows cannot be used; they are in {report.rejected_file}:", markup=False)
        for problem in report.problems:
            console.print(f"  {problem}", markup=False)
        if report.rejected > len(report.problems):
            console.print(f"  … and {report.rejected - len(report.problems):,} more", markup=False)
