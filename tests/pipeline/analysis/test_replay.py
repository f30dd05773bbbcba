"""Feeds of the past, replays, and the page of analysts' questions, on a real stream."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from domain.timestamp import iso_time
from infra import clock
from infra.local.port import free_ports
from infra.postgres.month_partitions import MonthPartitions
from infra.redis.stores.feed_codec import version
from schemas.types import Feed, FeedOrder
from streams.roles.archive.archive_role import WRITES
from tests.build import T0_MS, a_feed
from tests.pipeline.analysis.conftest import archived
from tests.pipeline.pipeline import Pipeline
from topics.topic import FEEDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "analysts.md").read_text()
QUESTIONS = re.findall(r"^## (.+\?)$", PAGE, re.MULTILINE)
BLOCKS = re.findall(r"^```sh\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CONFIG = re.findall(r"^```ini\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]


async def report(pipeline: Pipeline, *arguments: str) -> dict[str, Any]:
    status, out, err = await pipeline.millrace(*arguments, "--json")
    assert status == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


async def feeds_of(pipeline: Pipeline, user_id: str) -> list[Feed]:
    """Return the feeds of a user, oldest first, once the archive has all of them."""
    feeds = [feed for feed in await pipeline.read(FEEDS) if feed.user_id == user_id]
    await archived(
        pipeline,
        f"SELECT 1 FROM feed_history WHERE user_id = '{user_id}' AND features_version = {feeds[-1].features_version}",
    )
    return feeds


async def test_a_feed_of_the_past_is_the_one_that_was_served(history: Pipeline) -> None:
    feeds = await feeds_of(history, "u1")
    assert len(feeds) > 3
    for feed in (feeds[0], feeds[-2], feeds[-1]):
        past = await report(history, "feed-at", "u1", iso_time(feed.generated_at))
        assert past["version"] == version(feed)
        assert (past["model"], past["watermark"]) == (feed.model, feed.watermark)
        assert [item["item_id"] for item in past["items"]] == feed.items
        assert [item["reason"] for item in past["items"]] == feed.reasons
        assert [item["score"] for item in past["items"]] == pytest.approx(feed.scores, abs=1e-4)
    _, table, _ = await history.millrace("feed-at", "u1", "0s", "-n", "3")
    assert feeds[-1].reasons[0].split()[0] in table
    status, _, err = await history.millrace("feed-at", "u1", iso_time(feeds[0].generated_at - 1))
    assert status == 1
    assert "has no feed of u1 from before" in err


async def test_the_api_shows_a_feed_of_the_past_to_admins_within_a_second(history: Pipeline) -> None:
    feed = (await feeds_of(history, "u1"))[-2]
    url = await history.start_api(free_ports(1)[0], ADMIN_TOKEN="sesame")
    headers = {"authorization": "Bearer sesame"}
    async with httpx.AsyncClient(base_url=url) as http:
        began_s = time.perf_counter()
        reply = await http.get("/admin/feeds/u1", params={"at": iso_time(feed.generated_at)}, headers=headers)
        assert time.perf_counter() - began_s < 1.0
        assert reply.json()["version"] == version(feed)
        assert [item["item_id"] for item in reply.json()["items"]] == feed.items
        assert (await http.get("/admin/feeds/u1", params={"at": iso_time(feed.generated_at)})).status_code == 401
        unknown = await http.get("/admin/feeds/nobody", params={"at": "2026-01-01T00:00:00Z"}, headers=headers)
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "no_past_feed")
        vague = await http.get("/admin/feeds/u1", params={"at": "2026-01-01T00:00:00"}, headers=headers)
        assert vague.status_code == 422


async def test_the_order_of_that_time_is_shown_and_the_feed_of_the_newest_features(history: Pipeline) -> None:
    feed = a_feed(user_id="away", orders=[FeedOrder(from_ms=60_000, indices=[2, 0, 1])])
    late = a_feed(user_id="away", features_version=4, generated_at=T0_MS + 90_000, items=["i7", "i8", "i9"])
    _, statement, rows_of = WRITES[FEEDS.name]
    connection = await asyncpg.connect(history.addresses.database_url)
    try:
        for offset, one in enumerate((feed, late)):
            [row] = rows_of(_Place(T0_MS, FEEDS.name, 0, offset), one)
            await MonthPartitions("feed_history", days=1e5).prepare(connection, [row[0]])
            await connection.execute(statement, *row)
    finally:
        await connection.close()
    for away_ms, items in ((59_999, ["i1", "i2", "i3"]), (60_000, ["i3", "i1", "i2"]), (99_999, ["i3", "i1", "i2"])):
        past = await report(history, "feed-at", "away", iso_time(T0_MS + away_ms))
        assert [item["item_id"] for item in past["items"]] == items


class _Place:
    def __init__(self, timestamp: int, topic: str, partition: int, offset: int) -> None:
        self.timestamp, self.topic, self.partition, self.offset = timestamp, topic, partition, offset


async def test_a_replay_gives_the_features_that_were_published(history: Pipeline, tmp_path: Path) -> None:
    await feeds_of(history, "u1")
    replay = await report(history, "replay", "--from", "1h", "--compare", "--output", str(tmp_path / "feeds.jsonl"))
    assert replay["users"] == 7
    assert (replay["equal_features"], replay["comparable_features"]) == (7, 7)
    assert replay["against_served"]["users"] == 7
    assert replay["against_settings"] is None
    lines = (tmp_path / "feeds.jsonl").read_text().splitlines()
    assert {json.loads(line)["user_id"] for line in lines} == {f"u{n}" for n in range(7)}
    one = await report(history, "replay", "--from", "1h", "--user", "u3")
    assert (one["users"], one["against_served"]) == (1, None)
    dry = await report(history, "replay", "--from", "1h", "--dry-run")
    assert dry["records"] > replay["events"]


async def test_a_replay_under_other_settings_shows_their_effect(history: Pipeline, tmp_path: Path) -> None:
    same, other, wrong = tmp_path / "same.env", tmp_path / "other.env", tmp_path / "wrong.env"
    same.write_text("# nothing\n")
    other.write_text("ALLOW_REPEAT_ITEMS=true\n")
    wrong.write_text("DIVERSITY=1\n")
    same_feeds = await report(history, "replay", "--from", "1h", "--compare", "--config", str(same))
    assert (same_feeds["against_settings"]["equal_feeds"], same_feeds["against_settings"]["overlap"]) == (7, 1.0)
    other_feeds = await report(history, "replay", "--from", "1h", "--compare", "--config", str(other))
    assert other_feeds["against_settings"]["overlap"] < 1.0
    assert other_feeds["against_settings"]["by_user"][0]["overlap"] < 1.0
    status, _, err = await history.millrace("replay", "--config", str(wrong))
    assert status == 1
    assert "names no settings: DIVERSITY" in err
    _, table, _ = await history.millrace("replay", "--from", "1h", "--compare", "--config", str(other))
    assert "top ten that stays" in table


def test_the_page_answers_ten_questions() -> None:
    assert len(QUESTIONS) == 10
    assert len(BLOCKS) >= 10


async def test_every_command_of_the_page_runs(history: Pipeline, tmp_path: Path) -> None:
    await feeds_of(history, "u1")
    (tmp_path / "other.env").write_text(CONFIG)
    for line in "".join(BLOCKS).splitlines():
        words = shlex.split(line.replace("alex", "u1").replace("2026-11-24T14:00+01:00", iso_time(clock.now_ms())))
        assert words[0] == "millrace"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", *words[1:]),
            env=history._environment | {"PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, (line, err.decode())
        assert out.strip(), line
