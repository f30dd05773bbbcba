"""`millrace collect`: collecting the lists of the external API into Kafka."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
import typer
import uuid_utils
from rich.console import Console
from rich.table import Table

from cli.bar import bars
from cli.kafka import open_kafka
from cli.run import run
from infra import clock
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.redis.connection import connect
from infra.redis.stores.collection_store import Collection, RedisCollectionStore
from infra.settings import Settings, read_settings
from infra.socialverse import LISTS, Socialverse
from streams.roles.collect.collector import Collector


def collect(
    names: Annotated[
        list[str] | None, typer.Argument(help=f"Lists to collect: {', '.join(LISTS)}. Default: all.")
    ] = None,
    page: Annotated[
        int | None, typer.Option(min=1, help="First page. Default: the page at which the last run stopped.")
    ] = None,
    page_size: Annotated[int, typer.Option(min=1, max=1_000, help="Records per page.")] = 1_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print each collection as a line of JSON.")] = False,
) -> None:
    """Collect posts, users and interactions from the external API, and publish them.

    An interrupted collection resumes at the page where it stopped; published records are not published again.

    Examples:

    millrace collect

    millrace collect viewed-posts --page 12
    """
    unknown = [name for name in names or () if name not in LISTS]
    if unknown:
        raise OperatorError(f"There is no list {', '.join(unknown)}.", f"The lists are {', '.join(LISTS)}.")
    settings = resolve_addresses(read_settings())
    if not settings.flic_token:
        raise OperatorError("The external API requires a token.", "Set FLIC_TOKEN.")
    with bars(transient=True) as bar:
        task = bar.add_task("waiting for the first page", total=None)

        def show(state: Collection) -> None:
            bar.update(task, description=f"{state.name}: {state.page - 1} pages, {state.published:,} published")

        collections = run(_collect(settings, names or list(LISTS), page, page_size, show))
    _print_report(collections, as_json=as_json)
    if any(state.state != "done" for state in collections):
        raise typer.Exit(1)


async def _collect(
    settings: Settings, names: list[str], page: int | None, page_size: int, show: Callable[[Collection], None]
) -> list[Collection]:
    async with open_kafka(settings) as (_, publisher):
        redis = connect(settings.redis_url)
        pages, store = Socialverse(settings), RedisCollectionStore(redis)
        collector = Collector(
            pages, publisher, store, now_ms=clock.now_ms, rating_scale=settings.rating_scale, on_page=show
        )
        try:
            collections = await store.read()
            return [
                await collector.collect(
                    name,
                    request_id=str(uuid_utils.uuid7()),
                    page=page or _first_page(collections[name]),
                    page_size=page_size,
                )
                for name in names
            ]
        finally:
            await pages.close()
            await redis.aclose()


def _first_page(collection: Collection) -> int:
    """Return the first page: that of an unfinished collection, else 1."""
    return collection.page if collection.state in ("running", "failed") else 1


def _print_report(collections: list[Collection], *, as_json: bool) -> None:
    if as_json:
        for state in collections:
            print(msgspec.json.encode(state).decode())
        return
    table = Table("list", "state", "records", "published", "repeated", "rejected", "")
    for state in collections:
        counts = (f"{count:,}" for count in (state.records, state.published, state.repeated, state.bad))
        table.add_row(state.name, state.state, *counts, state.error)
    Console().print(table)
