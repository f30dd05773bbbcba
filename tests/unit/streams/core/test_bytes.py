"""Whatever people do within the limits of values: every record that follows from it fits its topic."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, cast, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.llm.client import _ANSWER_BYTES
from models.vocabulary import Vocabulary
from schemas import limit, record_limit
from schemas.types import (
    Content,
    FoundItem,
    Interaction,
    ItemNeighbors,
    ItemSignals,
    ItemStats,
    LlmCall,
    Notification,
    Profile,
    PushPreferences,
    RecentItem,
)
from streams.core.item import item_stats
from streams.core.item.item_stats import SEGMENTS, ItemSignal, ItemState
from streams.core.item.link_events import link_event, link_updates
from streams.core.item.link_rows import LinkRows
from streams.core.position import Position
from streams.core.push import push_state as push
from streams.core.push.candidates import fold_request
from streams.core.push.push_state import PendingPush, PushState
from streams.core.ranking.catalog.catalog_snapshot import MAX_CATEGORIES, CatalogSnapshot, ItemLabels
from streams.core.ranking.ordering import OWN_ITEMS
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.triggers.prefetch_request import ContentLocation, PromptField, build_fetch_requests
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from streams.fetchers import FETCHERS
from streams.roles.trainer.model_version import FittedVersion, item_weight_rows
from tests.broker import Codecs
from tests.build import (
    T0_MS,
    a_content,
    a_profile,
    a_push_request,
    a_trigger,
    a_version,
    an_interaction,
    an_item,
    features,
    stats,
)
from tests.params import PREFETCH_PARAMS, PUSH_PARAMS, RANK_PARAMS, SIGNAL_PARAMS, USER_PARAMS
from tests.sample import a_sample
from topics import Topic
from topics.topic import (
    DEVICES,
    FEATURES,
    FEEDS,
    FETCH_REQUESTS,
    ITEM_NEIGHBORS,
    ITEM_SIGNALS,
    ITEM_STATS,
    ITEM_WEIGHTS,
    LLM_CALLS,
    MIB,
)

PARAMS = USER_PARAMS
ROOM = MIB - 1_000
"""Bytes of a record, or of a state in its changelog."""
WIDEST = "𝄞"
"""Four bytes."""
KINDS = ("語", WIDEST, "é", "a")
Fold = Callable[[UserState, Any, Position], object]


def long_id(number: int, kind: str = "語") -> str:
    return f"{number}-".ljust(limit.ID_CHARS, kind)[: limit.ID_CHARS]


def line(number: int, kind: str = "語") -> str:
    return f"{number}-".ljust(limit.LINE_CHARS, kind)[: limit.LINE_CHARS]


def encoded(topic: Topic, value: Any) -> bytes:
    return bytes(Codecs().codec(topic.record).encode(value))


def stored(state: Any) -> bytes:
    return msgspec.msgpack.encode(state)


def acts(number: int, **fields: Any) -> Interaction:
    event = an_interaction(event_id=long_id(number), occurred_at=T0_MS + number, **fields)
    record_limit.check(event, now_ms=T0_MS + number)
    return event


def fold(state: UserState, events: Iterator[Interaction | Profile | Content]) -> Counter[str]:
    evictions: Counter[str] = Counter()
    for number, event in enumerate(events):
        position = Position(0, number, T0_MS + number)
        match event:
            case Interaction():
                user_state.fold(
                    state, event, position, subject=ItemLabels.of_event(event), params=PARAMS, evictions=evictions
                )
            case Profile():
                user_state.fold_profile(state, event, position, evictions=evictions)
            case Content():
                user_state.fold_content(state, event, position, evictions=evictions)
    return evictions


def long_items(kind: str, times: int = 2) -> Iterator[Interaction]:
    for number in range(1_000 * times):
        yield acts(number, item_id=long_id(number // times, kind))


def labels(kind: str) -> Iterator[Interaction]:
    for number in range(600):
        topics = ",".join(long_id(8 * number + n, kind) for n in range(8))
        context = {"category": long_id(number, kind), "source": long_id(number, kind), "topics": topics}
        yield acts(number, item_id=f"i{number}", context=context)


def endless_labels(kind: str) -> Iterator[Interaction]:
    text = "".ljust(limit.TEXT_CHARS, kind)
    for number in range(30):
        context = {"category": f"{number}{text}"[: limit.TEXT_CHARS], "source": text, "topics": f"{number},{text}"}
        yield acts(number, context={name: value[: limit.TEXT_CHARS] for name, value in context.items()})


def searches(kind: str) -> Iterator[Interaction]:
    for number in range(50):
        yield acts(number, action="search", item_id=None, query=line(number, kind))


def a_long_profile(kind: str, first: int = 0) -> Profile:
    names = [long_id(first + number, kind) for number in range(limit.LIST_ITEMS)]
    texts = {f"{kind}{name}": "x" * limit.TEXT_CHARS for name in range(10)}
    about = {name: "".ljust(limit.TEXT_CHARS, kind) for name in user_state.ABOUT}
    profile = a_profile(
        categories=names,
        topics=names[::-1],
        muted=names,
        segment=line(0, kind),
        city=line(1, kind),
        timezone="Europe/Lisbon",
        attributes=texts | about,
        occurred_at=T0_MS + first,
    )
    record_limit.check(profile, now_ms=T0_MS + first)
    return profile


def much_content(kind: str) -> Iterator[Content]:
    for number in range(200):
        items = [FoundItem(item_id=long_id(1_000 * number + n, kind)) for n in range(limit.LIST_ITEMS)]
        content = a_content(category=long_id(number, kind), items=items, requested_at=T0_MS + number)
        yield content


def everything(kind: str) -> Iterator[Any]:
    yield a_long_profile(kind)
    for source in (much_content, labels, searches, long_items):
        yield from source(kind)


CASES: dict[str, Callable[[str], Iterator[Any]]] = {
    "long ids, acted on twice": long_items,
    "labels of events": labels,
    "endless labels": endless_labels,
    "queries": searches,
    "a profile": lambda kind: iter([a_long_profile(kind)]),
    "content": much_content,
    "all of it": everything,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_a_user_stays_within_a_record(case: str, kind: str) -> None:
    state = UserState(long_id(0, kind))
    evictions = fold(state, CASES[case](kind))
    assert len(encoded(FEATURES, user_state.snapshot(state, PARAMS))) < ROOM
    assert len(stored(state)) < ROOM
    assert (sum(evictions.values()) > 0) == ((len(kind.encode()) > 1 and case != "queries") or case != "queries")


def test_what_is_oldest_gives_way_and_what_fits_stays() -> None:
    state = UserState("u1")
    evictions = fold(state, long_items("語"))
    seen_items = list(state.seen)
    assert seen_items == [long_id(number) for number in range(1_000)][-len(seen_items) :]
    assert 150 < len(seen_items) < 200
    assert set(state.visits) == set(seen_items)
    assert evictions == {"seen": 1_000 - len(seen_items)}
    assert state.seen_bytes == sum(len(item.encode()) for item in seen_items)
    plain = UserState("u2")
    assert fold(plain, (acts(n, item_id=f"item-{n}-with-an-id-of-some-length") for n in range(3_000))) == {}
    assert len(plain.seen) == PARAMS.seen_items


def test_a_state_from_before_bytes_were_counted_is_trimmed_with_its_next_event() -> None:
    ids = [long_id(number) for number in range(1_000)]
    state = UserState("u1", seen=dict.fromkeys(ids), visits=dict.fromkeys(ids, 2))
    fold(state, iter([acts(1, item_id=ids[500])]))
    assert len(encoded(FEATURES, user_state.snapshot(state, PARAMS))) < ROOM
    assert next(reversed(state.seen)) == ids[500]
    assert set(state.visits) <= set(state.seen)


def test_an_old_state_is_read_and_goes_on() -> None:
    old = UserState("u1", seen={"i1": None}, event_ids={1: None, 2: None})
    bytes_of_old = msgspec.msgpack.encode(list(msgspec.structs.astuple(old))[:-2])
    state = msgspec.msgpack.decode(bytes_of_old, type=UserState)
    fold(state, iter([acts(1, item_id="i2")]))
    assert (list(state.seen), state.seen_bytes) == (["i1", "i2"], 4)
    assert [count for _, count in state.event_hours] == [2, 1]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(sorted(CASES)), st.integers(1, 400)), max_size=6))
def test_any_mixture_stays_within_a_record_and_splits_as_it_likes(parts: list[tuple[str, str, int]]) -> None:
    state = UserState("u1")
    for kind, case, count in parts:
        fold(state, (event for event, _ in zip(CASES[case](kind), range(count), strict=False)))
        assert len(encoded(FEATURES, user_state.snapshot(state, PARAMS))) < ROOM
        assert len(stored(state)) < ROOM
        read = msgspec.msgpack.decode(stored(state), type=UserState)
        assert stored(read) == stored(state)


@pytest.mark.parametrize("kind", KINDS)
def test_signals_and_stats_stay_within_a_record(kind: str) -> None:
    signals = [
        ItemSignal(
            long_id(0, kind), Position(0, n, T0_MS + n), T0_MS, "like", 2.0, segment=line(n, kind), user_event_index=n
        )
        for n in range(1_200)
    ]
    batches: list[ItemSignals] = list(item_stats.to_records(signals))
    assert [len(encoded(ITEM_SIGNALS, batch)) < ROOM for batch in batches] == [True] * len(batches)
    state, evictions = ItemState(long_id(0, kind)), Counter[str]()
    for batch in batches:
        record_limit.check(batch, now_ms=T0_MS + 10_000)
        item_stats.fold(state, batch, params=SIGNAL_PARAMS, evictions=evictions)
    assert sum(state.counts.values()) == 1_200
    assert (len(state.segments), evictions["segments"]) == (SEGMENTS, 1_200 - SEGMENTS)
    assert len(encoded(ITEM_STATS, item_stats.stats(state))) < ROOM
    assert len(stored(state)) < ROOM


def test_a_plain_run_of_signals_is_one_record() -> None:
    signals = [ItemSignal("i1", Position(0, n, T0_MS + n), T0_MS, "like", 2.0, segment="25-34|f") for n in range(1_000)]
    assert len(list(item_stats.to_records(signals))) == 1


def test_the_strongest_segments_of_an_item_stay() -> None:
    state, number = ItemState("i1"), 0
    for turn in range(40):
        for segment in ("young", "old", f"rare-{turn}a", f"rare-{turn}b"):
            one = ItemSignal("i1", Position(0, number, T0_MS + number), T0_MS, "like", 2.0, segment=segment)
            item_stats.fold(state, item_stats.to_record([one]), params=SIGNAL_PARAMS)
            number += 1
    assert {"young", "old"} <= set(state.segments)
    assert len(state.segments) == SEGMENTS


def test_a_view_knows_the_strongest_segments() -> None:
    view = CatalogSnapshot()
    for n in range(3):
        view.apply_stats(stats(f"i{n}", segments={"young": 10.0 + n, "old": 9.0}))
    for number in range(2_000):
        view.apply_stats(stats(f"x{number}", segments={f"odd-{number}": number / 1_000}))
    assert len(view.segments) == SEGMENTS
    assert {"young", "old", "odd-1999"} <= set(view.segments)
    assert "odd-0" not in view.segments
    assert view.evictions["segments"] == 2_000 + 2 - SEGMENTS
    assert view.segments["young"][:3].tolist() == [10.0, 11.0, 12.0]
    assert np.isinf(view.segments["odd-1999"][:3]).all(), "nothing is left of what gave way"
    view.apply_stats(stats("weak", segments={"weakest": -1.0}))
    assert "weakest" not in view.segments
    view.refresh()
    assert set(view.charts.segments) == set(view.segments)


def test_names_that_no_item_has_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.core.ranking.catalog.catalog_snapshot._NAMES", 100)
    view = CatalogSnapshot()
    for turn in range(50):
        for number in range(10):
            topics = [f"t{turn}", f"t{turn}-{number}", "jazz"]
            view.apply_item(an_item(f"i{number}", category=f"c{turn % 7}", topics=topics))
        view.apply_item(an_item(f"gone-{turn}", category="gone", topics=[f"gone-{turn}"]))
        view.remove_item(f"gone-{turn}")
        view.refresh()
        assert len(view.topics) + len(view.categories) < 250
    assert view.categories.get("gone") < 0 or len(view.categories) <= 8
    feed = rank(
        features(categories={"c0": 2.0, "c1": -1.0}, topics={"jazz": 1.0, "t49-3": 5.0}, muted=["t49-4"]),
        view,
        new_blender(),
        RANK_PARAMS,
        now_ms=T0_MS,
    )
    assert feed.items[0] == "i3"
    assert set(feed.items) == {f"i{number}" for number in range(10)} - {"i4"}
    assert {view.categories.names[code] for code in view.category[:10]} == {f"c{49 % 7}"}


def test_the_largest_categories_have_charts() -> None:
    view = CatalogSnapshot()
    for number in range(MAX_CATEGORIES + 200):
        view.apply_item(an_item(f"i{number}", category=f"c{number}", topics=[]))
        view.apply_stats(stats(f"i{number}", popularity=1.0, trending=1.0))
    for number in range(5):
        view.apply_item(an_item(f"more-{number}", category="c1199", topics=[]))
    view.refresh()
    assert len(view.charts.popular_in) == MAX_CATEGORIES
    assert "c1199" in view.charts.popular_in
    assert view.evictions["categories"] == 200


def test_segments_that_grow_stronger_find_a_place() -> None:
    view = CatalogSnapshot()
    for number in range(SEGMENTS):
        view.apply_stats(stats("i1", segments={f"s{number}": 1.0 + number}))
    view.apply_stats(stats("i1", segments={"new": 0.5}))
    assert "new" not in view.segments
    view.apply_stats(stats("i1", segments={"new": 500.0}))
    assert "new" in view.segments
    assert "s0" not in view.segments


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_links_and_weights_stay_within_a_record(kind: str) -> None:
    names = [long_id(number, kind) for number in range(3_000)]
    rows, strengths = LinkRows(Vocabulary(), half_life_days=60.0), np.arange(1.0, len(names) + 1)
    sums = strengths.tolist()
    rows.load(ItemNeighbors(item_id="i1", neighbors=names, scores=sums, follows=sums, watermark=0, reference=T0_MS))
    rows.start(0, {}, end=0)
    state = UserState("u1")
    event = link_event(state, an_interaction(item_id="i1"), Position(0, 0, 1), USER_PARAMS)
    assert event is not None
    [updates] = link_updates([event], lambda _: 0)
    rows.apply(0, updates)
    [row] = rows.rows(10_000)
    assert len(encoded(ITEM_NEIGHBORS, row)) < ROOM
    assert names[-1] in row.neighbors
    assert rows.omitted_links + rows.dropped_links == len(names) - len(row.neighbors) > 0
    assert row.neighbors == names[-len(row.neighbors) :], "the strongest, in their order"
    tastes = np.zeros((len(names), len(names)), np.float32)
    tastes[0] = strengths
    evictions: Counter[str] = Counter()
    version = FittedVersion(a_version(), [], {}, names, tastes, "ease")
    first = next(item_weight_rows(version, omissions=evictions))
    assert len(encoded(ITEM_WEIGHTS, first)) < ROOM
    assert names[-1] in first.others
    assert evictions["weights"] == len(names) - len(first.others)
    assert len(first.others) == len(first.weights)


@pytest.mark.parametrize("kind", KINDS)
def test_a_feed_stays_within_a_record(kind: str) -> None:
    view = CatalogSnapshot()
    for number in range(120):
        item = an_item(long_id(number, kind), category=long_id(number % 5, kind), title=line(number, kind))
        view.apply_item(item)
        view.apply_stats(cast(ItemStats, stats(item.item_id, trending=float(number), popularity=1.0)))
    everyone = np.arange(120, dtype=np.int32)
    for number in range(60):
        sums = np.ones((2, 120))
        view.neighbors.put(number, everyone, sums, event_count=1.0, reference_ms=T0_MS)
    view.refresh()
    user_features = features(
        user_id=long_id(0, kind),
        event_count=60,
        recent=[RecentItem(item_id=long_id(number, kind), weight=2.0, at=T0_MS) for number in range(60)],
        categories={long_id(n, kind): 1.0 for n in range(5)},
    )
    blender, rng = new_blender(), np.random.default_rng(3)
    blender.table[1:] = rng.normal(0.0, 3.0, blender.table[1:].shape)
    feed = rank(user_features, view, blender, dataclasses.replace(RANK_PARAMS, max_recommendations=50), now_ms=T0_MS)
    assert len(feed.items) == 50
    assert feed.others is not None
    assert 0 < len(feed.others.items) <= len(feed.orders) * OWN_ITEMS
    assert len(encoded(FEEDS, feed)) < ROOM // 3
    feed = rank(user_features, view, blender, dataclasses.replace(RANK_PARAMS, max_recommendations=100), now_ms=T0_MS)
    assert len(feed.items) == 100
    assert len(encoded(FEEDS, feed)) < ROOM


@pytest.mark.parametrize("kind", KINDS)
def test_requests_and_features_of_a_user_stay_within_a_record(kind: str) -> None:
    state = UserState(long_id(0, kind))
    fold(state, everything(kind))
    trigger = a_trigger(event_id=long_id(1, kind), user_id=state.user_id, reason=line(2, kind))
    place = ContentLocation(city=line(3, kind))
    params = dataclasses.replace(PREFETCH_PARAMS, prompt_fields=frozenset(get_args(PromptField)))
    requests = build_fetch_requests(
        trigger, state, place, FETCHERS.values(), title_of=lambda _: line(4, kind), params=params
    )
    assert len(requests) == len(FETCHERS)
    assert all(len(encoded(FETCH_REQUESTS, request)) < ROOM for request in requests)


@pytest.mark.parametrize(
    "answer", [b"\xff" * _ANSWER_BYTES, b"a" * _ANSWER_BYTES, "語".encode() * (_ANSWER_BYTES // 3)]
)
def test_an_answer_of_a_language_model_stays_within_a_record(answer: bytes) -> None:
    call = replace(a_sample(LlmCall), user_id=long_id(0, WIDEST), response=answer.decode(errors="replace"))
    assert len(encoded(LLM_CALLS, call)) < ROOM


def push_fold(state: PushState, number: int, **fields: Any) -> list[Notification]:
    request = a_push_request(event_id=f"r{number}", occurred_at=T0_MS, **fields)
    record_limit.check(request, now_ms=T0_MS)
    return fold_request(
        state, request, Position(0, number, T0_MS + number), item=None, params=PUSH_PARAMS, now_ms=T0_MS
    )


@pytest.mark.parametrize("kind", KINDS)
def test_devices_and_what_waits_stay_within_a_record(kind: str) -> None:
    state, number = PushState(long_id(0, kind)), 0
    for device in range(30):
        push_fold(state, number, token=f"{device}".ljust(limit.TEXT_CHARS, kind))
        number += 1
    categories = [long_id(n, kind) for n in range(limit.LIST_ITEMS)]
    push_fold(state, number, kind="preferences", token=None, preferences=PushPreferences(categories=categories))
    for _ in range(200):
        number += 1
        body = "".ljust(limit.TEXT_CHARS, kind)
        push_fold(state, number, kind="send", token=None, title=line(number, kind), body=body, category=categories[0])
    decisions = list(push.expire_excess(state, T0_MS))
    assert len(decisions) + len(state.pending) == 200
    assert {one.status for one in decisions} <= {"expired"}
    assert len(stored(state)) < ROOM
    assert len(encoded(DEVICES, push.snapshot(state, T0_MS))) < ROOM
    assert all(isinstance(one, PendingPush) for one in state.pending.values())
    newest = next(reversed(state.pending.values())).notification
    assert newest.title == line(number, kind), "what is newest stays"
