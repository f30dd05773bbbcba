"""Passwords of the local servers: generated once, and stored in the home folder for its owner only."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from infra.private_file import write_private

_FILE = "secrets.json"
_BYTES = 24


class Secrets(msgspec.Struct, frozen=True):
    """Passwords of letters and digits only, so that URLs and configuration files need no escaping."""

    redis: str
    database: str


def load(home: Path) -> Secrets:
    """Return the passwords of a home folder, new ones if the file is missing or damaged: the servers adopt them."""
    file = home / _FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=Secrets)
    except (FileNotFoundError, msgspec.DecodeError):
        passwords = Secrets(*(secrets.token_hex(_BYTES) for _ in Secrets.__struct_fields__))
        write_private(file, msgspec.json.encode(passwords))
        return passwords
