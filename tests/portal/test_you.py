"""The view of oneself: forms of the profile and of notifications, and the token."""

import time

import jwt
import pytest
from msgspec.structs import replace

from infra import clock
from infra.settings import Settings
from schemas.types import Devices, PushPreferences
from tests.build import a_notification, a_profile
from tests.portal.browser import Browser
from tests.portal.served_page import Pipeline, needs_browser, serving


@needs_browser
async def test_a_person_says_who_they_are_and_when_not_to_be_disturbed(page: Browser, pipeline: Pipeline) -> None:
    await page.js("document.querySelector('[data-view=you]').click()")
    await page.until("document.getElementById('inferred-note').textContent === 'No events yet'")
    await page.until("document.querySelectorAll('#view-you .all:enabled').length === 2")
    await page.js(
        "(form => { form.elements.topics.value = 'jazz, coffee'; form.requestSubmit() })"
        "(document.getElementById('profile'))"
    )
    await page.until("document.querySelector('.toast.shown')?.textContent === 'Saved. The feed is ranked again.'")
    await page.js(
        "(form => { form.elements.quiet.click(); form.elements.zone.value = 'Europe/Lisbon'; form.requestSubmit() })"
        "(document.getElementById('push'))"
    )
    await page.until("document.querySelector('.toast.shown')?.textContent === 'Saved.'")
    profile, request = pipeline.events
    assert (profile.user_id, profile.fields, profile.topics) == ("ann", ["topics"], ["jazz", "coffee"])
    assert (request.user_id, request.fields, request.preferences.quiet_hours.timezone) == (
        *("ann", ["quiet_hours"]),
        "Europe/Lisbon",
    )


READS = {"profile": "/api/v1/user-profile/ann/preferences", "push": "/push/preferences/ann"}
STATED = {"topics": ["electronic"], "timezone": "Asia/Tokyo", "locale": "ja-JP", "city": "Tokyo", "segment": "x"}
SAVED = "document.querySelector('.toast.shown')?.textContent.startsWith('Saved')"


def submit(form: str, **values: str) -> str:
    """Return what fills in a form and sends it."""
    return (
        f"((form, values) => {{ for (const name in values) form.elements[name].value = values[name];"
        f" form.requestSubmit(); }})(document.getElementById('{form}'), {values})"
    )


@needs_browser
@pytest.mark.parametrize("form", ["profile", "push"])
@pytest.mark.parametrize("fault", ["offline", "500", "503", "429", "cut", "html"])
async def test_a_form_that_could_not_be_read_cannot_be_saved(
    pipeline: Pipeline, chromium: Browser, form: str, fault: str
) -> None:
    await pipeline.portraits.write_stated([a_profile(user_id="ann", **STATED)])
    async with serving(pipeline) as url:
        await chromium.open(f"{url}/#user=ann")
        await chromium.until("document.querySelectorAll('.card .open').length === 30")
        await chromium.fail(f"**{READS[form]}", fault)
        await chromium.js("document.querySelector('[data-view=you]').click()")
        await chromium.until(f"!document.querySelector('#{form} .problem').hidden")
        text = await chromium.js(f"document.querySelector('#{form} .problem').textContent")
        assert text.startswith("This could not be read, so it cannot be changed.")
        assert await chromium.js(f"document.querySelector('#{form} .all').disabled")
        await chromium.js(submit(form))
        await chromium.js("new Promise(resolve => setTimeout(resolve))")
        assert pipeline.events == []
        await chromium.fail(f"**{READS[form]}", None)
        await chromium.js(f"document.querySelector('#{form} .problem button').click()")
        await chromium.until(f"!document.querySelector('#{form} .all').disabled")
        assert await chromium.js(f"document.querySelector('#{form} .problem').hidden")
        assert await chromium.js("document.getElementById('profile').elements.topics.value") == "electronic"


