"""What the API tells of the models, and how it takes the call for a new fit."""

import msgspec
import pytest

from infra.fakes.memory_publisher import MemoryPublisher
from infra.redis.metrics.click_rate_store import MemoryClickRateStore
from infra.redis.metrics.online_metrics_store import INTERVAL_MS, IntervalFigures, MemoryOnlineMetricsStore
from infra.redis.stores.model_status import SERVING, MemoryModelStatusStore, ModelStatus, Training, Version
from schemas.limit import RETRAINER
from tests.unit.api.builder import NOW_MS, World
from topics.topic import TRIGGERS


async def shown(board: ModelStatus) -> dict[str, object]:
    boards = MemoryModelStatusStore()
    await boards.write(board)
    async with World(clients={"model_status": boards}).http() as http:
        body: dict[str, object] = (await http.get("/metrics/models")).json()
        return body


async def test_models_are_shown_with_versions_metrics_and_age() -> None:
    old = Version(version="v1", status="replaced", created_at=NOW_MS - 9_000, metrics={"ndcg@10": 0.1})
    new = Version(version="v2", status=SERVING, created_at=NOW_MS - 1_500, metrics={"ndcg@10": 0.2}, events=7)
    text = await shown(ModelStatus(model="blend", serving="v2", versions=[new, old]))
    assert (text["model"], text["serving"], text["metrics"], text["age_s"]) == (
        *("blend", "v2"),
        *({"ndcg@10": 0.2}, 1.5),
    )
    versions = msgspec.convert(text["versions"], list[dict[str, object]])
    assert [version["age_s"] for version in versions] == [1.5, 9.0]


async def test_a_fit_in_progress_is_shown_with_its_progress() -> None:
    text = await shown(ModelStatus(training=Training(state="fitting", learned=25, total=100)))
    training = msgspec.convert(text["training"], dict[str, object])
    assert (training["state"], training["progress"]) == ("fitting", 0.25)


async def test_the_metrics_of_what_was_served_are_shown_by_hour_and_day() -> None:
    metrics = MemoryOnlineMetricsStore(clock_s=lambda: NOW_MS / 1_000)
    await metrics.add({NOW_MS // INTERVAL_MS: IntervalFigures(outcomes=4, hits=2, gain=1.0, items=frozenset("ab"))})
    rates = MemoryClickRateStore(clock_s=lambda: NOW_MS / 1_000)
    await rates.write(0, {NOW_MS // INTERVAL_MS - 20: {"all": {"": (10, 1)}, "arm": {"homepage=b": (10, 1)}}})
    async with World(clients={"online_metrics": metrics, "click_rates": rates}).http() as http:
        for path in ("/metrics/models", "/evaluation/metrics"):
            answer = (await http.get(path)).json()["served"]
            hour, day = answer["last_hour"], answer["last_day"]
            assert (hour["hr@10"], hour["ndcg@10"], hour["items"], hour["click_through_rate"]) == (0.5, 0.25, 2, None)
            assert (day["outcomes"], day["impressions"], day["clicks"], day["click_through_rate"]) == (4, 10, 1, 0.1)
            arm = {"label": "homepage=b", "impressions": 10, "clicks": 1, "click_through_rate": 0.1}
            assert (hour["click_through_rates"]["arm"], day["click_through_rates"]["arm"]) == ([], [arm])


async def test_before_any_trainer_ran_there_are_no_versions() -> None:
    text = await shown(ModelStatus())
    assert (text["serving"], text["versions"], text["metrics"], text["age_s"]) == (None, [], {}, None)


@pytest.mark.parametrize("body", [None, {"reason": "new catalogue", "event_id": "e1"}])
async def test_retrain_publishes_a_trigger_and_returns_its_id(body: dict[str, str] | None) -> None:
    publisher = MemoryPublisher()
    async with World(publisher).http() as http:
        answer = await (http.post("/retrain") if body is None else http.post("/retrain", json=body))
    assert answer.status_code == 202
    (trigger,) = publisher.values_of(TRIGGERS)
    assert answer.json() == {"event_id": trigger.event_id, "status": "accepted"}
    assert (trigger.kind, trigger.user_id, trigger.reason) == ("retrain", RETRAINER, (body or {}).get("reason", ""))
    assert body is None or trigger.event_id == body["event_id"]


async def test_retrain_refuses_a_body_that_cannot_be_used() -> None:
    publisher = MemoryPublisher()
    async with World(publisher).http() as http:
        assert (await http.post("/retrain", json={"reason": 5})).status_code == 422
        assert (await http.post("/retrain", content=b"x", headers={"content-type": "text/csv"})).status_code == 415
