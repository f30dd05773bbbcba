"""Logging: one entry per line on standard error, as text or JSON.

An entry contains the event, the logger and the request id. It contains no personal data: the audit log records the
callers of requests.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.dev import plain_traceback
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from api.security.principal import REQUEST_CONTEXT
from infra.settings import Settings

_NOISY_LOGGERS = ("aiokafka", "anthropic", "botocore", "faust", "httpx", "httpx2", "httpcore", "httpcore2", "mode")
_PERSONAL = frozenset(
    ("user_id", "user_ids", "subject", "token", "authorization", "email", "name", "lat", "lon", "cell", "query", "body")
)


def set_up(settings: Settings) -> None:
    """Configure logging; routine messages of libraries appear only in debug mode."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings))
    logging.basicConfig(level=logging.DEBUG if settings.debug else logging.INFO, handlers=[handler])
    if not settings.debug:
        for name in _NOISY_LOGGERS:
            logging.getLogger(name).setLevel(logging.WARNING)


def formatter(settings: Settings) -> logging.Formatter:
    """Return the formatter of log entries."""
    is_json = settings.log_format == "json" or (settings.log_format == "auto" and not settings.is_development)
    last: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
        if is_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_request,
            impersonal,
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def impersonal(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """Remove personal data from a log entry."""
    return {key: value for key, value in entry.items() if key not in _PERSONAL}


def _with_request(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    context = REQUEST_CONTEXT.get()
    return entry if context is None else {**entry, "request_id": context.request_id}
