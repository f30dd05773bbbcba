"""`millrace import`: catalogues from files into the stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cli.bar import bars
from cli.import_report import Report, set_aside, show
from cli.run import run
from infra import clock, settings
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.kafka.cluster import cluster_id
from infra.kafka.item_log import newest_items
from infra.kafka.publisher import Publisher, PublishError
from infra.kafka.registry import Registry
from infra.settings import Settings
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
    help="Publish what files hold.\n\nExample: millrace import products catalogue.csv",
)
_BATCH = 2_000
_MARKS = {"point": ".", ".": ".", "comma": ",", ",": ","}
_SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "bar": "|"}
_REJECTED = ".rejected"


@imports.callback()
def group() -> None:
    """Publish what files hold."""


@imports.command("products")
def products_(  # noqa: PLR0913, PLR0917 - each is a flag
    file: Annotated[Path, typer.Argument(help="A table with the columns of a shop's catalogue.")],
    id_column: Annotated[
        str | None, typer.Option(help="The column of the ids, such as EAN or SKU: any text of 1 to 256 characters.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=NAME", help="A column that has another name in the file.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Where the products are from; by default the file's name.")] = None,
    sync: Annotated[
        bool, typer.Option("--sync", help="Remove products of this source that the file does not have.")
    ] = False,
    encoding: Annotated[str | None, typer.Option(help="The encoding; recognised by default.")] = None,
    separator: Annotated[
        str | None, typer.Option(help="The separator, or tab, comma, semicolon, bar; recognised by default.")
    ] = None,
    decimal_mark: Annotated[
        str | None, typer.Option(help="point or comma; by default decided by the numbers of each column.")
    ] = None,
    currency: Annotated[
        str, typer.Option(metavar="CODE", help="The currency of prices without a sign, or with one such as $ or kr.")
    ] = "",
    rating_scale: Annotated[
        float | None, typer.Option(min=0.01, help="The highest rating in the file; by default RATING_SCALE.")
    ] = None,
    max_rejected: Annotated[
        str, typer.Option(metavar="COUNT|PERCENT", help="More rejected rows than that end with exit code 1.")
    ] = "10%",
    rejected: Annotated[
        Path | None, typer.Option(help="Where rejected rows go; by default a file under MILLRACE_HOME.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Publish the products of a file to the catalogue; only what differs from the catalogue is published.

    The columns are id, name, main_category, sub_category, image, link, ratings, no_of_ratings, discount_price,
    actual_price, discount_ratio, brand, stock, created_at, in any order; name and main_category must be there.
    Encoding, separator, decimal marks and the order of dates are recognised. A number or date that stays ambiguous is
    rejected.

    Rejected rows are set aside with their line and the reason, in a file that can be corrected and imported. A product
    that is in the catalogue already keeps the time at which it entered. Products of an earlier import that are not in
    the file any more are counted, and removed with --sync. After an interruption the same command publishes the rest.

    Examples:

    millrace import products catalogue.csv

    millrace import products artikel.csv --id-column EAN --column name=Bezeichnung --column main_category=Warengruppe

    millrace import products catalogue.csv --sync --max-rejected 0 --json | jq .removed
    """
    began_s = time.monotonic()
    configured = settings.read()
    form = ProductFormat(
        columns=_columns(id_column, column or []),
        encoding=encoding,
        separator=separator and _SEPARATORS.get(separator, separator),
        decimal_mark=decimal_mark and _choice("--decimal-mark", decimal_mark, _MARKS),
        currency=_currency(currency),
        rating_scale=rating_scale or configured.rating_scale,
    )
    most = threshold(max_rejected)
    name = source_name(source, file)
    if sync and file.stem.endswith(_REJECTED):
        raise OperatorError(f"{file} holds rejected rows only.", "Import it without --sync, or the whole catalogue.")
    aside = rejected or configured.home.expanduser() / "imports" / f"{file.stem}{_REJECTED}.csv"
    content = _read(file, form, aside)
    is_over = len(content.rejected) > most(content.rows)
    withheld = _withheld(content, is_over=is_over) if sync else ""
    changes, removed = run(_import(resolve_addresses(configured), content, name, sync=sync and not withheld))
    if withheld and changes.absent:
        content.notes.append(f"nothing is removed: {withheld}")
    took_s = round(time.monotonic() - began_s, 2)
    report = Report.of(file, aside, content, changes, source=name, removed=removed, took_s=took_s)
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        show(report)
    if is_over or (withheld and changes.absent):
        raise typer.Exit(1)


