"""Experiments over HTTP: definition, changes of status, promotion and roll-back, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from infra.experiments.arm_parameters import ARM_PARAMETERS
from infra.redis.stores.experiment_store import MemoryExperimentStore
from schemas.types import Experiment
from tests.build import T0_MS, an_experiment
from tests.unit.api.builder import NOW_MS, World
from topics.topic import EXPERIMENTS


async def test_an_experiment_is_published_as_defined() -> None:
    world = World()
    body = {
        "name": "More of what is new",
        "arms": [{"name": "as it is"}, {"name": "new", "parameters": {"SERENDIPITY_WEIGHT": 2}}],
        "starts_at": "2023-11-14T00:00:00Z",
    }
    async with world.http() as http:
        answer = await http.post("/ab/experiments", json=body)
    [experiment] = world.publisher.values_of(EXPERIMENTS)
    assert (answer.status_code, answer.json()["experiment_id"]) == (201, experiment.experiment_id)
    assert [(arm.name, arm.share, arm.parameters) for arm in experiment.arms] == [
        ("as it is", 0.5, {}),
        ("new", 0.5, {"SERENDIPITY_WEIGHT": "2"}),
    ]
    assert (experiment.status, experiment.starts_at, experiment.occurred_at) == ("draft", 1_699_920_000_000, NOW_MS)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"arms": [{"name": "one"}]}, "arms"),
        ({"arms": [{"name": "one"}, {"name": "one"}]}, "arms"),
        ({"arms": [{"name": "one", "share": 0.5}, {"name": "two"}]}, "arms"),
        ({"arms": [{"name": "one", "share": 0.5}, {"name": "two", "share": 0.6}]}, "arms"),
        ({"name": " "}, "name"),
        ({"status": "unknown"}, "status"),
        ({"starts_at": 2, "ends_at": 1}, "ends_at"),
        ({"starts_at": 2**70}, "starts_at"),
        ({"starts_at": -1}, "starts_at"),
        ({"traffic_from": 0.5, "traffic_to": 0.5}, "traffic_to"),
        ({"traffic_to": 1.5}, "traffic_to"),
        ({"targeting": {"shoe size": ["40"]}}, "targeting"),
        ({"targeting": {"city": []}}, "targeting[city]"),
        ({"layer": "a\nb"}, "layer"),
        (
            {"is_shadow": True, "arms": [{"name": "one", "parameters": {"EPSILON": 1}}, {"name": "two"}]},
            "arms[one].parameters",
        ),
        (
            {"arms": [{"name": "one"}, {"name": "two", "parameters": {"DIVERSITY_CAP": 2}}]},
            "arms[two].parameters",
        ),
    ],
)
async def test_an_experiment_that_cannot_be_run_is_refused(body: dict[str, Any], field: str) -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post(
            "/ab/experiments", json={"name": "x", "arms": [{"name": "one"}, {"name": "two"}], **body}
        )
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert not world.publisher.records_by_topic


async def test_experiments_are_shown_as_they_are_defined() -> None:
    experiments = MemoryExperimentStore()
    running: Experiment = an_experiment(experiment_id="x2", status="running", occurred_at=T0_MS + 1)
    await experiments.write([an_experiment(), running])
    async with World(clients={"experiments": experiments}).http() as http:
        body = (await http.get("/ab/experiments")).json()
        some = (await http.get("/ab/experiments", params={"status": "running"})).json()
        newest = (await http.get("/ab/experiments", params={"limit": 1})).json()
    assert ([one["experiment_id"] for one in body["experiments"]], body["count"]) == (["x2", "x1"], 2)
    assert ([one["experiment_id"] for one in newest["experiments"]], newest["count"]) == (["x2"], 1)
    assert [one["experiment_id"] for one in some["experiments"]] == ["x2"]


async def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    world = World()
    arms = [{"name": "one"}, {"name": "two", "parameters": {"fresh": 2}}]
    async with world.http() as http:
        answer = await http.post("/ab/experiments", json={"name": "x", "arms": arms})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (
        422,
        "unknown_parameter",
        "arms[two].parameters.fresh",
    )
    assert all(name in error["message"] for name in ARM_PARAMETERS)
    assert not world.publisher.records_by_topic


async def test_an_experiment_goes_from_draft_to_promotion_and_back() -> None:
    world, one = World(), "/ab/experiments/x1"
    definition = {"experiment_id": "x1", "name": "x", "arms": [{"name": "a"}, {"name": "b"}]}
    async with world.http() as http:
        await http.post("/ab/experiments", json=definition)
        statuses = [
            (await http.patch(one, json={"status": status})).json()["status"] for status in ("running", "paused")
        ]
        new_shares = [{"name": "a", "share": 0.2}, {"name": "b", "share": 0.8}]
        shares = (await http.patch(one, json={"arms": new_shares, "ends_at": None})).json()
        winner = (await http.post(f"{one}/promote", json={"arm": "b"})).json()
        definitions = (await http.get("/ab/experiments", params={"status": "completed"})).json()["experiments"]
        rolled_back = (await http.post(f"{one}/rollback")).json()
        again = await http.post(f"{one}/rollback")
        last = (await http.get(one)).json()
    assert statuses == ["running", "paused"]
    assert [arm["share"] for arm in shares["arms"]] == [0.2, 0.8]
    assert (winner["status"], winner["winner"], winner["promoted_at"]) == ("completed", "b", NOW_MS)
    assert definitions == [winner]
    assert (rolled_back["winner"], rolled_back["promoted_at"], rolled_back) == ("", None, last)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "experiment_conflict")
    versions = [record.occurred_at for record in world.publisher.values_of(EXPERIMENTS)]
    assert versions == sorted(set(versions))


async def test_arms_are_paused_and_resumed_while_the_experiment_goes_on() -> None:
    world, one = World(), "/ab/experiments/x1"
    definition = {"experiment_id": "x1", "name": "x", "status": "running"}
    definition |= {"arms": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}
    async with world.http() as http:
        await http.post("/ab/experiments", json=definition)
        first = (await http.patch(one, json={"paused_arms": ["b"]})).json()
        shares = [{"name": name, "share": share} for name, share in (("a", 0.5), ("b", 0.25), ("c", 0.25))]
        second = (await http.patch(one, json={"arms": shares})).json()
        both = await http.patch(one, json={"paused_arms": ["b", "c"]})
        third = (await http.patch(one, json={"paused_arms": []})).json()
    assert first["status"] == "running"
    assert [arm["pauses"] for arm in first["arms"]] == [
        [],
        [{"paused_at": first["occurred_at"], "resumed_at": None, "reason": ""}],
        [],
    ]
    assert [arm["share"] for arm in second["arms"]] == [0.5, 0.25, 0.25]
    assert second["arms"][1]["pauses"] == first["arms"][1]["pauses"]
    assert (both.status_code, both.json()["error"]["code"]) == (409, "experiment_conflict")
    assert third["arms"][1]["pauses"][0]["resumed_at"] == third["occurred_at"]


async def test_a_shadow_starts_and_ends_as_experiments_do_and_is_never_promoted() -> None:
    world, one = World(), "/ab/experiments/x1"
    arms = [{"name": "as it is"}, {"name": "b", "parameters": {"EPSILON": 0.5}}]
    async with world.http() as http:
        await http.post("/ab/experiments", json={"experiment_id": "x1", "name": "x", "arms": arms})
        draft = (await http.patch(one, json={"is_shadow": True})).json()
        running = (await http.patch(one, json={"status": "running"})).json()
        refusals = [
            await http.patch(one, json={"is_shadow": False}),
            await http.post(f"{one}/promote", json={"arm": "b"}),
        ]
        final_definition = (await http.patch(one, json={"status": "completed"})).json()
    assert [one["is_shadow"] for one in (draft, running, final_definition)] == [True, True, True]
    assert [answer.status_code for answer in refusals] == [409, 409]
    assert final_definition["status"] == "completed"


async def test_changes_that_a_status_or_a_layer_does_not_allow_are_refused() -> None:
    experiments = MemoryExperimentStore()
    running: Experiment = an_experiment(experiment_id="x1", status="running", layer="feed", traffic_to=0.5)
    await experiments.write([running, an_experiment(experiment_id="x2", status="completed")])
    world = World(clients={"experiments": experiments})
    body = {"name": "x", "arms": [{"name": "a"}, {"name": "b"}]}
    async with world.http() as http:
        answers = [
            await http.patch("/ab/experiments/x1", json={"salt": "other"}),
            await http.patch("/ab/experiments/x1", json={"status": "draft"}),
            await http.patch("/ab/experiments/x2", json={"status": "running"}),
            await http.post("/ab/experiments", json={**body, "layer": "feed"}),
            await http.post("/ab/experiments", json={**body, "status": "paused"}),
            await http.post("/ab/experiments/x1/promote", json={"arm": "nobody"}),
        ]
        unknown = [
            await http.get("/ab/experiments/x3"),
            await http.patch("/ab/experiments/x3", json={}),
            await http.post("/ab/experiments/x3/promote", json={"arm": "a"}),
            await http.post("/ab/experiments/x3/rollback"),
        ]
        bad = await http.patch("/ab/experiments/x1", json={"ends_at": "soon"})
    assert [(one.status_code, one.json()["error"]["code"]) for one in answers] == [(409, "experiment_conflict")] * 6
    assert [(one.status_code, one.json()["error"]["code"]) for one in unknown] == [(404, "unknown_experiment")] * 4
    assert (bad.status_code, bad.json()["error"]["field"]) == (422, "ends_at")
    assert not world.publisher.records_by_topic
