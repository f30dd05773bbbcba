"""Pages of lists that move: nothing twice, nothing missed, whoever else pages, and not without bounds."""

from collections.abc import Collection, Sequence
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.context import ApiContext, Clients
from api.endpoints.metrics import Metrics
from api.http.paging import Page, PagedList, PagedRanking, Rank, page_of
from infra.fakes.memory_publisher import MemoryPublisher
from infra.postgres.shop_search import MemoryShopSearch
from infra.redis.connection import StoreError
from infra.redis.stores.chart_store import MemoryChartStore
from infra.redis.stores.feed_store import MemoryFeedStore
from infra.redis.stores.item_store import ItemCache, MemoryItemStore
from infra.redis.stores.page_store import MAX_ENTRIES, MAX_SESSIONS, MemoryPageStore, PageEntry, PageSession
from infra.redis.stores.user_profile_store import MemoryUserProfileStore
from infra.settings import Settings
from schemas.types import FeedOrder
from tests.build import T0_MS, a_feed, an_item, features
from tests.unit.api.builder import World
from tests.unit.api.compat.test_video import a_post, ids
from tests.unit.api.security.test_auth import STRICT, a_token, bearer

MINE = PagedList("user:ann", "feed")


def a_context(**clients: Any) -> ApiContext:
    items = MemoryItemStore()
    api_clients = Clients(publisher=MemoryPublisher(), feeds=MemoryFeedStore(), items=items, **clients)
    return ApiContext(Settings(), api_clients, Metrics(), ItemCache(items))


def ranking(names: Sequence[str]) -> Rank:
    async def rank(page_ids: Collection[str], _at_ms: int) -> PagedRanking:
        rest = [PageEntry(name) for name in names if name not in page_ids]
        return PagedRanking(rest, len(page_ids) + len(rest))

    return rank


def names(page: Page) -> list[str]:
    return [entry.item_id for entry in page.entries]


async def read(context: ApiContext, now: Sequence[str], number: int, size: int = 3, **more: Any) -> Page:
    return await page_of(context, MINE, ranking(now), start=(number - 1) * size, end=number * size, **more)


LISTS = st.lists(st.permutations("abcdefghijkl").map("".join), min_size=1, max_size=9)


GONE = st.sets(st.sampled_from("abcdefghijkl"))


@given(lists=LISTS, size=st.integers(1, 5), absent_ids=GONE, new=st.text("mnop", max_size=4))
async def test_what_stays_in_a_list_is_shown_once_however_it_moves(
    lists: list[str], size: int, absent_ids: set[str], new: str
) -> None:
    """The list is another one at each page: moved, without some from the second on, with some that are new."""
    context, page_ids, number = a_context(), [], 0
    while True:
        number += 1
        now = lists[min(number, len(lists)) - 1]
        if number > 1:
            now = "".join(dict.fromkeys(new)) + "".join(name for name in now if name not in absent_ids)
        page = await read(context, now, number, size)
        page_ids += names(page)
        if page.total <= number * size:
            break
    assert len(page_ids) == len(set(page_ids))
    assert set("abcdefghijkl") - absent_ids <= set(page_ids)
    assert number == 1 or set(new) <= set(page_ids)


async def test_an_item_that_moves_up_between_pages_comes_next() -> None:
    context = a_context()
    assert names(await read(context, "abcdefgh", 1)) == ["a", "b", "c"]
    assert names(await read(context, "gabcdefh", 2)) == ["g", "d", "e"]
    assert names(await read(context, "hgabcdef", 3)) == ["h", "f"]


async def test_a_page_is_shown_again_as_it_was() -> None:
    context = a_context()
    first = await read(context, "abcdefgh", 1)
    second = await read(context, "gabcdefh", 2)
    assert names(await read(context, "hgfedcba", 2)) == names(second)
    assert names(await read(context, "hgfedcba", 1, cursor=first.cursor)) == names(first)
    assert names(await read(context, "hgfedcba", 3)) == ["h", "f"]


