import asyncio
import logging
import re
import uuid
from typing import Any

import msgspec
import pytest

from api.endpoints.health import overall
from domain.experiment_results import ArmShadow, ShadowFigures
from infra.health.pipeline_health import PipelineHealth, RoleHealth
from infra.redis.connection import StoreError
from infra.redis.metrics.click_rate_store import MemoryClickRateStore
from infra.redis.metrics.experiment_results_store import MemoryExperimentResultsStore
from infra.redis.metrics.online_metrics_store import INTERVAL_MS
from infra.redis.stores.experiment_store import MemoryExperimentStore
from streams.core.experiment_results.shadow_results import shadow_results
from tests.build import an_experiment
from tests.unit.api.builder import NOW_MS, World


async def fine() -> None:
    pass


async def refused() -> None:
    raise ConnectionError("redis://user:secret@host")


class BrokenFeeds:
    """A feed store with a mistake in it."""

    async def read(self, user_ids: Any) -> Any:
        raise KeyError("inside")

    async def close(self) -> None:
        pass


async def test_request_id_is_kept_when_it_is_sane() -> None:
    async with World().http() as http:
        answer = await http.get("/nowhere", headers={"X-Request-ID": "abc-1.2:3"})
    assert answer.headers.get_list("X-Request-ID") == ["abc-1.2:3"]
    assert answer.json()["error"]["request_id"] == "abc-1.2:3"


@pytest.mark.parametrize("text", ["", "a b", "x" * 129, "<script>", "Grüße"])
async def test_request_id_that_is_not_sane_is_replaced(text: str) -> None:
    async with World().http() as http:
        answer = await http.get("/health", headers=[(b"X-Request-ID", text.encode())])
    assert uuid.UUID(answer.headers["X-Request-ID"]).version == 7


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/content/", 404, "not_found"),
        ("PUT", "/interaction", 405, "method_not_allowed"),
        ("POST", "/content", 405, "method_not_allowed"),
    ],
)
async def test_router_refuses_in_the_same_shape(method: str, path: str, status: int, code: str) -> None:
    async with World().http() as http:
        answer = await http.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ("Allow" in answer.headers) is (status == 405)


async def test_unforeseen_error_says_nothing_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with World(clients={"feeds": BrokenFeeds()}).http() as http:
            answer = await http.get("/content?user_id=ann", headers={"X-Request-ID": "r1"})
            metrics = (await http.get("/metrics")).text
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert answer.headers["X-Request-ID"] == "r1"
    assert "inside" not in answer.text
    assert "r1" in caplog.text
    assert 'route="/content",status="500"} 1.0' in metrics


async def test_metrics_count_unknown_paths_as_one() -> None:
    async with World().http() as http:
        for path in ("/a", "/b", "/c"):
            await http.get(path)
        text = (await http.get("/metrics")).text
    assert 'millrace_http_requests_total{method="GET",route="unmatched",status="404"} 3.0' in text


async def test_metrics_report_latencies_by_endpoint() -> None:
    async with World().http() as http:
        for user in ("ann", "bob"):
            await http.get("/content", params={"user_id": user})
        text = (await http.get("/metrics")).text
    assert 'millrace_http_request_duration_seconds_count{route="/content"} 2.0' in text
    [matches] = re.findall(r'millrace_http_request_duration_seconds_sum\{route="/content"\} (\S+)', text)
    assert 0.0 < float(matches) < 10.0


async def test_requests_are_logged_if_enabled_and_without_user_ids(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "api.http.request_context")
    async with World().http(log_requests=True) as http:
        await http.get("/feed/stream/ann?user_id=ann")
        await http.get("/content?user_id=ann")
    assert [record.message for record in caplog.records] == ["request ended"] * 2
    version_record = vars(caplog.records[1])
    assert (version_record["method"], version_record["route"], version_record["status"]) == ("GET", "/content", 404)
    assert version_record["took_ms"] > 0
    assert "ann" not in str([vars(record) for record in caplog.records])


async def test_requests_are_not_logged_unless_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "api.http.request_context")
    async with World().http() as http:
        await http.get("/content?user_id=ann")
    assert not caplog.records


async def test_metrics_report_the_lag_of_each_role() -> None:
    async def heartbeats() -> list[dict[str, Any]]:
        fetch = {"role": "fetch", "pid": 7, "llm": {"circuit": "open", "questions": {"timeout": 2}}}
        return [{**fetch, "waiting": 3}, {**fetch, "waiting": 4}, {"role": "feed", "stale": True, "partitions": [1]}]

    async with World(clients={"heartbeats": heartbeats}).http() as http:
        text = (await http.get("/metrics")).text
    names = {line for line in text.splitlines() if line.startswith("millrace_role{")}
    assert names == {
        'millrace_role{role="fetch",what="waiting"} 7.0',
        'millrace_role{role="fetch",what="llm.circuit.open"} 2.0',
        'millrace_role{role="fetch",what="llm.questions.timeout"} 4.0',
        'millrace_role{role="feed",what="stale"} 1.0',
    }


