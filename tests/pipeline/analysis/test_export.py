"""`millrace export`, `millrace sql` and the training table on a real stream."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from schemas.types import Features, Interaction
from tests.pipeline.pipeline import Pipeline
from topics.topic import FEATURES, INTERACTIONS

EVENTS = 140 + 1 + 2 + 1 + 3
"""Interactions that were folded: the stream, a late one, a rating and its correction, one more, and three likes."""


async def command(pipeline: Pipeline, *arguments: str) -> str:
    status, out, err = await pipeline.millrace(*arguments)
    assert status == 0, err
    return out


async def exported(pipeline: Pipeline, path: Path, *arguments: str) -> list[dict[str, Any]]:
    """Export to Parquet and return the rows."""
    report = json.loads(await command(pipeline, "export", *arguments, "--output", str(path), "--json"))
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist(maps_as_pydicts="strict")
    assert report["rows"] == len(rows)
    return rows


async def usable(pipeline: Pipeline) -> list[Interaction]:
    """Return the interactions that can be decoded."""
    codec = pipeline.registry.codec(Interaction)
    values = [value for _, value in await pipeline.messages(INTERACTIONS) if value and value != b"no record"]
    return [codec.decode(value) for value in values]


async def test_a_topic_is_exported_to_every_format(history: Pipeline, tmp_path: Path) -> None:
    events = await usable(history)
    rows = await exported(history, tmp_path / "events.parquet", "interactions")
    assert Counter(row["event_id"] for row in rows) == Counter(event.event_id for event in events)
    [late] = [row for row in rows if row["event_id"] == "late"]
    assert late["occurred_at"] < late["appended_at"]
    assert late["occurred_at"].tzinfo is not None

    path = tmp_path / "some.csv"
    span = ("--from", "1h", "--user", "u1", "--columns", "event_id,occurred_at,context", "--limit", "5")
    await command(history, "export", "interactions", "--to", "csv", "--output", str(path), *span)
    with path.open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 5
    assert list(lines[0]) == ["event_id", "occurred_at", "context"]
    assert lines[0]["context"] == "{}"

    path = tmp_path / "feeds.jsonl"
    await command(history, "export", "feeds", "--to", "jsonl", "--output", str(path))
    feed = json.loads(path.read_text().splitlines()[0])
    assert len(feed["items"]) == len(feed["scores"]) == len(next(iter(feed["parts"].values())))

    path = tmp_path / "world.duckdb"
    await command(history, "export", "interactions", "--to", "duckdb", "--output", str(path))
    await command(history, "export", "dead-letters", "--to", "duckdb", "--output", str(path))
    with duckdb.connect(str(path)) as database:
        assert database.sql("SELECT count(*) FROM interactions").fetchall() == [(len(events),)]
        assert database.sql("SELECT reason FROM dead_letters").fetchall() == [("bad_frame",)]


async def test_what_cannot_be_exported_is_refused(history: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.touch()
    for arguments, words in (
        (("nothing",), "The archive has"),
        (("items", "--user", "u1"), "belong to no user"),
        (("interactions", "--columns", "mood"), "has no column mood"),
        (("interactions", "--from", "yesterday"), "is no time"),
        (("interactions", "--output", str(path)), "exists"),
    ):
        status, _, err = await history.millrace("export", "--output", str(tmp_path / "new.parquet"), *arguments)
        assert (status, "Traceback" in err) == (1, False), err
        assert words in err
    assert [one.name for one in tmp_path.glob("*")] == ["a.parquet"]  # noqa: ASYNC240 - a handful of files


async def test_training_rows_hold_the_features_that_were_live_before_them(history: Pipeline, tmp_path: Path) -> None:
    rows = await exported(history, tmp_path / "training.parquet", "training")
    assert len(rows) == EVENTS
    live = {(one.user_id, one.version): one for one in await history.read(FEATURES)}
    compared_ids = set()
    for row in rows:
        features = live.get((row["user_id"], row["user_version"]))
        if features is not None:
            compared_ids.add(row["event_id"])
            assert _features_of(row) == _plain(features)
    assert compared_ids >= {"rating", "correction", "after"}  # each was published before the next one came


async def test_no_training_row_knows_the_future(history: Pipeline, tmp_path: Path) -> None:
    rows = await exported(history, tmp_path / "training.parquet", "training")
    events: dict[str, list[dict[str, Any]]] = {}
    item_counts: Counter[str] = Counter()
    for row in rows:
        earlier = events.setdefault(row["user_id"], [])
        assert row["user_event_count"] == len(earlier)
        assert row["user_version"] > (earlier[-1]["user_version"] if earlier else -1)
        assert {one["item_id"] for one in row["user_recent"]} == {one["item_id"] for one in earlier}
        assert sum(row["user_counts"].values()) == len(earlier)
        assert sum(row["item_counts"].values()) == item_counts[row["item_id"]]
        earlier.append(row)
        item_counts[row["item_id"]] += 1
    by_event = {row["event_id"]: row for row in rows}
    late, rating, correction, after = (by_event[name] for name in ("late", "rating", "correction", "after"))
    assert late["user_watermark"] > late["occurred_at"]
    assert "i40" not in {one["item_id"] for one in late["user_recent"]}
    assert (rating["item_rating_count"], correction["item_rating_count"]) == (0, 1)
    assert (rating["is_positive"], correction["is_positive"]) == (False, True)
    [old] = [one for one in correction["user_recent"] if one["item_id"] == "i41"]
    assert old["weight"] == rating["weight"] < 0
    assert next(one["weight"] for one in after["user_recent"] if one["item_id"] == "i41") == correction["weight"] > 0
    one_user = await exported(history, tmp_path / "u1.parquet", "training", "--user", "u1")
    sums = [one.pop(name) for one in one_user for name in _ITEM_SUMS]
    assert sums == pytest.approx([row.pop(name) for row in rows if row["user_id"] == "u1" for name in _ITEM_SUMS])
    assert one_user == [row for row in rows if row["user_id"] == "u1"]


_ITEM_SUMS = ("item_trending", "item_popularity")
"""Sums whose terms are added in an order that depends on which rows are asked for, so that roundings differ."""
_REPEATABLE = ("interactions_offset",)
"""Features that an event which a client has sent twice changes, without a new version."""


def _features_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the features of a training row with their own names, as plain values."""
    values = {name.removeprefix("user_"): value for name, value in row.items() if name.startswith("user_")}
    return {name: value for name, value in _untimed(values).items() if name not in ("id", *_REPEATABLE)}


