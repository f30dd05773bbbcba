"""The app of the second port, METRICS_PORT, which answers with the metrics and nothing else."""

from __future__ import annotations

import logging
import socket

from starlette.applications import Starlette
from starlette.routing import Route

from api.endpoints.metrics import Metrics
from infra.settings import Settings

_LOG = logging.getLogger(__name__)


def metrics_app(metrics: Metrics) -> Starlette:
    """Return an app that answers `GET /metrics` and `GET /` with metrics.

    Args:
        metrics: The metrics of the API in this process.
    """
    return Starlette(routes=[Route(path, metrics.show, methods=["GET"]) for path in ("/metrics", "/")])


def metrics_socket(settings: Settings) -> socket.socket | None:
    """Return a socket bound to METRICS_PORT; None where it is 0, and where another process has the port."""
    if not settings.metrics_port:
        return None
    try:
        return socket.create_server((settings.api_host, settings.metrics_port))
    except OSError as error:
        _LOG.warning("no metrics on METRICS_PORT %d, only at /metrics of the API: %s", settings.metrics_port, error)
        return None