async def test_page_1_starts_anew() -> None:
    context = a_context()
    await read(context, "abcdefgh", 1)
    await read(context, "abcdefgh", 2)
    assert names(await read(context, "hgfedcba", 1)) == ["h", "g", "f"]
    assert names(await read(context, "hgfedcba", 2)) == ["e", "d", "c"]


async def test_pages_of_another_size_go_on_where_the_others_ended() -> None:
    context = a_context()
    first = await read(context, "abcdefgh", 1, 4)
    assert names(await read(context, "hgfedcba", 2, 3, cursor=first.cursor)) == ["d", "h", "g"]
    assert names(await read(context, "hgfedcba", 3, 3, cursor=first.cursor)) == ["f", "e"]


async def test_a_page_may_be_the_first_that_is_read() -> None:
    context = a_context()
    assert names(await read(context, "abcdefgh", 2)) == ["d", "e", "f"]
    assert names(await read(context, "fedcbahg", 3)) == ["h", "g"]
    assert names(await read(context, "abcdefgh", 9)) == []


async def test_two_devices_page_each_by_their_cursor() -> None:
    context = a_context()
    one = await read(context, "abcdefgh", 1)
    other = await read(context, "hgfedcba", 1)
    assert one.cursor != other.cursor
    assert names(await read(context, "hgfedcba", 2, cursor=one.cursor)) == ["h", "g", "f"]
    assert names(await read(context, "hgfedcba", 2, cursor=other.cursor)) == ["e", "d", "c"]
    assert names(await read(context, "hgfedcba", 3, cursor=one.cursor)) == ["e", "d"]


async def test_a_cursor_opens_nothing_of_another_user_or_list() -> None:
    context = a_context()
    first = await read(context, "abcdefgh", 1)
    for page_list in (PagedList("user:bob", "feed"), PagedList("user:ann", "other")):
        page = await page_of(context, page_list, ranking("hgfedcba"), start=3, end=6, cursor=first.cursor)
        assert names(page) == ["e", "d", "c"]
        assert page.cursor != first.cursor


async def test_what_is_kept_is_bounded() -> None:
    pages = MemoryPageStore()
    context = a_context(page_store=pages)
    for number in range(50):
        await page_of(context, PagedList("user:ann", f"list-{number}"), ranking("abcdef"), start=0, end=3)
    await page_of(context, MINE, ranking([f"i{n}" for n in range(MAX_ENTRIES + 9)]), start=0, end=MAX_ENTRIES + 1)
    entries = await pages.read("user:ann")
    assert len(entries) == MAX_SESSIONS
    assert max(len(session.entries) for session in entries) == 3
    assert (await page_of(context, MINE, ranking("abc"), start=0, end=3)).cursor is None  # there is no other page


class NoRoom(MemoryPageStore):
    """Cannot be written to."""

    async def write(self, owner: str, session: PageSession, *, instead_of: PageSession | None = None) -> None:
        raise StoreError("keeping pages", OSError())


async def test_a_page_is_shown_though_nothing_can_be_kept() -> None:
    page = await read(a_context(page_store=NoRoom()), "abcdefgh", 1)
    assert names(page) == ["a", "b", "c"]


POSTS = [a_post(number, category="Comedy" if number % 2 else "Music") for number in range(1, 9)]


async def a_world(order: Sequence[int]) -> World:
    charts = MemoryChartStore()
    await charts.write({f"post-{number}": float(9 - number) for number in order}, {})
    profiles = MemoryUserProfileStore()
    await profiles.write_inferred([features(user_id=name, event_count=9) for name in ("ann", "bob")])
    world = World(clients={"charts": charts, "page_store": MemoryPageStore(), "user_profiles": profiles})
    await world.items.write([*POSTS, *(an_item(f"i{number}", title="jazz") for number in range(9))])
    await ranked_anew(world, order, version=1)
    return world


