from collections import Counter
from uuid import UUID

import h3
import pytest

from loaders import Dataset
from loaders.datasets import world
from loaders.datasets.world_people import ALEX
from schemas import record_limit

NOW_MS = 1_795_000_000_000


@pytest.fixture(scope="module")
def data() -> Dataset:
    return world.build(seed=7, now_ms=NOW_MS)


def test_the_same_seed_and_time_give_the_same_world(data: Dataset) -> None:
    assert world.build(seed=7, now_ms=NOW_MS) == data
    assert world.build(seed=8, now_ms=NOW_MS).interactions != data.interactions


def test_a_later_start_gives_the_same_events_at_later_times(data: Dataset) -> None:
    later = world.build(seed=7, now_ms=NOW_MS + 86_400_000)
    assert [item.item_id for item in later.items] == [item.item_id for item in data.items]
    assert Counter((e.user_id, e.item_id, e.action) for e in later.interactions) == Counter(
        (e.user_id, e.item_id, e.action) for e in data.interactions
    )
    assert not {e.event_id for e in later.interactions} & {e.event_id for e in data.interactions}


def test_the_world_has_the_size_of_a_demo(data: Dataset) -> None:
    assert 400 <= len(data.items) <= 620
    assert len(data.profiles) == 200
    assert 15_000 <= len(data.interactions) <= 25_000
    assert {item.category for item in data.items} == {"places", "music", "movies", "workshops"}
    assert {e.action for e in data.interactions} >= {"view", "click", "like", "save", "share", "skip", "rate", "search"}


def test_fewer_people_do_less() -> None:
    few = world.build(seed=7, now_ms=NOW_MS, users=5)
    assert few.user_ids[0] == "alex"
    assert len(few.user_ids) == 5
    assert 100 <= len(few.interactions) <= 1_200


def test_events_lie_within_two_weeks_in_order_of_time(data: Dataset) -> None:
    times = [event.occurred_at for event in data.interactions]
    assert times == sorted(times)
    assert times[0] >= NOW_MS - 15 * 86_400_000
    assert times[-1] <= NOW_MS


def test_ids_of_the_world_are_unique_and_valid(data: Dataset) -> None:
    ids = [event.event_id for event in [*data.interactions, *data.profiles]]
    assert len(set(ids)) == len(ids)
    assert {UUID(match).version for match in ids} == {7}
    assert len({item.item_id for item in data.items}) == len(data.items)


def test_every_record_of_the_world_is_within_its_limits(data: Dataset) -> None:
    for record in [*data.items, *data.profiles, *data.interactions]:
        record_limit.check(record, now_ms=NOW_MS)


def test_things_in_a_city_have_a_cell_there(data: Dataset) -> None:
    for item in data.items:
        assert (item.city is None) == (item.category in ("music", "movies"))
        assert (item.cell is None) == (item.city is None)
        assert item.cell is None or h3.is_valid_cell(item.cell)


def test_people_go_back_to_places_only(data: Dataset) -> None:
    category = {item.item_id: item.category for item in data.items}
    clicks = Counter((e.user_id, e.item_id) for e in data.interactions if e.action == "click" and e.item_id)
    assert {category[item_id] for (_, item_id), count in clicks.items() if item_id and count > 1} == {"places"}


def test_people_follow_their_tastes(data: Dataset) -> None:
    items = {item.item_id: item for item in data.items}
    item_history = [items[e.item_id] for e in data.interactions if e.user_id == ALEX.user_id and e.item_id]
    to_taste = [item for item in item_history if item.topics[0] in ALEX.tastes]
    assert len(to_taste) > 0.75 * len(item_history)
    assert {item.city for item in item_history} <= {None, "New York"}
    assert data.labels["alex"] == "jazz, hiking, cooking · New York"
