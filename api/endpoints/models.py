"""What the trainer has learned for everyone: how its versions do, and the call for a new one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.body import RetrainBody, take
from api.http.endpoint import Endpoint
from api.http.error import BrokerAwayError, StoreAwayError
from api.http.response import json_response
from infra.redis.stores.model_status import LiveModel, ModelStatus, Training, Version
from topics.topic import TRIGGERS

_BODY_BYTES = 16 << 10
_retrain = msgspec.json.Decoder(RetrainBody)


class ShownVersion(Version, frozen=True, kw_only=True, gc=False):
    """A version, and how old it is."""

    age_s: float


class ShownTraining(Training, frozen=True, kw_only=True, gc=False):
    """A fit in progress, and how much of it is done; or none."""

    fraction: float = msgspec.field(name="progress")


class ShownBoard(msgspec.Struct, frozen=True, kw_only=True):
    """What the trainer tells; metrics and age are those of the version in service."""

    model: str
    written_at: int | None
    serving: str | None
    metrics: dict[str, float]
    age_s: float | None
    versions: list[ShownVersion]
    live: LiveModel
    training: ShownTraining
    last_fit_at: int | None
    next_fit_at: int | None


class RetrainAccepted(msgspec.Struct, frozen=True):
    """The call is in its topic; the fit's version will name the id."""

    event_id: str
    status: str = "accepted"


class ModelEndpoints:
    """The endpoints on models. The trainer is another process: it writes what is shown here, and hears of calls."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return their declarations."""
        return [
            Endpoint(
                "GET",
                "/metrics/models",
                self.show,
                scope="service",
                answers={200: ShownBoard},
                errors=(StoreAwayError,),
            ),
            Endpoint(
                "POST",
                "/retrain",
                self.retrain,
                scope="service",
                body=RetrainBody,
                body_required=False,
                example={"reason": "a new catalogue"},
                answers={202: RetrainAccepted},
                errors=(BrokerAwayError,),
            ),
        ]

    async def show(self, request: Request) -> Response:
        """Answer with the versions, their metrics and age, the one in service, and a fit in progress."""
        board = await self._context.clients.boards.read()
        return json_response(shown(board, now_ms=self._context.clients.now_ms()))

    async def retrain(self, request: Request) -> Response:
        """Ask for a full fit; the body may be left out."""
        now_ms = self._context.clients.now_ms()
        has_body = "content-type" in request.headers or request.headers.get("content-length", "0") != "0"
        body = await take(request, _retrain, _BODY_BYTES) if has_body else RetrainBody()
        event = body.record(now_ms)
        await self._context.publish(TRIGGERS, [event])
        return json_response(RetrainAccepted(event.event_id), 202)


def shown(board: ModelStatus, *, now_ms: int) -> ShownBoard:
    """Return the board as clients see it: ages in seconds, as of now."""
    versions = [ShownVersion(**asdict(version), age_s=_age_s(version.created_at, now_ms)) for version in board.versions]
    serving = next((version for version in versions if version.version == board.serving), None)
    training = board.training
    fields = {
        "versions": versions,
        "metrics": serving.metrics if serving else {},
        "age_s": serving.age_s if serving else None,
        "training": ShownTraining(**asdict(training), fraction=round(training.progress, 4)),
    }
    return ShownBoard(**(asdict(board) | fields))


def _age_s(at_ms: int, now_ms: int) -> float:
    return max(0, now_ms - at_ms) / 1000
