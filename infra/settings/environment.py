"""The environment, from which settings are read. No other module reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, replace
from pathlib import Path
from typing import Any

from infra.settings.setting import BOOLEANS, variable
from infra.settings.settings import Settings, specifications


class SettingsError(ValueError):
    """Invalid settings, all in one error."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(["these settings cannot be used:", *(f"  {problem}" for problem in problems)]))


RENAMED = {
    "API_PROXIES": "TRUSTED_PROXIES",
    "FETCH_WITHIN_S": "FETCH_DEADLINE_S",
    "MODEL_TOLERANCE": "MODEL_PROMOTION_TOLERANCE",
    "PLACE_RADIUS_KM": "NEARBY_RADIUS_KM",
    "PLACE_RESOLUTION": "FETCH_LOCATION_RESOLUTION",
    "PROMPT_FACTS": "PROMPT_FIELDS",
    "PUSH_HOLD_HOURS": "PUSH_MAX_DELAY_HOURS",
    "PUSH_NEW_HOURS": "PUSH_ITEM_MAX_AGE_HOURS",
    "SHOP_STALE_DAYS": "SHOP_INACTIVE_DAYS",
    "SHOW_SEEN_ITEMS": "ALLOW_REPEAT_ITEMS",
    "TASTE_MODEL": "ITEM_ITEM_MODEL",
    "TRIGGER_AWAY_DAYS": "TRIGGER_INACTIVE_DAYS",
    "TRIGGER_CITY_KM": "GEOFENCE_CITY_KM",
    "TRIGGER_DWELL_S": "GEOFENCE_DWELL_S",
    "TRIGGER_RINGS": "GEOFENCE_RINGS",
    "UNACKED_RECORDS": "MAX_IN_FLIGHT_RECORDS",
}
"""Former names of settings. An environment that sets one is refused, so that no value is silently lost."""

_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number"}


def read_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Return the settings from an environment, by default that of the process.

    Args:
        env: Values by variable. An empty value counts as none.

    Raises:
        SettingsError: some settings are invalid or have a former name; it lists all of them.
    """
    env = os.environ if env is None else env
    problems = [f"{old}: renamed to {new}" for old, new in RENAMED.items() if env.get(old, "").strip()]
    values, value_problems = _values(env)
    problems += value_problems
    settings = Settings(**values)
    url_count = len(settings.jwt_jwks_url_list)
    if url_count > 1 and url_count != len(settings.jwt_issuer_list):
        problems.append(f"JWT_ISSUER: must name the issuer of each of the {url_count} addresses of JWT_JWKS_URL")
    if problems:
        raise SettingsError(problems)
    return settings


def override(settings: Settings, env: Mapping[str, str]) -> Settings:
    """Return settings with some values from an environment instead.

    Args:
        settings: The settings.
        env: Values by variable. An empty value counts as none.

    Raises:
        SettingsError: some values are invalid; it lists all of them.
    """
    values, problems = _values(env)
    if problems:
        raise SettingsError(problems)
    return replace(settings, **values)


def to_env(settings: Settings) -> dict[str, str]:
    """Return an environment that represents these settings, independent of the working directory."""
    return {variable(spec): _text(getattr(settings, spec.name)) for spec in specifications()}


def unset(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without our settings, so that servers do not inherit our secrets."""
    names = {variable(spec) for spec in specifications()}
    return {name: value for name, value in env.items() if name not in names}


def _text(value: object) -> str:
    if isinstance(value, Path):
        return str(value.expanduser().resolve())
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(env: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Return the valid values of an environment by setting, and the problems of the others."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for spec in specifications():
        raw = env.get(variable(spec), "").strip()
        if raw:
            try:
                values[spec.name] = _parse(raw, spec)
            except ValueError as error:
                shown_value = repr(raw) if spec.repr else "***"
                problems.append(f"{variable(spec)}={shown_value}: must be {error} ({spec.metadata['doc']})")
    return values, problems


def _parse(raw: str, spec: Field[Any]) -> Any:
    """Return the value of a setting.

    Raises:
        ValueError: the text is no value of it; the message says how it must be.
    """
    kind: Any = type(spec.default)
    try:
        value = BOOLEANS[raw.lower()] if kind is bool else kind(raw)
    except (KeyError, ValueError):
        raise ValueError(_KINDS[kind]) from None
    constraint = spec.metadata["constraint"]
    if not constraint.test(value):
        raise ValueError(constraint.text)
    return value
