"""Rows by partition: from any split of a stream, with any crashes, they are those of one table over all of it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.timestamp import DAY_MS
from models.factorization.item_embeddings import EmbeddingConfig, ItemEmbeddings
from models.vocabulary import Vocabulary
from schemas.limit import OutOfRangeError
from schemas.types import Interaction, ItemNeighbors
from streams.core.item import link_rows
from streams.core.item.link_events import LinkEvent, link_updates, unpack
from streams.core.item.link_rows import LinkRows
from streams.core.position import Position
from tests.build import T0_MS, an_interaction
from tests.unit.streams.core.item.link_stream import HALF_LIFE_DAYS, Stage, fold, item_partition, learned
from topics.topic import PARTITIONS

ACTIONS = ("click", "view", "like", "skip")
LATEST_MS = 12 * 365 * DAY_MS
"""Twice the time after which sums are rescaled."""


@st.composite
def streams(draw: st.DrawFn, *, most_ms: int) -> list[Interaction]:
    """A stream of few users and items, so that items repeat, within timestamp groups and late ones too."""
    count = draw(st.integers(1, 60))
    seed = draw(st.integers(0, 1 << 32))
    random = np.random.default_rng(seed)
    times_ms = np.sort(random.integers(0, most_ms + 1, count) // 3 * 3)
    return [
        an_interaction(
            event_id=f"e{number}",
            user_id=f"u{random.integers(4)}",
            item_id=f"i{random.integers(1, 25) ** 2 % 40}",
            action=ACTIONS[random.integers(len(ACTIONS))],
            occurred_at=T0_MS + int(times_ms[max(number - random.integers(3), 0)]),
        )
        for number in range(count)
    ]


def check_rows(rows: dict[str, ItemNeighbors], events: list[LinkEvent], *, exactly: bool) -> None:
    """Compare rows with those of one table, as of the reference times of the rows."""
    items, table = learned(events)
    expected_items = {event.item_id for event in events}
    assert rows.keys() == expected_items
    for item_id, row in rows.items():
        item = items.get(item_id)
        others, sums = table.links.row(item)
        factor = 2.0 ** (((table.reference_ms or 0) - row.reference) / (HALF_LIFE_DAYS * DAY_MS))
        order = np.argsort(others)
        own_order = np.argsort(items.encode(row.neighbors))
        assert items.encode(row.neighbors)[own_order].tolist() == others[order].tolist()
        actual = np.array([row.scores, row.follows])[:, own_order]
        expected = sums[:, order] * factor
        if exactly:
            assert (actual == expected).all()
            assert row.mass == table.links.event_count(item) * factor
        else:
            np.testing.assert_allclose(actual, expected, rtol=1e-9)
            assert row.mass == pytest.approx(table.links.event_count(item) * factor, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(streams(most_ms=0), st.integers(0, 1 << 32))
def test_rows_of_one_source_are_those_of_one_table_to_the_last_digit(events: list[Interaction], seed: int) -> None:
    folded_events, random, stage = fold(events), np.random.default_rng(seed), Stage()
    position = 0
    while position < len(folded_events):  # a crash of the source emits earlier events again, in other batches
        end = position + random.integers(1, 20)
        stage.emit(folded_events[position:end])
        position = int(min(end, len(folded_events)))
        if position < len(folded_events) and random.random() < 0.3:
            position = int(random.integers(position + 1))
        disturb(stage, random)
    check_rows(stage.finish(), folded_events, exactly=True)


@settings(max_examples=60, deadline=None)
@given(streams(most_ms=LATEST_MS), st.integers(0, 1 << 32))
def test_rows_of_several_sources_are_those_of_one_table(events: list[Interaction], seed: int) -> None:
    random, stage = np.random.default_rng(seed), Stage()
    positions, counts = [], [0, 0]
    for event in events:  # each user has one source
        source = int(event.user_id[1:]) % 2
        positions.append(Position(source, counts[source], 1_000 + counts[source]))
        counts[source] += 1
    folded_events = fold(events, positions)
    by_source = [[event for event in folded_events if event.position.partition == source] for source in (0, 1)]
    starts = [0, 0]
    while any(start < len(own) for start, own in zip(starts, by_source, strict=True)):
        source = int(random.integers(2))
        end = starts[source] + int(random.integers(1, 20))
        if batch := by_source[source][starts[source] : end]:
            stage.emit(batch)
        starts[source] = min(end, len(by_source[source]))
        if starts[source] < len(by_source[source]) and random.random() < 0.3:
            starts[source] = int(random.integers(starts[source] + 1))
        disturb(stage, random)
    check_rows(stage.finish(), folded_events, exactly=False)


def disturb(stage: Stage, random: np.random.Generator) -> None:
    """Have the workers work, publish and crash at random."""
    for partition in range(PARTITIONS):
        if random.random() < 0.7:
            stage.work(partition, int(random.integers(4)))
        if random.random() < 0.4:
            stage.publish(partition, int(random.integers(1, 12)))
        if random.random() < 0.2:
            stage.restart(partition)


def a_stream(count: int = 60) -> list[LinkEvent]:
    """Return the link events of a user who goes through many items."""
    return fold(
        [an_interaction(event_id=f"e{n}", item_id=f"i{n * n % 41}", occurred_at=T0_MS + n) for n in range(count)]
    )


def test_a_batch_makes_at_most_one_record_for_each_partition() -> None:
    records = list(link_updates(a_stream(), item_partition))
    partitions = [item_partition(record.item_id) for record in records]
    assert len(partitions) == len(set(partitions)) <= PARTITIONS


def test_a_record_at_its_limit_is_split() -> None:
    names = [f"{n:03}" + "x" * 253 for n in range(200)]
    events = fold([an_interaction(event_id=name, user_id="u", item_id=name, occurred_at=T0_MS) for name in names])
    long_events = [event for _ in range(30) for event in events]
    records = list(link_updates(long_events, lambda _: 0))
    assert all(sum(map(len, record.items)) + len(record.outgoing) < 512 << 10 for record in records)
    assert sum(len(record.events) for record in records) == 37 * len(long_events)


def test_rows_of_young_items_come_first_then_the_oldest_change() -> None:
    rows = LinkRows(Vocabulary(), half_life_days=HALF_LIFE_DAYS)
    events = fold([an_interaction(event_id=f"e{n}", user_id=f"u{n}", item_id="old") for n in range(30)])
    events += fold(
        [an_interaction(event_id=f"f{n}", user_id="u", item_id=name) for n, name in enumerate(("new", "old"))]
    )
    for number, event in enumerate(events):
        for record in link_updates([event._replace(position=Position(0, number, number))], lambda _: 0):
            rows.apply(number, record)
            if number < 30:
                list(rows.rows(1))
    assert rows.changed_count == 2
    assert [row.item_id for row in rows.rows(1)] == ["new"]
    assert rows.checkpoint()[0] == 31
    assert [row.item_id for row in rows.rows(9)] == ["old"]
    assert rows.checkpoint() == (32, {0: (31, 31)})


def test_a_row_of_the_time_before_the_log_goes_on() -> None:
    stage, events = Stage(), a_stream()
    stage.emit(events)
    rows_before = stage.finish()
    other = Stage()
    for partition in range(PARTITIONS):
        for item_id, row in rows_before.items():
            if item_partition(item_id) == partition:
                other.published_rows[partition][item_id] = msgspec.structs.replace(row, updates_offset=0)
        other.restart(partition)
    other.emit(events)
    for item_id, row in other.finish().items():
        assert row.mass == pytest.approx(2 * rows_before[item_id].mass)
        assert row.scores == pytest.approx([2 * score for score in rows_before[item_id].scores])


def test_a_row_of_another_log_that_was_longer_goes_on_at_once() -> None:
    stage = Stage()
    stage.emit(a_stream())
    rows = stage.finish()
    stage.logs = [[] for _ in range(PARTITIONS)]
    stage.commits = [(0, {}) for _ in range(PARTITIONS)]
    for partition in range(PARTITIONS):
        stage.published_rows[partition] = {
            item_id: msgspec.structs.replace(row, updates_offset=99)
            for item_id, row in stage.published_rows[partition].items()
        }
        stage.restart(partition)
    stage.emit(a_stream())
    assert all(row.mass == pytest.approx(2 * rows[item_id].mass) for item_id, row in stage.finish().items())


def test_a_deleted_row_is_forgotten() -> None:
    stage = Stage()
    stage.emit(a_stream())
    row = next(iter(stage.finish().values()))
    rows = LinkRows(Vocabulary(), half_life_days=HALF_LIFE_DAYS)
    rows.load(row)
    rows.unload(row.item_id)
    rows.start(0, {}, end=0)
    for record in link_updates(a_stream(1), lambda _: 0):
        rows.apply(0, msgspec.structs.replace(record, items=[row.item_id], item_id=row.item_id))
    [again] = rows.rows(9)
    assert (again.mass, again.neighbors) == (1.0, [])


def test_a_row_too_large_for_a_record_is_cut_in_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_rows, "ROW_BYTES", 100)
    stage, events = Stage(), a_stream()
    stage.emit(events[:40])
    rows_before = stage.finish()
    assert max(len(row.neighbors) for row in rows_before.values()) == 4
    for partition in range(PARTITIONS):
        rows = stage.rows[partition]
        assert sum(len(row.neighbors) for row in stage.published_rows[partition].values()) + rows.omitted_links > 0
        stage.restart(partition)
    stage.emit(events[40:])
    other = Stage()
    other.emit(events[:40])
    other.finish()
    other.emit(events[40:])
    assert contents(stage.finish()) == contents(other.finish())


def contents(rows: dict[str, ItemNeighbors]) -> dict[str, tuple[float, dict[str, tuple[float, float]]]]:
    """Return event counts and links of rows, whose order may differ."""
    return {
        item_id: (row.mass, dict(zip(row.neighbors, zip(row.scores, row.follows, strict=True), strict=True)))
        for item_id, row in rows.items()
    }


def test_many_records_since_the_checkpoint_make_all_rows_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_rows, "MOST_WAITING", 5)
    rows = LinkRows(Vocabulary(), half_life_days=HALF_LIFE_DAYS)
    for offset, event in enumerate(a_stream(9)):
        for record in link_updates([event], lambda _: 0):
            rows.apply(offset, record)
    list(rows.rows(1))
    assert rows.checkpoint()[0] == 9


@pytest.mark.parametrize(
    ("field", "value"),
    [("outgoing", b"123"), ("incoming", b""), ("items", ["i0"]), ("events", bytes(37))],
)
def test_columns_that_do_not_fit_change_nothing(field: str, value: object) -> None:
    rows = LinkRows(Vocabulary(), half_life_days=HALF_LIFE_DAYS)
    [record] = link_updates(a_stream(9), lambda _: 0)
    with pytest.raises(OutOfRangeError):
        rows.apply(0, msgspec.structs.replace(record, **{field: value}))
    assert (rows.changed_count, rows.next_offset) == (0, 1)


def test_an_event_brings_the_items_before_it_newest_first_to_the_partition_of_its_item() -> None:
    items = ["a", "b", "c", "b", "d", "a"]
    events = fold([an_interaction(event_id=f"e{n}", item_id=item) for n, item in enumerate(items)])
    contexts: dict[int, list[str]] = {}
    for record in link_updates(events, item_partition):
        content = unpack(record)
        for event, context in zip(content.events, content.contexts(), strict=True):
            if event["is_own"]:
                contexts[int(event["offset"])] = [record.items[number] for number in context.tolist()]
    assert contexts == {0: [], 1: ["a"], 2: ["b", "a"], 3: [], 4: ["b", "c", "a"], 5: []}


def test_the_embeddings_of_the_items_of_a_partition_learn_from_its_updates() -> None:
    events = fold([
        an_interaction(event_id=f"e{n}", user_id=f"u{n // 3}", item_id=f"i{n % 3}", occurred_at=T0_MS + n)
        for n in range(30)
    ])  # fmt: skip
    items = Vocabulary()
    embeddings = ItemEmbeddings(items, EmbeddingConfig(dimensions=4))
    own = item_partition("i1")
    rows = LinkRows(items, half_life_days=HALF_LIFE_DAYS, embeddings=embeddings)
    records = [record for record in link_updates(events, item_partition) if item_partition(record.item_id) == own]
    for offset, record in enumerate(records):
        rows.apply(offset, record)
    assert embeddings.waiting == 10 * sum(item_partition(item) == own for item in ("i1", "i2"))
    embeddings.learn()
    [number] = [items.get("i1")]
    assert embeddings.has(np.array([number], np.int32)).all()
    rows.apply(len(records) - 1, records[-1])
    assert not embeddings.waiting, "a record that comes twice is learned once"