def source_name(source: str | None, file: Path) -> str:
    """Return the name of the source: the one given, or that of the file up to its first point.

    Raises:
        OperatorError: the name that is given cannot be stored.
    """
    if source is None:
        return cleaned(file.name.partition(".")[0]) or "products"
    problem = id_problem(source)
    if problem is not None:
        raise OperatorError(f"--source {problem}.", "Give a name such as shop.")
    return source


def threshold(text: str) -> Callable[[int], float]:
    """Return how many rejected rows of so many are not too many: a count, or a percentage.

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
    """Return the names in the file by column.

    Raises:
        OperatorError: a pair is not of the form, or names no column.
    """
    columns = {} if id_column is None else {"id": id_column.strip()}
    for pair in pairs:
        name, equals, own = (part.strip() for part in pair.partition("="))
        if not equals or not own or name not in COLUMNS:
            raise OperatorError(f"--column {pair} names no column.", f"The columns are {', '.join(COLUMNS)}: id=EAN.")
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
    """Return the content of a file, with its rejected rows set aside.

    Raises:
        OperatorError: it cannot be read, or holds no product.
    """
    try:
        content = products.read(file, now_ms=clock.now_ms(), form=form)
    except DatasetError as error:
        raise OperatorError(str(error), "See the options with `millrace import products --help`.") from error
    if content.rejected:
        set_aside(content, aside)
    if not content.items:
        remedy = f"{aside} says of each row why." if content.rejected else "It has no rows after the names of columns."
        raise OperatorError(f"{file} holds no product that can be used.", remedy)
    return content


def _withheld(content: Products, *, is_over: bool) -> str:
    """Return why no product may be removed; nothing when they may."""
    if is_over:
        return "too many rows are rejected"
    hidden = sum(row.item_id is None for row in content.rejected)
    return f"{hidden:,} rejected rows have no id that can be read" if hidden else ""


async def _import(configured: Settings, content: Products, source: str, *, sync: bool) -> tuple[Change, int]:
    """Publish what differs from the catalogue, and return that and how many items were removed.

    Raises:
        OperatorError: Kafka does not answer, or does not take everything.
    """
    await asyncio.to_thread(cluster_id, configured.kafka_bootstrap_servers)
    ids = {item.item_id for item in content.items}

    def is_of_interest(item: Item) -> bool:
        return item.item_id in ids or item.attributes.get(SOURCE) == source

    async with _clients(configured) as (registry, publisher):
        catalog = await newest_items(configured.kafka_bootstrap_servers, registry, is_of_interest)
        changes = change(content, catalog, source=source)
        removals = changes.absent if sync else ()
        count = 0
        try:
            with bars(transient=True) as bar:
                task = bar.add_task("items", total=len(changes.changed) + len(removals))
                for start in range(0, len(changes.changed), _BATCH):
                    batch = changes.changed[start : start + _BATCH]
                    await publisher.publish(ITEMS, batch)
                    count += len(batch)
                    bar.update(task, completed=count)
                for item_id in removals:
                    publisher.produce_bytes(ITEMS, item_id.encode(), None)
                await publisher.flush()
        except PublishError as error:
            raise OperatorError(
                f"{count} of {len(changes.changed)} items are published: {error}",
                "The same command publishes the rest.",
            ) from error
    return changes, len(removals)


@asynccontextmanager
async def _clients(configured: Settings) -> AsyncIterator[tuple[Registry, Publisher]]:
    registry = Registry(configured.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    publisher = Publisher(configured.kafka_bootstrap_servers, registry)
    try:
        yield registry, publisher
    finally:
        await publisher.close()
        registry.close()