def _plain(features: Features) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(features)
    absent = ("user_id", "seen", "embedding", "embedding_space", *_REPEATABLE)
    return {name: value for name, value in values.items() if name not in absent}


def _untimed(value: Any) -> Any:
    """Return a value with its times in ms since the epoch."""
    if isinstance(value, dict):
        return {name: _untimed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_untimed(one) for one in value]
    return round(value.timestamp() * 1000) if hasattr(value, "timestamp") else value


async def rows_of(pipeline: Pipeline, statement: str, *options: str) -> list[dict[str, Any]]:
    out = await command(pipeline, "sql", statement, "--json", *options)
    return [json.loads(line) for line in out.splitlines()]


async def test_sql_joins_topics_the_archive_and_files(history: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    await command(history, "export", "items", "--output", str(path))
    statement = f"""
        WITH acts AS (SELECT item_id, count(*) AS events FROM interactions WHERE event_id <> 'none' GROUP BY ALL)
        SELECT archived.category, sum(events)::BIGINT AS events, count(archived.item_id) AS archived
        FROM acts JOIN '{path}' USING (item_id) JOIN archive.items archived USING (item_id)
        GROUP BY ALL ORDER BY category
    """
    rows = await rows_of(history, statement)
    assert [row["category"] for row in rows] == ["movies", "music", "places"]
    assert sum(row["events"] for row in rows) == EVENTS + 1  # a repeat is in the topic twice
    assert await rows_of(history, "SELECT reason FROM dead_letters") == [{"reason": "bad_frame"}]
    assert await rows_of(history, 'SELECT count(*) AS n FROM "dead-letters"', "--until", "1d") == [{"n": 0}]
    table = await command(history, "sql", "SELECT max(occurred_at) AS newest, 1.5 AS half FROM interactions")
    assert "1.5" in table
    _, _, err = await history.millrace("sql", "SELECT count(*) FROM interactions")
    assert "Left out: 1 bad_frame." in err
    assert "1 rows" in table


@pytest.mark.parametrize(
    ("statement", "words"),
    [("SELEC 1", "syntax error"), ("DROP TABLE x", "Only SELECT"), ("SELECT * FROM nothing", "nothing does not exist")],
)
async def test_sql_says_why_a_statement_cannot_be_run(history: Pipeline, statement: str, words: str) -> None:
    status, _, err = await history.millrace("sql", statement)
    assert (status, "Traceback" in err) == (1, False), err
    assert words in err


async def test_the_tail_of_a_topic_is_filtered(history: Pipeline) -> None:
    async def tail(*options: str) -> list[dict[str, Any]]:
        out = await command(history, "topics", "tail", "interactions", "--once", "--json", *options)
        return [json.loads(line) for line in out.splitlines()]

    rows = await tail("--key", "u1", "--where", "action=rate", "--where", "value>=4", "--from", "1h")
    assert [row["value"]["event_id"] for row in rows] == ["correction", "correction"]
    [after] = await tail("--offset", f"{rows[1]['partition']}@{rows[1]['offset']}", "--where", "item_id=i42")
    assert after["value"]["event_id"] == "after"
    assert await tail("--until", "1h") == []
    [newest] = await tail("-n", "1", "--where", "action=like")
    assert newest["value"]["request_id"] == "r2"
    for option, words in (("--where", "is no condition"), ("--offset", "is no position")):
        status, _, err = await history.millrace("topics", "tail", "interactions", option, "nonsense")
        assert (status, "Traceback" in err) == (1, False), err
        assert words in err


async def test_a_pseudonymous_export_names_nobody(history: Pipeline, tmp_path: Path) -> None:
    settings = {"EXPORT_PSEUDONYMS": "true", "PSEUDONYM_KEY": "k" * 32}
    events, path = await usable(history), tmp_path / "events.parquet"
    code, out, err = await history.millrace("export", "interactions", "--output", str(path), "--json", **settings)
    assert code == 0, err
    assert {"query", "context"} <= set(json.loads(out)["left_out"])
    rows = pq.read_table(path).to_pylist()
    assert Counter(row["item_id"] for row in rows) == Counter(event.item_id for event in events)
    users = {event.user_id for event in events}
    assert len({row["user_id"] for row in rows}) == len(users)
    assert not {row["user_id"] for row in rows} & users

    path = tmp_path / "training.parquet"
    code, _, err = await history.millrace("export", "training", "--pseudonymous", "--output", str(path))
    assert code == 0, err
    rows = pq.read_table(path).to_pylist()
    assert not {row["user_id"] for row in rows} & users
    assert {row["user_segment"] for row in rows} == {""}, "no segment has so many users"

    code, _, err = await history.millrace("export", "interactions", "--user", "u1", **settings)
    assert code == 1
    assert "whose pseudonym" in err
