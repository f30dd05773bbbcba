"""Text of any script over HTTP: ids are one however they are typed, and what cannot be meant is refused in words."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.build import a_feed, an_item
from tests.unit.api.builder import World, an_interaction_body
from tests.unit.api.security.test_auth import STRICT, a_token
from topics.topic import INTERACTIONS, PROFILE_UPDATES, PUSH_REQUESTS

COMPOSED, DECOMPOSED = "José", "Jose\u0301"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("is_escaped", [False, True])
async def test_an_id_is_one_however_it_is_composed(is_escaped: bool) -> None:
    world = World()
    body = an_interaction_body(user_id=DECOMPOSED, item_id=f"i {DECOMPOSED}", context={DECOMPOSED: DECOMPOSED})
    async with world.http() as http:
        answer = await http.post("/interaction", content=json.dumps(body, ensure_ascii=is_escaped), headers=JSON)
        batch = {"interactions": [body]}
        many = await http.post("/interaction/batch", content=json.dumps(batch, ensure_ascii=is_escaped), headers=JSON)
    assert (answer.status_code, many.status_code) == (202, 202)
    for event in world.publisher.values_of(INTERACTIONS):
        assert (event.user_id, event.item_id, event.context) == (COMPOSED, f"i {COMPOSED}", {COMPOSED: COMPOSED})


async def test_an_address_means_the_same_id_as_a_body() -> None:
    world = World()
    await world.feeds.write([a_feed(user_id=COMPOSED)])
    await world.items.write([an_item(COMPOSED)])
    async with world.http() as http:
        for user_id in (COMPOSED, DECOMPOSED):
            feed = await http.get(f"/content?limit=1&user_id={quote(user_id)}&x=%26")
            item = await http.get(f"/items/{quote(user_id)}")
            assert feed.status_code == 200, feed.text
            assert (feed.json()["user_id"], item.json()["item_id"]) == (COMPOSED, COMPOSED)
        answer = await http.get("/search?q=a%26b%3Dc%20%2B&category=")
    assert answer.json()["query"] == "a&b=c +"


@pytest.mark.parametrize("sub", [COMPOSED, DECOMPOSED])
async def test_a_token_speaks_for_its_user_however_that_is_composed(sub: str) -> None:
    world = World()
    headers = {"authorization": f"Bearer {a_token(sub=sub)}"}
    async with world.http(**STRICT) as http:
        for user_id, status in ((COMPOSED, 202), (DECOMPOSED, 202), ("Jose", 403), (f"{COMPOSED}\u200d", 403)):
            answer = await http.post("/interaction", json=an_interaction_body(user_id=user_id), headers=headers)
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("user_id", "says"),
    [
        ("a\x00b", "control characters (U+0000)"),
        ("a\nb", "control characters (U+000A)"),
        ("a\u2028b", "line separators (U+2028)"),
        ("a\u202eb", "bidirectional controls (U+202E)"),
        (" a", "white space"),
        ("a\u00a0", "white space"),
        ("\u200d", "something that can be seen"),
        ("x" * 257, "1 to 256 characters"),
        ("", "1 to 256 characters"),
    ],
)
async def test_what_cannot_be_an_id_is_refused_in_words(user_id: str, says: str) -> None:
    async with World().http() as http:
        answers = [
            await http.post("/interaction", json=an_interaction_body(user_id=user_id)),
            await http.post("/push/register", json={"user_id": user_id, "token": "t", "platform": "web"}),
            await http.post("/profile", json={"user_id": user_id}),
        ]
        if user_id:
            answers.append(await http.get(f"/notifications/{quote(user_id, safe='')}"))
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, error["field"]) == (422, "user_id")
        assert says in error["message"]


@pytest.mark.parametrize("half", ["\\ud800", "\\uDBFF x", "\\udc00", "\\ud83d\\ud83d", "\\udc00\\ud800"])
async def test_half_of_a_surrogate_pair_is_refused_in_words(half: str) -> None:
    body = f'{{"user_id": "ann", "action": "click", "item_id": "{half}"}}'
    async with World().http() as http:
        answer = await http.post("/interaction", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_json")
    assert "half of a surrogate pair" in answer.json()["error"]["message"]


async def test_a_whole_surrogate_pair_is_a_character() -> None:
    world = World()
    body = '{"user_id": "\\ud83d\\ude00", "action": "click", "item_id": "i1"}'
    async with world.http() as http:
        assert (await http.post("/interaction", content=body, headers=JSON)).status_code == 202
    assert world.publisher.values_of(INTERACTIONS)[0].user_id == "😀"


@pytest.mark.parametrize(
    ("text", "expected_text"),
    [
        ("Maison\u00a0& Jardin", "Maison\u00a0& Jardin"),
        ("本\u3000雑誌", "本\u3000雑誌"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\u3000Cafe\u0301 ", "Café"),
        ("👩\u200d👩\u200d👧", "👩\u200d👩\u200d👧"),
    ],
)
async def test_labels_hold_what_people_read_in_their_one_form(text: str, expected_text: str) -> None:
    world = World()
    lists: dict[str, Any] = {name: [text] for name in ("categories", "topics", "muted")}
    async with world.http() as http:
        assert (await http.post("/profile", json={"user_id": "ann", "city": text} | lists)).status_code == 202
        put = await http.put("/api/v1/user-profile/ann/preferences", json=lists)
        fields = {"user_id": "ann", "title": text, "category": text}
        assert (await http.post("/push/send", json=fields)).status_code == 202
    profile, _ = world.publisher.values_of(PROFILE_UPDATES)
    assert (profile.categories, profile.topics, profile.muted, profile.city) == (
        [expected_text],
        [expected_text],
        [expected_text],
        expected_text,
    )
    assert put.json()["categories"] == [expected_text]
    [request] = world.publisher.values_of(PUSH_REQUESTS)
    assert (request.title, request.category) == (expected_text, expected_text)
