"""`millrace import`: importing catalogs from files."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cli.bar import bars
from cli.import_report import Report, show, write_rejected_rows
from cli.kafka import open_kafka
from cli.run import run
from infra import clock
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.kafka.admin.cluster import cluster_id
from infra.kafka.publisher import PublishError
from infra.kafka.readers.item_log import newest_items
from infra.settings import Settings, read_settings
from loaders import DatasetError
from loaders.change import SOURCE, Change, change
from loaders.datasets import products
from loaders.datasets.product_column import COLUMNS, ProductFormat
from loaders.datasets.products import Products
from loaders.tables.currency import is_code
from schemas.limit import id_problem
from schemas.text import cleaned
from schemas.types import Item
from topics.topic import ITEMS

imports = typer.Typer(
    no_args_is_help=True,
    help="Import catalogs from files.\n\nExample: millrace import products catalogue.csv",
)
_BATCH = 2_000
_MARKS = {"point": ".", ".": ".", "comma": ",", ",": ","}
_SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|"}
_REJECTED = ".rejected"


@imports.callback()
def group() -> None:
    """Import catalogs from files."""


@imports.command("products")
def products_(  # noqa: PLR0913, PLR0917 - each is a flag
    file: Annotated[Path, typer.Argument(help="A table of products, as CSV, TSV or the like.")],
    id_column: Annotated[
        str | None,
        typer.Option(help="The column of the product ids, such as EAN or SKU. Ids have 1 to 256 characters."),
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=NAME", help="The name of a column in the file, if it differs.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="The source of the products. Default: the file's name.")] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Remove products of this source that are not in the file.")
    ] = False,
    encoding: Annotated[str | None, typer.Option(help="The encoding. Default: detected.")] = None,
    separator: Annotated[
        str | None, typer.Option(help="The separator, or its name: tab, comma, semicolon, bar. Default: detected.")
    ] = None,
    decimal_mark: Annotated[
        str | None, typer.Option(help="point or comma. Default: detected from the numbers of each column.")
    ] = None,
    currency: Annotated[
        str,
        typer.Option(
            metavar="CODE",
            help="The currency of prices without a currency sign, or with an ambiguous one such as $ or kr.",
        ),
    ] = "",
    rating_scale: Annotated[
        float | None, typer.Option(min=0.01, help="The highest rating in the file. Default: RATING_SCALE.")
    ] = None,
    max_rejected: Annotated[
        str,
        typer.Option(
            metavar="COUNT|PERCENT", help="Maximum number or percentage of rejected rows; more end with exit code 1."
        ),
    ] = "10%",
    rejected: Annotated[  # wire
        Path | None, typer.Option(help="The file for rejected rows. Default: a file under MILLRACE_HOME.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Import the products of a file into the catalog; only differences from the catalog are published.

    The columns are id, name, main_category, sub_category, image, link, ratings, no_of_ratings, discount_price,
    actual_price, discount_ratio, brand, stock, created_at, in any order; name and main_category are required.
    Encoding, separator, decimal marks and the order of dates are detected. Rows with an ambiguous number or date are
    rejected.

    Rejected rows are written, with line number and reason, to a file that can be corrected and imported. A product
    that is in the catalog already keeps the time at which it entered. Products of an earlier import that are no longer
    in the file are counted, and removed with --sync. After an interruption the same command publishes the rest.

    Examples:

    millrace import products catalogue.csv

    millrace import products artikel.csv --id-column EAN --column name=Bezeichnung --column main_category=Warengruppe

    millrace import products catalogue.csv --sync --max-rejected 0 --json | jq .removed
    """
    began_s = time.monotonic()
    settings = read_settings()
    form = ProductFormat(
        columns=_columns(id_column, column or []),
        encoding=encoding,
        separator=separator and _SEPARATORS.get(separator, separator),
        decimal_mark=decimal_mark and _choice("--decimal-mark", decimal_mark, _MARKS),
        currency=_currency(currency),
        rating_scale=rating_scale or settings.rating_scale,
    )
    rejected_limit = threshold(max_rejected)
    name = source_name(source, file)
    if sync and file.stem.endswith(_REJECTED):
        raise OperatorError(
            f"{file} holds rejected rows only.", "Import it without --sync, or import the complete catalog."
        )
    aside = rejected or settings.millrace_home.expanduser() / "imports" / f"{file.stem}{_REJECTED}.csv"
    content = _read(file, form, aside)
    is_over = len(content.rejected_rows) > rejected_limit(content.rows)
    removal_problem = _removal_problem(content, is_over=is_over) if sync else ""
    changes, removed_count = run(_import(resolve_addresses(settings), content, name, sync=sync and not removal_problem))
    if removal_problem and changes.absent:
        content.notes.append(f"nothing is removed: {removal_problem}")
    took_s = round(time.monotonic() - began_s, 2)
    report = Report.of(file, aside, content, changes, source=name, removed_count=removed_count, took_s=took_s)
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        show(report)
    if is_over or (removal_problem and changes.absent):
        raise typer.Exit(1)


