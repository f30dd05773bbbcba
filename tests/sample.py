"""One record of each type with every field filled, from its Avro schema: for golden bytes and evolution tests."""

from typing import Any

import msgspec

from schemas.codec import avro_schema

_PLAIN: dict[str, Any] = {
    "string": "Grüße, 世界",
    "bytes": b"\x00\xff",
    "int": 42,
    "long": 1_700_000_000_000,
    "float": 0.5,
    "double": -1.25,
    "boolean": True,
}


def a_sample(record: type[msgspec.Struct]) -> Any:
    """Return a record with every field filled: the last branch of a union, the last symbol of an enum."""
    return msgspec.convert(_filled(avro_schema(record)), record)


def _filled(avro: Any) -> Any:
    if isinstance(avro, str):
        return _PLAIN[avro]
    if isinstance(avro, list):
        return _filled(avro[-1])
    compound = {
        "record": lambda: {field["name"]: _filled(field["type"]) for field in avro["fields"]},
        "enum": lambda: avro["symbols"][-1],
        "array": lambda: [_filled(avro["items"])],
        "map": lambda: {"key": _filled(avro["values"])},
    }
    return compound.get(avro["type"], lambda: _PLAIN[avro["type"]])()
