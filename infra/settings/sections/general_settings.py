"""Settings of every process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infra.settings.setting import one_of, setting


@dataclass(frozen=True, kw_only=True)
class GeneralSettings:
    """General."""

    environment: str = setting("development", "development or production")
    log_format: str = setting(
        "auto", "json, console, or auto (json outside development)", one_of("auto", "json", "console")
    )
    debug: bool = setting(False, "whether to log at debug level")
    millrace_home: Path = setting(Path(".millrace"), "folder for the data, logs and state of the local stack")
    expected_roles: str = setting(
        "",
        "roles that `/health` and `millrace status` report when they are missing, comma-separated; empty: the roles of"
        " the local stack, and roles that ran within the last day",
    )

    @property
    def is_development(self) -> bool:
        """Say whether this is a development environment."""
        return self.environment == "development"