@needs_browser
async def test_saving_sends_what_was_changed_and_nothing_else(page: Browser, pipeline: Pipeline) -> None:
    await pipeline.portraits.write_stated([a_profile(user_id="ann", **STATED, categories=["Maison, Jardin"])])
    preferences = PushPreferences(categories=["music"], value_threshold=3.0)
    await pipeline.pushes.write_devices(
        [Devices(user_id="ann", devices=[], preferences=preferences, changed_at=clock.now_ms())]
    )
    await page.js("document.querySelector('[data-view=you]').click()")
    await page.until("document.querySelectorAll('#view-you .all:enabled').length === 2")
    await page.js(submit("profile"))
    await page.until("document.querySelector('.toast.shown')?.textContent === 'Nothing has changed.'")
    for city, form, values in (("Porto", "profile", {"city": "Porto"}), ("Faro", "profile", {"city": "Faro"})):
        await page.js(submit(form, **values))
        await page.until(f"{SAVED} && !document.querySelector('#profile .all').disabled")
        _, profile = await pipeline.portraits.read("ann")
        assert profile == a_profile(
            user_id="ann", event_id=profile.event_id, **(STATED | {"city": city}), categories=["Maison, Jardin"]
        )
    await page.js(submit("push", kinds="jazz, film"))
    await page.until("document.querySelector('.toast.shown')?.textContent === 'Saved.'")
    assert [event.fields for event in pipeline.events] == [["city"], ["city"], ["categories"]]
    devices = await pipeline.pushes.read_devices("ann")
    assert devices.preferences == replace(preferences, categories=["jazz", "film"])


@needs_browser
async def test_changes_made_elsewhere_are_reported_and_not_overwritten(page: Browser, pipeline: Pipeline) -> None:
    await pipeline.portraits.write_stated([a_profile(user_id="ann", city="Tokyo", topics=["jazz"])])
    await page.js("document.querySelector('[data-view=you]').click()")
    await page.until("document.querySelectorAll('#view-you .all:enabled').length === 2")
    await pipeline.portraits.write_stated([a_profile(user_id="ann", city="Osaka", topics=["film"])])
    await page.js(submit("profile", city="Kyoto"))
    await page.until("document.querySelector('.toast.shown')?.textContent.includes('changed elsewhere')")
    await page.until("document.querySelectorAll('#view-you .all:enabled').length === 2")
    values = "(({ city, topics }) => [city.value, topics.value])(document.getElementById('profile').elements)"
    assert await page.js(values) == ["Kyoto", "film"], "what was edited stays, the rest is as it is now"
    assert pipeline.events == []
    await page.js(submit("profile"))
    await page.until(SAVED)
    assert [(event.fields, event.city) for event in pipeline.events] == [(["city"], "Kyoto")]


@needs_browser
async def test_a_notification_that_is_sent_appears_on_the_page(page: Browser, pipeline: Pipeline) -> None:
    notification = a_notification(
        user_id="ann", status="sent", title="Tonight: jazz", decided_at=clock.now_ms() + 60_000
    )
    await pipeline.pushes.add_notifications([notification])
    await page.js("document.dispatchEvent(new Event('visibilitychange'))")
    await page.until("document.querySelector('.toast.shown')?.textContent.includes('Tonight: jazz')")
    await page.js("document.querySelector('[data-view=you]').click()")
    await page.until("document.getElementById('decisions').textContent === 'Tonight: jazzSent'")


@needs_browser
async def test_a_token_opens_the_feed_of_its_user(pipeline: Pipeline, chromium: Browser) -> None:
    secret = "a secret for tests that is long enough"
    token = jwt.encode({"sub": "bob", "exp": time.time() + 600}, secret, "HS256")
    async with serving(pipeline, settings=Settings(api_security="on", jwt_secret=secret)) as url:
        await chromium.open(url)
        await chromium.until("document.getElementById('state-title')?.textContent === 'Sign in to see this feed'")
        await chromium.js("document.getElementById('retry').click()")
        await chromium.until("document.getElementById('view-you').hidden === false")
        await chromium.js(
            f"(form => {{ form.elements.token.value = '{token}'; form.requestSubmit() }})"
            "(document.getElementById('session'))"
        )
        await chromium.until("document.getElementById('signed').textContent === 'Signed in as bob.'")
        await chromium.js("document.querySelector('[data-view=home]').click()")
        await chromium.until("document.querySelectorAll('.feed .card .open').length === 30")
        await chromium.until("document.getElementById('connection').dataset.state === 'live'")
        await chromium.js("document.querySelector('.like').click()")
        await chromium.until("document.querySelector('.took')?.textContent.startsWith('feed changed')")
        assert [event.user_id for event in pipeline.events] == ["bob"]
