"""`millrace evaluate-search`: offline evaluation of the shop search."""

from __future__ import annotations

from statistics import mean
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from cli.run import run
from evaluation.search import TOP, JudgedSearch, expectations, judge
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.postgres.pool import LazyPool
from infra.postgres.shop_search import PostgresShopSearch, ShopQuery
from infra.redis.connection import StoreError
from infra.settings import Settings, read_settings
from schemas.limit import PRODUCT

_PRODUCTS = "SELECT item_id, title, topics FROM items WHERE left(kind, 256) = $1"


def evaluate_search(
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per query.")] = False,
) -> None:
    """Run twenty queries on the imported products, and compare the matches with the relevant products.

    The queries are made for the products of `amazon-products`; import these first.

    Examples:

    millrace evaluate-search

    millrace evaluate-search --json | jq -s 'map(.ndcg) | add / length'
    """
    settings = resolve_addresses(read_settings())
    searches = run(_judged_searches(settings))
    if as_json:
        for one in searches:
            print(msgspec.json.encode(one).decode())
    else:
        _show(searches)


async def _judged_searches(settings: Settings) -> list[JudgedSearch]:
    connections = LazyPool(settings.database_url, connections=1)
    search = PostgresShopSearch(
        connections, radius_km=settings.nearby_radius_km, hides_out_of_stock=settings.hides_out_of_stock
    )
    try:
        async with connections.read_connection("reading the products") as connection:
            rows = await connection.fetch(_PRODUCTS, PRODUCT)
        searches = []
        for expected in expectations():
            relevant = {row["item_id"] for row in rows if expected.is_met(row["title"], row["topics"])}
            matches = await search.find(ShopQuery(query=expected.query, kind=PRODUCT, limit=TOP))
            searches.append(judge(expected, len(relevant), [item_id in relevant for item_id in matches.item_ids]))
        return searches
    except StoreError as error:
        raise OperatorError(f"PostgreSQL does not answer: {error}", "Start it with millrace up.") from error
    finally:
        await connections.close()


def _show(searches: list[JudgedSearch]) -> None:
    table = Table("query", Column("expected", overflow="fold"), "relevant", f"hit@{TOP}", f"P@{TOP}", f"NDCG@{TOP}")
    for one in searches:
        figures = f"{one.hit:.0f}", f"{one.precision:.1f}", f"{one.ndcg:.3f}"
        table.add_row(one.query, one.expects, str(one.relevant_count), *figures)
    means = (mean(getattr(one, name) for one in searches) for name in ("hit", "precision", "ndcg"))
    table.add_section()
    table.add_row("mean", "", "", *(f"{value:.3f}" for value in means))
    Console(highlight=False).print(table)
