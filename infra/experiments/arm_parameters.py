"""Parameters of arms: the settings that an arm may set, under the names and with the checks of the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields

from infra.settings import Settings, SettingsError, override

ARM_PARAMETERS = (
    "ALLOW_REPEAT_ITEMS",
    "BANDIT_ALPHA",
    "BANDIT_BETA",
    "DIVERSITY_CAP",
    "EPSILON",
    "EXPLORATION_AFTER",
    "EXPLORATION_DAYS",
    "EXPLORATION_MIN_PROBABILITY",
    "EXPLORATION_POLICY",
    "EXPLORATION_SHARE",
    "FEATURE_WEIGHT_FACTORS",
    "LLM_SCORE_WEIGHT",
    "ML_SCORE_WEIGHT",
    "PUSH_DAILY_CAP",
    "PUSH_ITEM_MAX_AGE_HOURS",
    "PUSH_MAX_DELAY_HOURS",
    "PUSH_VALUE_THRESHOLD",
    "SERENDIPITY_WEIGHT",
)
"""Settings that an arm may set: those that only the ranking of a feed and the decisions on pushes read."""


class UnknownArmParameterError(ValueError):
    """A parameter that arms may not set."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} is no parameter of arms; known are {', '.join(ARM_PARAMETERS)}")


def with_arm_parameters(settings: Settings, parameters: Mapping[str, str]) -> Settings:
    """Return settings with the parameters of an arm instead.

    Args:
        settings: The settings.
        parameters: Values by the variable of the setting.

    Raises:
        UnknownArmParameterError: arms may not set a parameter.
        SettingsError: the settings refuse some values; it lists all of them.

    >>> with_arm_parameters(Settings(), {"DIVERSITY_CAP": "0.3"}).diversity_cap
    0.3
    """
    for name in parameters:
        if name not in ARM_PARAMETERS:
            raise UnknownArmParameterError(name)
    problems = [f"{name}: must have a value" for name, value in parameters.items() if not value.strip()]
    arm_settings = override(settings, parameters)
    for spec in fields(arm_settings):
        value = getattr(arm_settings, spec.name)
        if spec.name.upper() in parameters and isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{spec.name.upper()}: must be finite")
    if problems:
        raise SettingsError(problems)
    return arm_settings
