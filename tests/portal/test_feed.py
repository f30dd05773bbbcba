"""The feed on the page: its cards, their actions, and updates in place."""

import re

from tests.portal.browser import Browser
from tests.portal.served_page import ITEMS, NASTY, Pipeline, needs_browser, order, serving
from tests.waiting import until


@needs_browser
async def test_a_feed_is_shown_with_scores_and_reasons(page: Browser) -> None:
    assert await page.js(order()) == ITEMS
    first = "document.querySelector('.card')"
    assert await page.js(f"{first}.querySelector('.score-value').textContent") == "1.000"
    assert await page.js(f"{first}.querySelector('.reason').textContent") == "trendingTrending now"
    assert await page.js(f"{first}.querySelectorAll('.bar-part').length") == 2
    assert await page.until("document.getElementById('connection').dataset.state === 'live'")
    assert "Simulated here: Claude." in await page.until("document.getElementById('simulated').textContent")
    assert re.fullmatch(r"just now|\d+ s ago", await page.js("document.getElementById('age').textContent"))
    assert page.complaints == []


@needs_browser
async def test_a_click_changes_the_feed_in_place(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('[data-item=i3] .open').click()")
    await page.until("!document.querySelector('.feed [data-item=i3]')")
    await page.until(f"({order()})[0] === 'i30'")
    assert await page.js(order()) == ["i30", "i1", "i2", *ITEMS[3:29]]
    assert await page.js(order(".feed .card.up")) == ["i30"]
    assert await page.js("document.querySelector('[data-item=i30] .move').textContent") == "▲ 29"
    assert re.fullmatch(r"feed changed after \d+ ms", await page.js("document.querySelector('.took').textContent"))
    (event,) = pipeline.events
    assert (event.user_id, event.item_id, event.action) == ("ann", "i3", "click")
    assert event.event_id[14] == "7", "a UUIDv7"


@needs_browser
async def test_an_update_keeps_the_readers_place_and_focus(page: Browser, pipeline: Pipeline) -> None:
    card = "document.querySelector('[data-item=i12]')"
    await page.js(f"{card}.scrollIntoView({{behavior: 'instant'}}); scrollBy(0, -100)")
    await page.js(f"{card}.querySelector('.save').focus({{preventScroll: true}})")
    top = await page.js(f"{card}.getBoundingClientRect().top")
    await pipeline.rank("ann", ["i30", "i29", *ITEMS[:28]])
    await page.until("document.querySelector('.card').dataset.item === 'i30'")
    assert abs(await page.js(f"{card}.getBoundingClientRect().top") - top) <= 2
    assert await page.js("document.activeElement.closest('.card').dataset.item") == "i12"


@needs_browser
async def test_keys_step_through_the_feed_and_act(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('.open').focus()")
    await page.key("j")
    assert await page.js("document.activeElement.closest('.card').dataset.item") == "i2"
    await page.key("l")
    await page.until("!document.querySelector('[data-item=i2]')")
    assert [(event.item_id, event.action) for event in pipeline.events] == [("i2", "like")]
    assert await page.js("document.activeElement.closest('.card').dataset.item") == "i3", "the focus goes to the next"


@needs_browser
async def test_hidden_items_disappear_at_once_and_shares_are_published(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('[data-item=i4] .hide').click()")
    await page.until("!document.querySelector('.feed [data-item=i4]')")
    await page.js("document.querySelector('[data-item=i5] .share').click()")
    await page.until("!document.querySelector('.feed [data-item=i5]')")
    await page.js("document.querySelector('[data-item=i6] .save').click()")
    await page.until("!document.querySelector('.feed [data-item=i6]')")
    assert [(event.item_id, event.action) for event in pipeline.events] == [
        *(("i4", "hide"), ("i5", "share"), ("i6", "save"))
    ]


@needs_browser
async def test_a_category_has_an_address_and_a_mood_narrows_the_feed(pipeline: Pipeline, chromium: Browser) -> None:
    shown_order = order(".feed .card:not([hidden])")
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/c/movies#user=ann")
        await chromium.until(f"({shown_order}).length === 1")
        assert await chromium.js(shown_order) == ["i7"]
        assert await chromium.until("document.querySelector('[data-item=i7] .art img.loaded')?.alt === ''")
        await pipeline.rank("ann", ITEMS[::-1])
        await chromium.until(f"({order()})[0] === 'i30'")
        assert await chromium.js(shown_order) == ["i7"], "an update leaves the view as it is"
        await chromium.js("document.querySelector('.filter').click()")
        await chromium.until(f"({shown_order}).length === 30")
        assert await chromium.js("location.pathname") == "/"
        await chromium.until("document.getElementById('mood').options.length > 5")
        await chromium.js(
            "(mood => { mood.value = 'happy'; mood.dispatchEvent(new Event('change')) })"
            "(document.getElementById('mood'))"
        )
        assert await chromium.js(shown_order) == ["i7"], "a comedy"
        await chromium.js("history.back()")
        await chromium.until("document.querySelector('.filter[aria-current]').textContent === 'movies'")
        assert chromium.complaints == []


@needs_browser
async def test_an_item_has_an_address_that_opens_it_beside_the_feed(pipeline: Pipeline, chromium: Browser) -> None:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/item/i7#user=ann")
        await chromium.until("document.querySelector('.sheet[open] .title')?.textContent === 'Title of i7'")
        assert await chromium.js("document.querySelectorAll('.sheet .part').length") == 2, "why it is there"
        await chromium.js("document.querySelector('.sheet .like').click()")
        await chromium.until("!document.querySelector('.feed [data-item=i7]')")
        assert [(event.item_id, event.action) for event in pipeline.events] == [("i7", "like")]
        await chromium.js("document.querySelector('.sheet-close').click()")
        await chromium.until("location.pathname === '/'")
        assert await chromium.js("!document.querySelector('.sheet').open && location.hash === '#user=ann'")


@needs_browser
async def test_an_item_that_is_in_no_feed_is_shown_as_the_catalogue_has_it(
    pipeline: Pipeline, chromium: Browser
) -> None:
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/item/elsewhere#user=ann")
        await chromium.until("document.querySelector('.sheet[open] .title')?.textContent === 'Title of elsewhere'")
        await chromium.open(f"{url}/item/nowhere#user=ann")
        await chromium.until("document.querySelector('.sheet[open] .state')?.textContent === 'There is no such item.'")


@needs_browser
async def test_what_looks_like_a_line_end_inside_a_title_ends_no_line(page: Browser, pipeline: Pipeline) -> None:
    await pipeline.rank("ann", ["broken", *ITEMS])
    await page.until("document.querySelector('.feed .card .open')?.textContent.includes('A\\u2028B\\u0085C')")


@needs_browser
async def test_text_of_items_stays_text(page: Browser) -> None:
    assert await page.js("document.querySelector('[data-item=i2] .open').textContent") == NASTY
    assert await page.js("document.querySelectorAll('[data-item=i2] img').length") == 0


@needs_browser
async def test_a_visitor_sees_everyones_feed_until_they_act(page: Browser) -> None:
    await page.js("document.getElementById('visitor').click()")
    await page.until("!document.getElementById('fallback').hidden")
    await page.js("document.querySelector('.like').click()")
    await page.until("document.getElementById('fallback').hidden")


@needs_browser
async def test_another_user_can_be_chosen(page: Browser) -> None:
    assert await page.js("[...document.getElementById('user').options].map(o => o.textContent)") == [
        "ann — jazz",
        "bob",
    ]
    await page.js(
        "(user => { user.value = 'bob'; user.dispatchEvent(new Event('change')) })(document.getElementById('user'))"
    )
    await page.until("document.getElementById('heading').textContent === 'Feed of bob'")
    assert await page.js("location.hash") == "#user=bob"


@needs_browser
async def test_only_cards_that_were_visible_for_a_while_are_reported(page: Browser, pipeline: Pipeline) -> None:
    def shown_places() -> dict[str, int]:
        return {item.item_id: item.position for one in pipeline.impressions for item in one.items}

    await until(shown_places, timeout_s=20.0, what="the first impression")
    places = shown_places()
    assert places["i1"] == 0
    assert "i30" not in places
    assert {(one.user_id, one.surface, one.is_reported) for one in pipeline.impressions} == {("ann", "portal", True)}
    await page.js("document.querySelector('[data-item=i30]').scrollIntoView({behavior: 'instant'})")
    await until(lambda: "i30" in shown_places(), timeout_s=20.0, what="the impression of the last card")
    assert shown_places()["i30"] == 29
    shown_items = [item.item_id for one in pipeline.impressions for item in one.items]
    assert len(shown_items) == len(set(shown_items)), "each item of a feed is reported once"
