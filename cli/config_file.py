"""Files of settings: lines of NAME=VALUE, in place of some of the settings in force."""

from __future__ import annotations

from pathlib import Path

from infra.error import OperatorError
from infra.settings import Settings, read_settings, specifications, to_env, variable


def read_config(settings: Settings, path: Path) -> Settings:
    """Return settings with those of a file in place of some.

    Args:
        settings: The settings.
        path: The file.

    Raises:
        OperatorError: the file names a setting that does not exist.
        SettingsError: a value is out of range.
    """
    lines = [line.strip() for line in path.read_text().splitlines()]
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    changes = {name.strip(): value.strip() for name, _, value in pairs}
    unknown = sorted(changes.keys() - {variable(spec) for spec in specifications()})
    if unknown:
        raise OperatorError(f"{path} names no settings: {', '.join(unknown)}.", "docs/settings.md lists all settings.")
    return read_settings(to_env(settings) | changes)
