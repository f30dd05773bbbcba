"""What the trainer has learned for everyone: how its versions do, and the call for a new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.body import RetrainBody, admit, decode, read
from api.context import Context
from infra.model_board import Board
from topics.topic import TRIGGERS

_BODY_BYTES = 16 << 10
_retrain = msgspec.json.Decoder(RetrainBody)


class ModelEndpoints:
    """The endpoints on models. The trainer is another process: it writes what is shown here, and hears of calls."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> Sequence[BaseRoute]:
        """Return their routes."""
        return [
            Route("/metrics/models", self.show, methods=["GET"]),
            Route("/retrain", self.retrain, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Answer with the versions, their metrics and age, the one in service, and a fit in progress."""
        board = await self._context.clients.boards.read()
        body = msgspec.json.encode(shown(board, now_ms=self._context.clients.now_ms()))
        return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")

    async def retrain(self, request: Request) -> Response:
        """Ask for a full fit; the body may be left out."""
        now_ms = self._context.clients.now_ms()
        sent = "content-type" in request.headers or request.headers.get("content-length", "0") != "0"
        body = await read(request, _BODY_BYTES) if sent else b"{}"
        event = decode(_retrain, body).record(now_ms)
        admit(event, now_ms)
        await self._context.publish(TRIGGERS, [event])
        answer = msgspec.json.encode({"event_id": event.event_id, "status": "accepted"})
        return Response(answer, 202, {"Cache-Control": "no-store"}, "application/json")


def shown(board: Board, *, now_ms: int) -> dict[str, Any]:
    """Return the board as clients see it: ages in seconds, as of now."""
    versions = [
        {**msgspec.to_builtins(version), "age_s": _age_s(version.created_at, now_ms)} for version in board.versions
    ]
    return {
        **msgspec.to_builtins(board),
        "versions": versions,
        "metrics": next((version["metrics"] for version in versions if version["version"] == board.serving), {}),
        "age_s": next((version["age_s"] for version in versions if version["version"] == board.serving), None),
        "training": {**msgspec.to_builtins(board.training), "progress": round(board.training.progress, 4)},
    }


def _age_s(at_ms: int, now_ms: int) -> float:
    return max(0, now_ms - at_ms) / 1000