async def test_metrics_report_impressions_and_clicks_by_label() -> None:
    rates = MemoryClickRateStore(clock_s=lambda: NOW_MS / 1_000)
    figures = {"all": {"": (10, 1)}, "place": {"0": (6, 1), "10+": (4, 0)}, "arm": {"homepage=b": (10, 1)}}
    await rates.write(0, {NOW_MS // INTERVAL_MS: figures, NOW_MS // INTERVAL_MS - 20: figures})
    async with World(clients={"click_rates": rates}).http() as http:
        lines = set((await http.get("/metrics")).text.splitlines())
    assert {
        'millrace_impressions{by="all",label="",span="hour"} 10.0',
        'millrace_impressions{by="all",label="",span="day"} 20.0',
        'millrace_impressions{by="place",label="10+",span="hour"} 4.0',
        'millrace_clicked_impressions{by="place",label="0",span="day"} 2.0',
        'millrace_clicked_impressions{by="arm",label="homepage=b",span="hour"} 1.0',
    } <= lines


async def test_metrics_report_running_shadows_and_only_so_many_arms() -> None:
    experiments, results = MemoryExperimentStore(), MemoryExperimentResultsStore()
    figures = ShadowFigures(rankings=4, overlap=0.75, score_difference=-0.5)
    shadow = ArmShadow(last_hour=figures, total=ShadowFigures(rankings=9, overlap=1.0))
    for number in range(120):
        experiment = an_experiment(experiment_id=f"s{number:03}", is_shadow=True, status="running")
        await experiments.write([experiment])
        await results.write(shadow_results(experiment, {"popular": shadow}, now_ms=NOW_MS))
    await experiments.write([an_experiment(experiment_id="s000", is_shadow=True, status="completed")])
    async with World(clients={"experiments": experiments, "experiment_results": results}).http() as http:
        lines = [line for line in (await http.get("/metrics")).text.splitlines() if "millrace_shadow{" in line]
    assert 'millrace_shadow{arm="popular",experiment="s001",what="overlap"} 0.75' in lines
    assert 'millrace_shadow{arm="popular",experiment="s001",what="score_difference"} -0.5' in lines
    assert not any("s000" in line or "first_place" in line for line in lines)
    assert len(lines) == 100 * 3


async def test_metrics_are_served_without_redis() -> None:
    async def heartbeats() -> list[dict[str, Any]]:
        raise StoreError("reading heartbeats", OSError())

    async with World(clients={"heartbeats": heartbeats}).http() as http:
        answer = await http.get("/metrics")
    assert answer.status_code == 200
    assert "millrace_role{" not in answer.text


@pytest.mark.parametrize(
    ("away", "status", "code"),
    [
        ((), "ok", 200),
        (("kafka",), "degraded", 200),
        (("kafka", "registry", "database"), "degraded", 200),
        (("redis",), "down", 503),
        (("redis", "kafka"), "down", 503),
    ],
)
async def test_health_is_what_clients_can_still_do(away: tuple[str, ...], status: str, code: int) -> None:
    names = ("kafka", "registry", "redis", "database")
    world = World(health_checks={name: refused if name in away else fine for name in names})
    async with world.http() as http:
        answer = await http.get("/health")
    body = answer.json()
    assert (body["status"], answer.status_code) == (status, code)
    assert {name: item["status"] for name, item in body["dependencies"].items()} == {
        name: "down" if name in away else "ok" for name in names
    }
    assert all(item["latency_ms"] >= 0 for item in body["dependencies"].values())
    assert "secret" not in answer.text


async def test_health_asks_the_servers_once_for_many_who_ask() -> None:
    request_count = 0

    async def probe() -> None:
        nonlocal request_count
        request_count += 1

    async with World(health_checks={"redis": probe}).http() as http:
        await asyncio.gather(*(http.get("/health") for _ in range(20)))
    assert request_count == 1


def test_health_of_no_dependencies_is_ok() -> None:
    assert overall({}) == "ok"


def a_pipeline(*problems: str) -> PipelineHealth:
    return PipelineHealth(
        status="degraded" if problems else "ok",
        problems=list(problems),
        roles={"feed": RoleHealth(state="missing" if problems else "up", processes=1)},
        redis_writes="ok",
        deleted_unread={},
    )


@pytest.mark.parametrize(
    ("pipeline", "redis_answers", "status", "code"),
    [
        (a_pipeline(), True, "ok", 200),
        (a_pipeline("feed has not been heard of"), True, "degraded", 200),
        (a_pipeline("feed has not been heard of"), False, "down", 503),
        (None, True, "ok", 200),
    ],
)
async def test_health_reports_the_state_of_the_pipeline(
    pipeline: PipelineHealth | None, redis_answers: bool, status: str, code: int
) -> None:
    async def probe() -> None:
        if not redis_answers:
            raise ConnectionError

    async def read() -> PipelineHealth | None:
        return pipeline

    async with World(health_checks={"redis": probe}, clients={"pipeline": read}).http() as http:
        answer = await http.get("/health")
        alive = await http.get("/health/live")
    assert (answer.status_code, answer.json()["status"]) == (code, status)
    assert answer.json().get("pipeline") == (None if pipeline is None else msgspec.to_builtins(pipeline))
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(("is_down", "code"), [(False, 200), (True, 503)])
async def test_readiness_needs_the_database_and_liveness_does_not(is_down: bool, code: int) -> None:
    async def database() -> None:
        if is_down:
            raise ConnectionError

    async with World(health_checks={"redis": _answering, "database": database}).http() as http:
        readiness, health, liveness = [await http.get(path) for path in ("/health/ready", "/health", "/health/live")]
    assert (readiness.status_code, readiness.json()["unavailable"]) == (code, ["database"] if is_down else [])
    assert (health.status_code, liveness.status_code) == (200, 200)


async def _answering() -> None:
    """Answer a health check."""


@pytest.mark.parametrize("error", [StoreError("reading", ConnectionError()), TimeoutError()])
async def test_an_unknown_pipeline_state_is_left_out(error: Exception) -> None:
    async def read() -> PipelineHealth | None:
        raise error

    async with World(clients={"pipeline": read}).http() as http:
        body = (await http.get("/health")).json()
    assert body == {"status": "ok", "rate_limits": "off", "dependencies": {}}


async def test_app_closes_what_it_was_given() -> None:
    closures: list[str] = []

    async def close_publisher() -> None:
        closures.append("publisher")

    async def close_redis() -> None:
        closures.append("redis")

    async with World(clients={"closers": (close_publisher, close_redis)}).http():
        assert closures == []
    assert closures == ["publisher", "redis"]


async def test_answers_say_what_a_browser_may_do_with_them() -> None:
    async with World().http() as http:
        headers = (await http.get("/health")).headers
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY")
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("allowed_origins", "origin", "expected_origin"),
    [
        ("", "https://app.example", None),
        ("https://app.example, https://b.example", "https://app.example", "https://app.example"),
        ("https://app.example", "https://evil.example", None),
    ],
)
async def test_pages_of_other_origins_ask_where_they_may(
    allowed_origins: str, origin: str, expected_origin: str | None
) -> None:
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with World().http(cors_origins=allowed_origins) as http:
        before = await http.options("/interaction", headers=ask)
        answer = await http.get("/content?user_id=ann", headers={"Origin": origin})
    assert before.headers.get("Access-Control-Allow-Origin") == expected_origin
    assert answer.headers.get("Access-Control-Allow-Origin") == expected_origin


APP = "https://app.example"
SENT_BY_SDKS = [
    "authorization,traceparent",
    "authorization, cache-control",
    "traceparent,tracestate,baggage",
    "sentry-trace,baggage",
    "x-requested-with",
    "last-event-id,cache-control,authorization",
    "b3",
    "x-b3-traceid,x-b3-spanid,x-b3-sampled",
    "x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-trace-id",
    "x-amzn-trace-id,x-cloud-trace-context,uber-trace-id",
    "content-type,idempotency-key,x-csrf-token,x-client-version",
    "newrelic,elastic-apm-traceparent,request-id",
]


@pytest.mark.parametrize("headers", SENT_BY_SDKS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "HEAD"])
async def test_a_preflight_allows_what_tracing_sdks_send(headers: str, method: str) -> None:
    ask = {"Origin": APP, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    async with World().http(cors_origins=APP) as http:
        answer = await http.options("/content", headers=ask)
        other = await http.options("/content", headers=ask | {"Origin": "https://evil.example"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    allowed_headers = {name.strip() for name in answer.headers["Access-Control-Allow-Headers"].lower().split(",")}
    assert {name.strip() for name in headers.split(",")} <= allowed_headers
    assert "X-Request-ID" in answer.headers
    assert other.status_code == 400
    assert "Access-Control-Allow-Origin" not in other.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/content?user_id=ann", 500),
        ("GET", "/nowhere", 404),
        ("PUT", "/interaction", 405),
        ("GET", "/content", 422),
        ("POST", "/interaction", 415),
        ("GET", "/prompts/ann", 401),
    ],
)
async def test_a_page_can_read_every_error(method: str, path: str, status: int) -> None:
    async with World(clients={"feeds": BrokenFeeds()}).http(cors_origins=APP) as http:
        answer = await http.request(method, path, headers={"Origin": APP})
    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert answer.headers["Vary"] == "Origin"
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
