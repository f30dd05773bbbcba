"""Logging of a process: one line an entry, to standard error."""

from __future__ import annotations

import logging

from infra.settings import Settings

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_CHATTY = ("aiokafka", "anthropic", "botocore", "faust", "httpx", "httpx2", "httpcore", "httpcore2", "mode")


def set_up(settings: Settings) -> None:
    """Log from now on; what libraries say of their daily work only when debugging."""
    logging.basicConfig(level=logging.DEBUG if settings.debug else logging.INFO, format=_FORMAT)
    if not settings.debug:
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)
