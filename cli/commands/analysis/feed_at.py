"""`millrace feed-at`: a user's feed as it was served at a time."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.table import Table

from cli.console import new_console
from cli.run import run
from cli.time import TIME_HELP, parse_time
from domain.timestamp import iso_time
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.postgres.feed_history import PastFeed, PostgresFeedHistory, past_feed
from infra.postgres.pool import LazyPool
from infra.redis.connection import StoreError
from infra.settings import Settings, read_settings


def feed_at(
    user_id: Annotated[str, typer.Argument(help="The user.", show_default=False)],
    at: Annotated[str, typer.Argument(help=f"The time: {TIME_HELP}", metavar="TIME", show_default=False)],
    limit: Annotated[int, typer.Option("-n", min=1, help="Show at most this many items.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Show a user's feed as it was served at a time, with scores, reasons and versions.

    The feed is read from the archive, which keeps every feed for FEED_HISTORY_DAYS. Its items are in the order that was
    shown to a reader at that time, after as long an absence. Items that the API hid meanwhile, such as sold-out ones,
    are still in it.

    Ends with exit code 1 if the user had no feed of their own by then: such users are shown the default feed, which has
    no history.

    Examples:

    millrace feed-at alex 2026-11-24T14:00+01:00

    millrace feed-at alex 2h --json | jq '.items[:3]'
    """
    at_ms = parse_time(at)
    feed = run(_read(resolve_addresses(read_settings()), user_id, at_ms))
    if feed is None:
        raise OperatorError(
            f"The archive has no feed of {user_id} from before {iso_time(at_ms)}.",
            "Users without a feed of their own are shown the default feed, which has no history.",
        )
    if as_json:
        print(msgspec.json.encode(feed).decode())
    else:
        _show(feed, limit)


async def _read(settings: Settings, user_id: str, at_ms: int) -> PastFeed | None:
    database = LazyPool(settings.database_url, connections=1)
    try:
        feed = await PostgresFeedHistory(database).read(user_id, at_ms)
    except StoreError as error:
        raise OperatorError(
            f"The history cannot be read: {error}",
            "Start PostgreSQL, then try again; `millrace provision` makes its tables.",
        ) from error
    finally:
        await database.close()
    return None if feed is None else past_feed(feed, at_ms)


def _show(feed: PastFeed, limit: int) -> None:
    console = new_console()
    console.print(
        f"Feed of {feed.user_id} as of {iso_time(feed.at)}: version {feed.version}, ranked by {feed.model}"
        f" at {iso_time(feed.generated_at)}, reflecting events until {iso_time(feed.watermark)}",
        markup=False,
        soft_wrap=True,
    )
    table = Table("", "item", "score", "because", "reason", "by feature group")
    for item in feed.items[:limit]:
        parts = ", ".join(f"{name} {value:+.3f}" for name, value in item.parts.items())
        table.add_row(str(item.position), item.item_id, f"{item.score:.4f}", item.source, item.reason, parts)
    console.print(table)
