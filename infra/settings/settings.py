"""Composition of the settings from their sections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

from infra.settings.sections.api_settings import ApiSettings
from infra.settings.sections.catalog_settings import CatalogSettings
from infra.settings.sections.event_settings import EventSettings
from infra.settings.sections.general_settings import GeneralSettings
from infra.settings.sections.llm_settings import LlmSettings
from infra.settings.sections.prefetch_settings import PrefetchSettings
from infra.settings.sections.privacy_settings import PrivacySettings
from infra.settings.sections.push_settings import PushSettings
from infra.settings.sections.ranking_settings import RankingSettings
from infra.settings.sections.security_settings import SecuritySettings
from infra.settings.sections.server_settings import LocalStackSettings, ServerSettings
from infra.settings.sections.shop_settings import ShopSettings
from infra.settings.sections.training_settings import TrainingSettings
from infra.settings.sections.worker_settings import WorkerSettings


@dataclass(frozen=True, kw_only=True)
class Settings(
    GeneralSettings,
    ServerSettings,
    LocalStackSettings,
    WorkerSettings,
    ApiSettings,
    SecuritySettings,
    PrivacySettings,
    EventSettings,
    RankingSettings,
    TrainingSettings,
    PrefetchSettings,
    CatalogSettings,
    LlmSettings,
    PushSettings,
    ShopSettings,
):
    """The configuration: every setting as an attribute, under its name in lower case."""

    @property
    def is_secured(self) -> bool:
        """Say whether bearer tokens are required and rate limits enforced."""
        return not self.is_development if self.api_security == "auto" else self.api_security == "on"

    @property
    def model_folder(self) -> Path:
        """Return the folder of the versions of models."""
        return Path(self.model_path).expanduser() if self.model_path else self.millrace_home.expanduser() / "models"


SECTIONS: tuple[type[Any], ...] = Settings.__bases__
"""The sections, in the order of the documents; the first line of a section's docstring is its title."""


def title(section: type[Any]) -> str:
    """Return the title of a section."""
    return (section.__doc__ or "").partition(".")[0]


def specifications() -> Iterator[Field[Any]]:
    """Yield the fields of all settings, section by section."""
    for section in SECTIONS:
        yield from fields(section)
