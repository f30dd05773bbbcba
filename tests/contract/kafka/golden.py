"""What was ever sent, kept: for each record the schemas it had, and the bytes of one sample under each.

`python -m tests.contract.kafka.golden` adds a version where a record's schema has changed; a version is never edited.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from schemas.codec import Codec, avro_schema
from tests.sample import a_sample
from topics import TOPICS

FOLDER = Path(__file__).with_name("golden")
SCHEMA_ID = 1


class Version(msgspec.Struct, frozen=True):
    """One schema that a record had, a value written with it, and its framed bytes in hexadecimal."""

    schema: dict[str, Any]
    value: dict[str, Any]
    hex: str


def versions(record: type[msgspec.Struct]) -> list[Version]:
    """Return the versions of a record, oldest first."""
    path = FOLDER / f"{record.__name__}.json"
    return msgspec.json.decode(path.read_bytes(), type=list[Version]) if path.exists() else []


def undocumented(schema: Any) -> Any:
    """Return a schema without its documentation, which changes nothing on the wire."""
    if isinstance(schema, dict):
        return {key: undocumented(part) for key, part in schema.items() if key != "doc"}
    return [undocumented(part) for part in schema] if isinstance(schema, list) else schema


def add(record: type[msgspec.Struct]) -> bool:
    """Add the record's present schema to its versions; say whether it was new."""
    stored_versions = versions(record)
    schema = undocumented(avro_schema(record))
    if stored_versions and stored_versions[-1].schema == schema:
        return False
    value = a_sample(record)
    version = Version(schema, msgspec.to_builtins(value), Codec(record, SCHEMA_ID).encode(value).hex())
    text = json.dumps(msgspec.to_builtins([*stored_versions, version]), indent=1, ensure_ascii=False)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{record.__name__}.json").write_text(text + "\n")
    return True


if __name__ == "__main__":
    for topic in TOPICS:
        if add(topic.record):
            print(f"{topic.record.__name__}: version {len(versions(topic.record))}")
