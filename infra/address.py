"""Addresses of the servers: from the settings, or from the file that `millrace up` writes to the home folder."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import msgspec

from infra.error import OperatorError
from infra.private_file import write_private
from infra.settings import Settings

FILE = "addresses.json"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of the servers, named like the settings."""

    kafka_bootstrap_servers: str
    schema_registry_url: str
    redis_url: str
    database_url: str

    @classmethod
    def of(cls, settings: Settings) -> Addresses:
        """Return the addresses in the settings."""
        return cls(*(getattr(settings, spec.name) for spec in fields(cls)))

    def into(self, settings: Settings) -> Settings:
        """Return a copy of the settings with these addresses."""
        return replace(settings, **{name.name: getattr(self, name.name) for name in fields(self)})


def write(home: Path, addresses: Addresses) -> None:
    """Write the addresses for `resolve_addresses`, readable only by the owner: they contain passwords."""
    write_private(home / FILE, msgspec.json.format(msgspec.json.encode(addresses)) + b"\n")


def forget(home: Path) -> None:
    """Remove the file of addresses."""
    (home / FILE).unlink(missing_ok=True)


def resolve_addresses(settings: Settings) -> Settings:
    """Return the settings with every address: those that are set, the others from a running local stack.

    Raises:
        OperatorError: an address is not set, and no local stack is running.
    """
    missing = [spec for spec in fields(Addresses) if not getattr(settings, spec.name)]
    if not missing:
        return settings
    try:
        local_addresses = msgspec.json.decode((settings.millrace_home / FILE).read_bytes(), type=Addresses)
    except FileNotFoundError:
        names = ", ".join(spec.name.upper() for spec in missing)
        raise OperatorError(
            f"No local stack runs in {settings.millrace_home}, "
            f"and {names} {'is' if len(missing) == 1 else 'are'} not set.",
            "Start one with `millrace up` in another terminal, or set the addresses of servers that run.",
        ) from None
    return replace(settings, **{spec.name: getattr(local_addresses, spec.name) for spec in missing})
