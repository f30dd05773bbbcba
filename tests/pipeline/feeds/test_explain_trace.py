"""`millrace explain` and `millrace trace` against a running stack."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from infra import clock
from infra.address import Addresses
from infra.local.port import free_ports
from schemas.types import Interaction
from tests.build import a_profile_update, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import FEATURES, FEEDS, INTERACTIONS, ITEMS, PROFILE_UPDATES

CATEGORIES = ("music", "movies", "places")


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        items = [an_item(f"i{n}", category=CATEGORIES[n % 3], topics=[f"topic-{n % 5}"]) for n in range(60)]
        await pipeline.publish(ITEMS, items)
        yield pipeline


async def report(pipeline: Pipeline, *arguments: str) -> dict[str, Any]:
    """Run a command with --json and return its document."""
    status, out, err = await pipeline.millrace(*arguments, "--json")
    assert status == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


async def refusal(pipeline: Pipeline, *arguments: str, **env: str) -> str:
    """Run a command that ends with an error, and return the message."""
    status, _, err = await pipeline.millrace(*arguments, **env)
    assert status == 1
    assert "Traceback" not in err
    return err


def a_click(user_id: str, item_id: str) -> Interaction:
    event_id = str(uuid.uuid4())
    return an_interaction(event_id=event_id, user_id=user_id, item_id=item_id, occurred_at=clock.now_ms())


async def test_a_feed_is_explained_and_its_event_traced(pipeline: Pipeline) -> None:
    await pipeline.start("feed,trainer,links,archive")
    town = [a_click(f"u{n % 7}", f"i{n * n % 30}") for n in range(140)]
    await pipeline.publish(INTERACTIONS, town)
    event = a_click("u1", "i31")
    await pipeline.publish(INTERACTIONS, [event])
    await pipeline.settle()
    await _check_trace(pipeline, event)
    await pipeline.rerank(["u1"], now_ms=clock.now_ms())
    await _check_explanation(pipeline)

    await pipeline.publish(INTERACTIONS, [event])
    bad = a_click("u1", "i2")
    data = pipeline.registry.codec(Interaction).encode(bad)
    pipeline.publisher.produce_bytes(INTERACTIONS, b"u1", struct.pack(">bI", 0, 987_654) + data[5:])
    change = a_profile_update(event_id=str(uuid.uuid4()), user_id="u1", muted=["movies"], occurred_at=clock.now_ms())
    await pipeline.publish(PROFILE_UPDATES, [change])
    await pipeline.settle()
    await _check_other_fates(pipeline, repeat=event.event_id, dead=bad.event_id, change=change.event_id)


async def _check_trace(pipeline: Pipeline, event: Interaction) -> None:
    async def archived() -> bool:
        trace = await report(pipeline, "trace", event.event_id)
        return bool(trace["hops"][-1]["note"] == "in PostgreSQL")

    await until(archived, what="the archive")
    trace = await report(pipeline, "trace", event.event_id, "--user", "u1", "--since", "10min")
    assert trace == await report(pipeline, "trace", event.event_id)
    assert (trace["user_id"], trace["state"], trace["repeats"]) == ("u1", "served", [])
    hops = {hop["step"]: hop for hop in trace["hops"]}
    assert list(hops) == ["occurred", "appended", "folded", "ranked", "stored", "published", "archived"]
    topics = {step: hop["topic"] for step, hop in hops.items() if hop["topic"]}
    assert topics == {"appended": "interactions.v1", "folded": "features.v1", "published": "feeds.v1"}
    assert hops["occurred"]["at"] == event.occurred_at
    assert 0 <= trace["total_ms"] == hops["published"]["at"] - hops["appended"]["at"] < 60_000
    [features] = [one for one in await pipeline.read(FEATURES) if one.watermark == event.occurred_at][:1]
    assert features.recent[0].item_id == "i31"

    _, table, _ = await pipeline.millrace("trace", event.event_id)
    assert f"{hops['folded']['partition']}@{hops['folded']['offset']} of features.v1" in table

    missing = await refusal(pipeline, "trace", "no-such-event", "--since", "2d")
    assert "No topic holds an event no-such-event of the last 2d" in missing
    assert "no duration" in await refusal(pipeline, "trace", event.event_id, "--since", "yesterday")


async def _check_explanation(pipeline: Pipeline) -> None:
    explanation = await report(pipeline, "explain", "u1", "i31")
    assert explanation["comparison"]["is_equal"], explanation["comparison"]
    assert explanation["explanation"]["removed_by"] == ["seen"]
    assert explanation["served"]["position"] == explanation["explanation"]["position"]

    [feed] = [one for one in (await pipeline.newest(FEEDS)).values() if one.user_id == "u1"]
    explanation = await report(pipeline, "explain", "u1", feed.items[2])
    item = explanation["explanation"]
    assert (item["outcome"], item["position"], explanation["served"]["position"]) == ("ranked", 3, 3)
    assert sum(share["contribution"] for share in item["features"]) == pytest.approx(feed.scores[2], abs=1e-4)
    assert item["reason"] == feed.reasons[2]

    _, table, _ = await pipeline.millrace("explain", "u1", feed.items[2])
    assert "The feed ranked now equals the one that is served." in table
    assert "at position 3" in table

    assert "Nothing is known of user nobody" in await refusal(pipeline, "explain", "nobody", "i1")
    assert "There is no item nothing" in await refusal(pipeline, "explain", "u1", "nothing")
    assert (await report(pipeline, "explain", "~everyone", "i1"))["served"]["position"] is not None
    (port,) = free_ports(1)
    away = await refusal(pipeline, "explain", "u1", "i1", SCHEMA_REGISTRY_URL=f"http://127.0.0.1:{port}")
    assert "does not answer" in away


async def _check_other_fates(pipeline: Pipeline, *, repeat: str, dead: str, change: str) -> None:
    trace = await report(pipeline, "trace", repeat)
    assert (trace["state"], len(trace["repeats"])) == ("served", 1)
    trace = await report(pipeline, "trace", dead)
    assert trace["state"] == "dead_letter"
    assert "user.decode, unknown_schema" in trace["detail"]
    trace = await report(pipeline, "trace", change)
    assert trace["state"] == "served"
    steps = [hop["step"] for hop in trace["hops"]]
    assert steps == ["occurred", "appended", "merged", "folded", "ranked", "stored", "published"]
    explanation = await report(pipeline, "explain", "u1", "i1")
    assert explanation["explanation"]["removed_by"][0] == "muted"
