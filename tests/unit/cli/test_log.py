"""Logs: JSON in production, with the request's id, and nothing that tells of a person."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from api.security.principal import REQUEST_CONTEXT, RequestContext
from cli.log import formatter
from infra.settings import Settings


def logged(message: str, *args: Any, extra: dict[str, Any] | None = None, **settings: Any) -> str:
    """Return the line of an entry."""
    logger = logging.getLogger("api")
    entry = logger.makeRecord("api", logging.ERROR, "file", 1, message, args, sys.exc_info(), extra=extra)
    return formatter(replace(Settings(), **settings)).format(entry)


def test_an_entry_is_json_in_production_and_names_no_person() -> None:
    token = REQUEST_CONTEXT.set(RequestContext("r1"))
    try:
        raise KeyError("inside")
    except KeyError:
        line = logged("it failed", extra={"user_id": "ann", "topic": "feeds.v1"}, environment="production")
    finally:
        REQUEST_CONTEXT.reset(token)
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["logger"], entry["request_id"]) == ("it failed", "error", "api", "r1")
    assert entry["topic"] == "feeds.v1"
    assert entry["exception"][0]["exc_type"] == "KeyError"
    assert "ann" not in line
    assert entry["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("environment", "log_format", "is_json"),
    [("development", "auto", False), ("development", "json", True), ("production", "console", False)],
)
def test_the_format_is_what_was_set(environment: str, log_format: str, is_json: bool) -> None:
    line = logged("so many: %d", 3, environment=environment, log_format=log_format)
    assert "so many: 3" in line
    assert line.startswith("{") is is_json


@pytest.mark.parametrize(("debug", "levels"), [("false", "INFO WARNING"), ("true", "DEBUG DEBUG")])
def test_what_is_logged_of_us_and_of_libraries_is_as_set(debug: str, levels: str) -> None:
    program = (
        "import logging; from cli.log import set_up; from infra.settings import read_settings; set_up(read_settings());"
        "print(*(logging.getLevelName(logging.getLogger(name).getEffectiveLevel()) for name in ('api', 'aiokafka')))"
    )
    output = subprocess.check_output([sys.executable, "-c", program], env=os.environ | {"DEBUG": debug}, text=True)
    assert output.strip() == levels


@pytest.mark.parametrize("environment", ["development", "production"])
def test_local_variables_of_failures_are_not_logged(environment: str) -> None:
    secret = "sesame"
    try:
        raise ValueError
    except ValueError:
        line = logged("it failed", environment=environment)
    assert "ValueError" in line
    assert secret not in line
