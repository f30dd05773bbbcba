import json
from typing import Any

import pytest

from cli.commands.stack.demo import plan
from cli.commands.stack.demo.click import choose
from cli.commands.stack.demo.proof import DemoError, Proof
from loaders import Dataset
from tests.build import a_profile, an_interaction, an_item


def a_dataset(**overrides: Any) -> Dataset:
    fields: dict[str, Any] = {
        "name": "small",
        "items": [an_item("i1")],
        "profiles": [a_profile(user_id="ann"), a_profile(user_id="bob")],
        "interactions": [an_interaction(user_id=user_id) for user_id in ("bob", "cid", "ann", "bob")],
        "labels": {"ann": "first", "cid": "last"},
    }
    return Dataset(**(fields | overrides))


def test_each_run_has_ids_of_its_own_and_nothing_else_differs() -> None:
    data = a_dataset()
    first, second = (plan.with_new_ids(data, run, rating_scale=5.0) for run in (1, 2))
    ids = [{event.event_id for event in [*run.interactions, *run.profiles]} for run in (data, first, second)]
    assert len(ids[0] | ids[1] | ids[2]) == 3 * 6
    assert plan.with_new_ids(data, 1, rating_scale=5.0) == first
    assert [(e.user_id, e.item_id, e.occurred_at) for e in first.interactions] == [
        (e.user_id, e.item_id, e.occurred_at) for e in data.interactions
    ]


def test_ratings_are_put_on_the_scale_of_the_run() -> None:
    data = a_dataset(interactions=[an_interaction(action="rate", value=4.0), an_interaction()])
    assert [event.value for event in plan.with_new_ids(data, 1, rating_scale=10.0).interactions] == [8.0, None]
    assert [event.value for event in plan.with_new_ids(data, 1, rating_scale=5.0).interactions] == [4.0, None]


def test_the_first_users_come_with_what_is_theirs() -> None:
    data = plan.first_users(a_dataset(), 2)
    assert data.user_ids == ["ann", "bob"]
    assert [event.user_id for event in data.interactions] == ["bob", "ann", "bob"]
    assert data.labels == {"ann": "first"}
    assert data.items == a_dataset().items


def test_alex_is_shown_or_else_someone_of_usual_activity() -> None:
    busy = [an_interaction(user_id="busy") for _ in range(300)]
    usual = [an_interaction(user_id="usual") for _ in range(90)]
    assert plan.shown_user(a_dataset(interactions=[*busy, *usual])) == "usual"
    assert plan.shown_user(a_dataset(interactions=[*busy, *usual, an_interaction(user_id="alex")])) == "alex"


def an_entry(item_id: str, category: str | None) -> dict[str, Any]:
    return {"item_id": item_id, "item": None if category is None else {"category": category}}


def test_the_click_goes_to_another_category_than_the_top_one() -> None:
    entries = [an_entry("i1", "music"), an_entry("i2", "music"), an_entry("i3", "places"), an_entry("i4", None)]
    assert choose({"user_id": "ann", "items": entries})["item_id"] == "i3"
    assert choose({"user_id": "ann", "items": entries[:2]})["item_id"] == "i1"
    with pytest.raises(DemoError, match="feed of ann is empty"):
        choose({"user_id": "ann", "items": []})


def test_the_proof_is_one_line_with_everything_that_was_promised() -> None:
    proof = Proof(published=5, processed=3, dead_lettered=2, broker="Kafka\nat home")
    assert proof.adds_up()
    assert not Proof(published=5, processed=5, dead_lettered=2).adds_up()
    assert "\n" not in proof.line()
    assert set(json.loads(proof.line())) >= {
        "broker",
        "published",
        "processed",
        "dead_lettered",
        "users_with_feeds",
        "click_to_feed_ms",
        "feed_before",
        "feed_after",
        "addresses",
    }
