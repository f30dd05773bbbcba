"""The passwords of the local servers: made once, kept in the home for its owner alone."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from infra.private_file import write_private

_FILE = "secrets.json"
_BYTES = 24


class Secrets(msgspec.Struct, frozen=True):
    """Passwords, of letters and digits only: they stand in addresses and in configurations as they are."""

    redis: str
    database: str


def load(home: Path) -> Secrets:
    """Return the passwords of a home, new ones where it has none that can be read: the servers take them over."""
    file = home / _FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Secrets)
    except (FileNotFoundError, msgspec.DecodeError):
        passwords = Secrets(*(secrets.token_hex(_BYTES) for _ in Secrets.__struct_fields__))
        write_private(file, msgspec.json.encode(passwords))
        return passwords
