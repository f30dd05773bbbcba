"""Where the servers are: from the settings, or as `millrace up` left it in the home folder."""

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
    """The addresses of the servers, under the names that the settings have for them."""

    kafka_bootstrap_servers: str
    schema_registry_url: str
    redis_url: str
    database_url: str

    @classmethod
    def of(cls, settings: Settings) -> Addresses:
        """Return the addresses that settings hold."""
        return cls(*(getattr(settings, spec.name) for spec in fields(cls)))

    def into(self, settings: Settings) -> Settings:
        """Return settings with these addresses."""
        return replace(settings, **{name.name: getattr(self, name.name) for name in fields(self)})


def write(home: Path, addresses: Addresses) -> None:
    """Leave the addresses where `located` finds them, for the owner of the home alone: they hold passwords."""
    write_private(home / FILE, msgspec.json.format(msgspec.json.encode(addresses)) + b"\n")


def forget(home: Path) -> None:
    """Remove what `write` left."""
    (home / FILE).unlink(missing_ok=True)


def resolve_addresses(settings: Settings) -> Settings:
    """Return settings with every address filled in: a set one holds, the others are those of a running local stack.

    Raises:
        OperatorError: an address is neither set nor left by a local stack.
    """
    missing = [spec for spec in fields(Addresses) if not getattr(settings, spec.name)]
    if not missing:
        return settings
    try:
        local_addresses = msgspec.json.decode((settings.home / FILE).read_bytes(), type=Addresses)
    except FileNotFoundError:
        names = ", ".join(spec.name.upper() for spec in missing)
        raise OperatorError(
            f"No local stack runs in {settings.home}, and {names} {'is' if len(missing) == 1 else 'are'} not set.",
            "Start one with `millrace up` in another terminal, or set the addresses of servers that run.",
        ) from None
    return replace(settings, **{spec.name: getattr(local_addresses, spec.name) for spec in missing})
