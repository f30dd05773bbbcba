"""Model endpoints: versions with their metrics, and retraining."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.endpoints.event_body import RetrainBody
from api.http.body import parse_body
from api.http.endpoint import Endpoint
from api.http.error import BrokerUnavailableError, StoreUnavailableError
from api.http.response import json_response
from infra.redis.metrics.served_metrics import ServedMetrics
from infra.redis.stores.model_status import LiveModel, ModelStatus, Training, Version
from topics.topic import TRIGGERS

_BODY_BYTES = 16 << 10
_retrain = msgspec.json.Decoder(RetrainBody)


class ShownVersion(Version, frozen=True, kw_only=True, gc=False):
    """A model version, with its age in seconds."""

    age_s: float


class ShownTraining(Training, frozen=True, kw_only=True, gc=False):
    """The state of the current fit, with its progress as a fraction from 0 to 1."""

    fraction: float = msgspec.field(name="progress")


class ShownModelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The trainer's report; `metrics` and `age_s` are those of the version in service."""

    model: str
    written_at: int | None
    serving: str | None
    metrics: dict[str, float]
    age_s: float | None
    versions: list[ShownVersion]
    live: LiveModel
    feed_metrics: ServedMetrics = msgspec.field(name="served")
    training: ShownTraining
    last_fit_at: int | None
    next_fit_at: int | None


class RetrainAccepted(msgspec.Struct, frozen=True):
    """The retraining request was published; the resulting version will contain the event id."""

    event_id: str
    status: str = "accepted"


class ModelEndpoints:
    """Endpoints of models. The trainer is another process: it writes the status and consumes the requests."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/metrics/models",
                self.show,
                scope="service",
                answers={200: ShownModelStatus},
                errors=(StoreUnavailableError,),
            ),
            Endpoint(
                "POST",
                "/retrain",
                self.retrain,
                scope="service",
                body=RetrainBody,
                body_required=False,
                example={"reason": "a new catalog"},
                answers={202: RetrainAccepted},
                errors=(BrokerUnavailableError,),
            ),
        ]

    async def show(self, request: Request) -> Response:
        """Return the model versions with metrics and age, the version in service, and the current fit."""
        status = await self._context.clients.model_status.read()
        metrics = await self._context.served_metrics()
        return json_response(shown(status, metrics, now_ms=self._context.clients.now_ms()))

    async def retrain(self, request: Request) -> Response:
        """Request a full fit; the body is optional."""
        now_ms = self._context.clients.now_ms()
        has_body = "content-type" in request.headers or request.headers.get("content-length", "0") != "0"
        body = await parse_body(request, _retrain, _BODY_BYTES) if has_body else RetrainBody()
        event = body.record(now_ms)
        await self._context.publish(TRIGGERS, [event])
        return json_response(RetrainAccepted(event.event_id), 202)


def shown(status: ModelStatus, feed_metrics: ServedMetrics, *, now_ms: int) -> ShownModelStatus:
    """Return the model status for clients.

    Args:
        status: The trainer's report.
        feed_metrics: The metrics of the feeds that were served.
        now_ms: The time by which ages are told, in ms since the epoch.
    """
    versions = [
        ShownVersion(**asdict(version), age_s=_age_s(version.created_at, now_ms)) for version in status.versions
    ]
    serving = next((version for version in versions if version.version == status.serving), None)
    training = status.training
    fields = {
        "versions": versions,
        "feed_metrics": feed_metrics,
        "metrics": serving.metrics if serving else {},
        "age_s": serving.age_s if serving else None,
        "training": ShownTraining(**asdict(training), fraction=round(training.progress, 4)),
    }
    return ShownModelStatus(**(asdict(status) | fields))


def _age_s(at_ms: int, now_ms: int) -> float:
    return max(0, now_ms - at_ms) / 1000