async def ranked_anew(world: World, order: Sequence[int], *, version: int, user_id: str = "ann") -> None:
    count = len(order)
    columns: dict[str, Any] = {"sources": ["trending"] * count, "reasons": ["So"] * count, "parts": {}}
    items = [f"post-{number}" for number in order]
    scores = [1 - place / 10 for place in range(count)]
    await world.feeds.write([a_feed(user_id=user_id, items=items, scores=scores, features_version=version, **columns)])


async def asked(http: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("cursor", [False, True])
async def test_a_like_between_pages_of_a_feed_loses_and_repeats_no_post(cursor: bool) -> None:
    world = await a_world(range(1, 9))
    async with world.http(api_max_candidates=8) as http:
        params: dict[str, Any] = {"username": "ann", "page_size": 3}
        first = await asked(http, "/api/v1/feed", **params)
        params |= {"cursor": first["cursor"]} if cursor else {}
        await ranked_anew(world, [7, 1, 2, 3, 4, 8, 5, 6], version=2)
        second = await asked(http, "/api/v1/feed", **params, page=2)
        await ranked_anew(world, [6, 7, 5, 1, 2, 3, 4, 8], version=3)
        third = await asked(http, "/api/v1/feed", **params, page=3)
        again = await asked(http, "/api/v1/feed", **params, page=2)
    assert [ids(page) for page in (first, second, third)] == [[1, 2, 3], [7, 4, 8], [6, 5]]
    assert ids(again) == ids(second)
    assert [page["has_next"] for page in (first, second, third)] == [True, True, False]
    assert {page["cursor"] for page in (first, second, third)} == {first["cursor"]}


async def test_all_pages_of_a_reading_come_from_the_order_of_its_first_page() -> None:
    world = await a_world(range(1, 9))
    now_ms = T0_MS + 59_000
    world.clients["now_ms"] = lambda: now_ms
    count = 8
    later = FeedOrder(from_ms=60_000, indices=[7, 6, 5, 4, 3, 2, 1, 0])
    columns: dict[str, Any] = {"sources": ["trending"] * count, "reasons": ["So"] * count, "parts": {}}
    items, scores = [f"post-{number}" for number in range(1, 9)], [1 - place / 10 for place in range(count)]
    feed = a_feed(user_id="ann", items=items, scores=scores, features_version=2, orders=[later], **columns)
    await world.feeds.write([feed])
    async with world.http(api_max_candidates=8) as http:
        params: dict[str, Any] = {"username": "ann", "page_size": 3}
        first = await asked(http, "/api/v1/feed", **params)
        now_ms += 2_000
        second = await asked(http, "/api/v1/feed", **params, page=2)
        third = await asked(http, "/api/v1/feed", **params, page=3, cursor=first["cursor"])
        world.clients["page_store"]._sessions.clear()
        without_session = await asked(http, "/api/v1/feed", **params, page=2, cursor=first["cursor"])
        anew = await asked(http, "/api/v1/feed", **params)
        await world.feeds.write([msgspec.structs.replace(feed, features_version=3, watermark=now_ms)])
        after_an_event = await asked(http, "/api/v1/feed", **params, page=2, cursor=anew["cursor"])
    assert [ids(page) for page in (first, second, third)] == [[1, 2, 3], [4, 5, 6], [7, 8]]
    assert ids(without_session) == [4, 5, 6], "the cursor itself carries the order"
    assert ids(anew) == [8, 7, 6]
    assert ids(after_an_event) == [1, 2, 3], "whoever acts is shown the first order of the new feed"


@pytest.mark.parametrize("cursor", ["gone", "12", "gone.", "gone.x1", f"gone.{'9' * 20}", "gone.٣"])
async def test_a_cursor_without_a_time_has_the_page_cut_from_the_order_of_now(cursor: str) -> None:
    world = await a_world(range(1, 9))
    async with world.http(api_max_candidates=8) as http:
        page = await asked(http, "/api/v1/feed", username="ann", page_size=3, page=2, cursor=cursor)
    assert ids(page) == [4, 5, 6]


async def test_filters_and_users_have_pages_of_their_own() -> None:
    world = await a_world(range(1, 9))
    await ranked_anew(world, [8, 7, 6, 5, 4, 3, 2, 1], version=1, user_id="bob")
    async with world.http(api_max_candidates=8) as http:
        await asked(http, "/api/v1/feed", username="ann", page_size=2)
        comedy = await asked(http, "/api/v1/feed", username="ann", page_size=2, category="Comedy")
        bob = await asked(http, "/api/v1/feed", username="bob", page_size=2)
        seconds = [
            ids(await asked(http, "/api/v1/feed", page=2, page_size=2, **more))
            for more in ({"username": "ann"}, {"username": "ann", "category": "Comedy"}, {"username": "bob"})
        ]
    assert (ids(comedy), ids(bob)) == ([1, 3], [8, 7])
    assert seconds == [[3, 4], [5, 7], [6, 5]]


async def test_a_post_that_is_deleted_between_pages_costs_no_other_post() -> None:
    world = await a_world(range(1, 9))
    async with world.http(api_max_candidates=8) as http:
        first = await asked(http, "/api/v1/feed", username="ann", page_size=3)
        await world.items.delete(["post-2"])
        second = await asked(http, "/api/v1/feed", username="ann", page_size=3, page=2)
    assert (ids(first), ids(second)) == ([1, 2, 3], [4, 5, 6])


async def test_what_trends_is_paged_the_same_by_each_caller() -> None:
    world = await a_world(range(1, 9))
    params = {"page_size": 3}
    async with world.http(**STRICT) as http:
        ann, bob = bearer(a_token("ann")), bearer(a_token("bob"))
        first = (await http.get("/api/v1/trending", params=params, headers=ann)).json()
        await world.clients["charts"].write({"post-7": 99.0}, {})
        other = (await http.get("/api/v1/trending", params=params, headers=bob)).json()
        second = (await http.get("/api/v1/trending", params=params | {"page": 2}, headers=ann)).json()
        theirs = (await http.get("/api/v1/trending", params=params | {"page": 2}, headers=bob)).json()
    assert [ids(page) for page in (first, second)] == [[1, 2, 3], [7, 4, 5]]
    assert [ids(page) for page in (other, theirs)] == [[7, 1, 2], [3, 4, 5]]


async def test_a_search_that_moves_shows_each_item_once() -> None:
    world = await a_world(range(1, 9))
    items = [an_item(f"i{number}", title="jazz") for number in range(9)]
    search = MemoryShopSearch(items)
    world.clients["search"] = search
    page_ids: list[str] = []
    async with world.http() as http:
        page = await asked(http, "/search", q="jazz", limit=4)
        while True:
            page_ids += [item["item_id"] for item in page["results"]]
            if page.get("next_offset") is None:
                break
            items.insert(0, items.pop())  # the last comes first
            page = await asked(http, "/search", q="jazz", limit=4, offset=page["next_offset"], cursor=page["cursor"])
    assert sorted(page_ids) == [f"i{number}" for number in range(9)]


@pytest.mark.parametrize("cursor", ["", "x" * 65])
async def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    async with World().http() as http:
        answer = await http.get("/api/v1/trending", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "cursor")


async def test_a_cursor_that_is_not_known_any_more_has_the_page_cut_from_the_list_as_it_is() -> None:
    world = await a_world(range(1, 9))
    async with world.http(api_max_candidates=8) as http:
        page = await asked(http, "/api/v1/feed", username="ann", page_size=3, page=2, cursor="gone")
    assert ids(page) == [4, 5, 6]
    assert page["cursor"] not in (None, "gone")
