"""Settings, read once from the environment when a process starts.

A module holds the settings of one section as a dataclass; `Settings` is composed of all of them:

    from infra.settings import read_settings

    read_settings().kafka_bootstrap_servers     # the variable KAFKA_BOOTSTRAP_SERVERS
"""

from infra.settings.environment import RENAMED, SettingsError, override, read_settings, to_env, unset
from infra.settings.sections.prefetch_settings import seconds_by_name
from infra.settings.sections.ranking_settings import factors_by_feature, repeats_by_category
from infra.settings.sections.security_settings import JWT_ALGORITHMS, OFF
from infra.settings.setting import comma_separated, masked, variable
from infra.settings.settings import SECTIONS, Settings, specifications, title

__all__ = [
    "JWT_ALGORITHMS",
    "OFF",
    "RENAMED",
    "SECTIONS",
    "Settings",
    "SettingsError",
    "comma_separated",
    "factors_by_feature",
    "masked",
    "override",
    "read_settings",
    "repeats_by_category",
    "seconds_by_name",
    "specifications",
    "title",
    "to_env",
    "unset",
    "variable",
]
