"""Exports without names: what is left of a person's rows, and of small groups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from domain.timestamp import DAY_MS
from evaluation.history.training_table import SCHEMA as TRAINING_SCHEMA
from infra.analytics.arrow_schema import arrow_schema, record_rows
from infra.analytics.relation import Relation
from infra.error import OperatorError
from infra.privacy.anonymous_relation import IDS, anonymous_relation, segment_column
from infra.privacy.pseudonyms import Pseudonyms, pseudonyms
from infra.settings import Settings
from tests.build import T0_MS, a_profile, an_interaction
from tests.sample import a_sample
from topics import TOPICS, Topic

PSEUDONYMS = Pseudonyms(b"secret", 1)
SECRETS = ("alex", "my diary", "Lisbon", "85283473fffffff")


def a_relation(schema: pa.Schema, rows: Sequence[Mapping[str, Any]], *, name: str = "rows") -> Relation:
    async def batches() -> AsyncIterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist(list(rows), schema)

    return Relation(name, schema, batches())


def of_records(records: Sequence[msgspec.Struct]) -> Relation:
    return a_relation(arrow_schema(type(records[0])), record_rows(records))


async def anonymous_rows(relation: Relation, **options: Any) -> list[dict[str, Any]]:
    options = {"users_by_segment": {}, "k": 10} | options
    result = anonymous_relation(relation, PSEUDONYMS, **options)
    return [row async for batch in result.batches for row in batch.to_pylist(maps_as_pydicts="strict")]


async def test_a_row_of_a_user_names_nobody_and_keeps_what_was_done() -> None:
    event = an_interaction(
        user_id="alex", event_id="alex-1", session_id="alex-s", query="my diary", context={"city": "Lisbon"}
    )
    [row] = await anonymous_rows(of_records([event]))
    assert (row["item_id"], row["action"]) == (event.item_id, event.action)
    assert row["user_id"] == PSEUDONYMS.of("user_id", "alex")
    assert not {"query", "context"} & row.keys()
    assert not any(secret in repr(row) for secret in SECRETS)


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if "user_id" in topic.record.__struct_fields__])
async def test_no_id_of_any_topic_is_exported_as_it_is(topic: Topic) -> None:
    record = msgspec.structs.replace(a_sample(topic.record), user_id="alex")
    [row] = await anonymous_rows(of_records([record]))
    assert "alex" not in repr(row)
    for name in set(IDS) & row.keys():
        assert row[name] is None or row[name] != getattr(record, name)
    private_columns = {"cell", "city", "query", "queries", "context", "attributes", "timezone", "token", "tokens"}
    private_columns |= {"actor", "body", "title", "about", "local_time", "devices", "response", "fields", "locale"}
    assert not private_columns & row.keys()


def test_training_rows_have_no_texts_and_places_either() -> None:
    relation = anonymous_relation(a_relation(TRAINING_SCHEMA, []), PSEUDONYMS, users_by_segment={}, k=10)
    assert {"user_id", "weight", "user_categories", "item_popularity"} <= set(relation.schema.names)
    assert not {"query", "user_queries", "user_cell", "user_city", "user_timezone"} & set(relation.schema.names)


async def test_segments_of_few_users_become_empty() -> None:
    profiles = [a_profile(user_id=f"u{number}", segment=segment) for number, segment in enumerate(("large", "small"))]
    rows = await anonymous_rows(of_records(profiles), users_by_segment={"large": 10, "small": 9})
    assert [row["segment"] for row in rows] == ["large", ""]
    assert segment_column(of_records(profiles)) == "segment"


async def test_rows_of_groups_with_few_users_are_left_out() -> None:
    schema = pa.schema([("day", pa.string()), ("returning_users", pa.int64()), ("cohort_users", pa.int64())])
    rows = [
        {"day": day, "returning_users": returning, "cohort_users": 20}
        for day, returning in (("monday", 9), ("tuesday", 10))
    ]
    assert [row["day"] for row in await anonymous_rows(a_relation(schema, rows))] == ["tuesday"]


async def test_sums_by_segment_are_left_out() -> None:
    schema = pa.schema([("item_id", pa.string()), ("segments", pa.map_(pa.string(), pa.float64()))])
    rows = [{"item_id": "i1", "segments": {"students": 1.0}}]
    assert await anonymous_rows(a_relation(schema, rows)) == [{"item_id": "i1"}]


async def test_raw_messages_are_refused() -> None:
    with pytest.raises(OperatorError, match="raw messages"):
        await anonymous_rows(a_relation(pa.schema([("value", pa.binary())]), [], name="dead-letters"))


def test_pseudonyms_change_with_the_period_and_need_a_key_outside_development() -> None:
    settings = Settings(pseudonym_key="k" * 32, pseudonym_days=30)
    start_ms = T0_MS // (30 * DAY_MS) * 30 * DAY_MS
    first, last, next_one = (
        pseudonyms(settings, start_ms + days * DAY_MS).of("user_id", "alex") for days in (0, 29, 30)
    )
    assert first == last != next_one
    with pytest.raises(OperatorError, match="no key"):
        pseudonyms(Settings(environment="production"), start_ms)
