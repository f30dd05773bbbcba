"""Relations to files and into SQL, without servers."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.analytics.arrow_schema import arrow_schema, record_rows
from infra.analytics.query_session import QuerySession, TableName
from infra.analytics.relation import Relation
from infra.analytics.table_file import FileFormat, write_file
from infra.error import OperatorError
from tests.build import an_interaction
from tests.sample import a_sample
from topics import TOPICS, Topic
from topics.topic import INTERACTIONS

EVENTS = [an_interaction(user_id=f"u{n % 2}", value=n / 2, context={"surface": "home"}) for n in range(5)]


def a_relation(fails_after: int | None = None, *, name: str = "dead-letters") -> Relation:
    """Return the events in batches of two; after a number of them the source fails."""
    schema = arrow_schema(INTERACTIONS.record)

    async def batches() -> AsyncIterator[pa.RecordBatch]:
        for start in range(0, len(EVENTS), 2):
            if start == fails_after:
                raise OSError("the source is gone")
            yield pa.RecordBatch.from_pylist(record_rows(EVENTS[start : start + 2]), schema)

    return Relation(name, schema, batches())


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_record_has_columns_that_hold_it(topic: Topic) -> None:
    record = a_sample(topic.record)
    schema = arrow_schema(topic.record)
    [row] = pa.RecordBatch.from_pylist(record_rows([record]), schema).to_pylist(maps_as_pydicts="strict")
    assert list(row) == list(topic.record.__struct_fields__)
    times = {field.name for field in schema if pa.types.is_timestamp(field.type)}
    for name, value in msgspec.to_builtins(record, builtin_types=(bytes,)).items():
        if name in times:
            assert round(row[name].timestamp() * 1000) == value
        elif isinstance(value, (str, int, bytes)):
            assert row[name] == value


@pytest.mark.parametrize("file_format", ["parquet", "csv", "jsonl", "duckdb"])
async def test_a_file_holds_all_rows(tmp_path: Path, file_format: FileFormat) -> None:
    path = tmp_path / f"events.{file_format}"
    assert await write_file(a_relation(), path, file_format) == 5
    assert names_in(tmp_path) == [path.name]
    if file_format == "parquet":
        rows = pq.read_table(path).to_pylist(maps_as_pydicts="strict")
        assert rows[3]["context"] == {"surface": "home"}
        assert round(rows[3]["occurred_at"].timestamp() * 1000) == EVENTS[3].occurred_at
    elif file_format == "csv":
        rows = list(csv.DictReader(path.read_text().splitlines()))
        assert json.loads(rows[3]["context"]) == {"surface": "home"}
    elif file_format == "jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert rows[3]["context"] == {"surface": "home"}
    else:
        with duckdb.connect(str(path)) as database:
            rows = database.sql("FROM dead_letters ORDER BY occurred_at").to_arrow_table().to_pylist()
    assert [float(row["value"]) for row in rows] == [0.0, 0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize("file_format", ["parquet", "jsonl", "duckdb"])
async def test_a_failed_export_leaves_no_file_and_the_old_one_as_it_was(
    tmp_path: Path, file_format: FileFormat
) -> None:
    path = tmp_path / "events"
    with pytest.raises(OSError, match="gone"):
        await write_file(a_relation(fails_after=2), path, file_format)
    assert names_in(tmp_path) == []
    await write_file(a_relation(), path, file_format)
    content = path.read_bytes()
    with pytest.raises(OSError, match="gone"):
        await write_file(a_relation(fails_after=2), path, file_format)
    assert path.read_bytes() == content


async def test_columns_and_rows_are_chosen() -> None:
    relation = a_relation().select(["value", "user_id"]).head(3)
    rows = [row async for batch in relation.batches for row in batch.to_pylist()]
    assert rows == [{"value": n / 2, "user_id": f"u{n % 2}"} for n in range(3)]
    with pytest.raises(OperatorError, match="has no column mood"):
        a_relation().select(["mood"])


async def test_a_statement_names_its_tables() -> None:
    statement = """
        WITH a AS (SELECT * FROM feeds) SELECT * FROM a JOIN archive.items USING (item_id)
        WHERE item_id IN (SELECT item_id FROM "dead-letters") UNION ALL FROM 'x.parquet'
    """
    with QuerySession() as session:
        names = session.table_names(statement)
    assert names >= {TableName("", "feeds"), TableName("archive", "items"), TableName("", "dead-letters")}


async def test_a_relation_is_a_view_under_both_its_names() -> None:
    with QuerySession() as session:
        await session.add(a_relation(), schema="archive")
        await session.add(a_relation(name="events"))
        assert session.table_names("FROM events") == {TableName("", "events")}
        statement = """
            SELECT sum(value) AS total, (SELECT count(*) FROM archive.dead_letters)::INTEGER AS n FROM events
            WHERE events.user_id = 'u1' AND (SELECT count(*) FROM archive."dead-letters") = 5
        """
        assert session.query(statement).to_pylist() == [{"total": 2.0, "n": 5}]
        with pytest.raises(OperatorError, match="nothing does not exist"):
            session.query("FROM nothing")