def source_name(source: str | None, file: Path) -> str:
    """Return the name of the source: the given one, or the file's name up to its first dot.

    Raises:
        OperatorError: the given name is not a valid id.
    """
    if source is None:
        return cleaned(file.name.partition(".")[0]) or "products"
    problem = id_problem(source)
    if problem is not None:
        raise OperatorError(f"--source {problem}.", "Give a name such as shop.")
    return source


def threshold(text: str) -> Callable[[int], float]:
    """Parse a limit of rejected rows, a count or a percentage; return a function from the number of rows to the limit.

    Raises:
        OperatorError: the text is neither.
    """
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number)
        if not (0 <= value < float("inf")):
            raise ValueError(text)
    except ValueError:
        raise OperatorError(
            f"--max-rejected {text} is not a number.", "Give a count or a percentage: 20, 5%."
        ) from None
    return lambda rows: rows * value / 100 if percent else value


def _columns(id_column: str | None, pairs: Sequence[str]) -> dict[str, str]:
    """Return the names of the columns in the file, by column.

    Raises:
        OperatorError: a pair is not of the form COLUMN=NAME, or COLUMN is unknown.
    """
    columns = {} if id_column is None else {"id": id_column.strip()}
    for pair in pairs:
        name, equals, own = (part.strip() for part in pair.partition("="))
        if not equals or not own or name not in COLUMNS:
            raise OperatorError(
                f"--column {pair} names no column.",
                f"Use COLUMN=NAME, such as id=EAN. The columns are {', '.join(COLUMNS)}.",
            )
        columns[name] = own
    return columns


def _currency(code: str) -> str:
    if code and not is_code(code.upper()):
        raise OperatorError(f"--currency {code} is not the code of a currency.", "Give a code such as EUR or INR.")
    return code.upper()


def _choice(option: str, text: str, choices: dict[str, str]) -> str:
    if text not in choices:
        raise OperatorError(f"{option} {text} is not known.", f"There are {', '.join(choices)}.")
    return choices[text]


def _read(file: Path, form: ProductFormat, aside: Path) -> Products:
    """Return the content of a file; write its rejected rows to the file `aside`.

    Raises:
        OperatorError: the file cannot be read, or contains no valid product.
    """
    try:
        content = products.read(file, now_ms=clock.now_ms(), form=form)
    except DatasetError as error:
        raise OperatorError(str(error), "See the options with `millrace import products --help`.") from error
    if content.rejected_rows:
        write_rejected_rows(content, aside)
    if not content.items:
        remedy = (
            f"{aside} has the reason for each row." if content.rejected_rows else "It has no rows after the header."
        )
        raise OperatorError(f"{file} contains no valid product.", remedy)
    return content


def _removal_problem(content: Products, *, is_over: bool) -> str:
    """Return the reason for not removing products; an empty string if they may be removed."""
    if is_over:
        return "too many rows are rejected"
    idless_count = sum(row.item_id is None for row in content.rejected_rows)
    return f"{idless_count:,} rejected rows have no id that can be read" if idless_count else ""


async def _import(settings: Settings, content: Products, source: str, *, sync: bool) -> tuple[Change, int]:
    """Publish the differences from the catalog; return them and the number of removed items.

    Raises:
        OperatorError: Kafka does not answer, or does not accept all records.
    """
    await asyncio.to_thread(cluster_id, settings.kafka_bootstrap_servers)
    ids = {item.item_id for item in content.items}

    def is_of_interest(item: Item) -> bool:
        return item.item_id in ids or item.attributes.get(SOURCE) == source

    async with open_kafka(settings) as (registry, publisher):
        catalog = await newest_items(settings.kafka_bootstrap_servers, registry, is_of_interest)
        changes = change(content, catalog, source=source)
        removals = changes.absent if sync else ()
        count = 0
        try:
            with bars(transient=True) as bar:
                task = bar.add_task("items", total=len(changes.changed_items) + len(removals))
                for start in range(0, len(changes.changed_items), _BATCH):
                    batch = changes.changed_items[start : start + _BATCH]
                    await publisher.publish(ITEMS, batch)
                    count += len(batch)
                    bar.update(task, completed=count)
                for item_id in removals:
                    publisher.produce_bytes(ITEMS, item_id.encode(), None)
                await publisher.flush()
        except PublishError as error:
            raise OperatorError(
                f"{count} of {len(changes.changed_items)} items were published: {error}",
                "The same command publishes the rest.",
            ) from error
    return changes, len(removals)
