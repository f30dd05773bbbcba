"""Arrow schemas of records, from their Avro schemas: times are typed, nested records are structs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from schemas.codec import avro_schema

TIME = pa.timestamp("ms", tz="UTC")
_PRIMITIVES = {
    **{"string": pa.string(), "boolean": pa.bool_(), "bytes": pa.binary(), "int": pa.int32(), "long": pa.int64()},
    **{"float": pa.float32(), "double": pa.float64()},
}
_NESTED: dict[str, Callable[[Any], pa.DataType]] = {
    "array": lambda kind: pa.list_(_type(kind["items"])),
    "map": lambda kind: pa.map_(pa.string(), _type(kind["values"])),
    "record": lambda kind: pa.struct([_field(field) for field in kind["fields"]]),
    "enum": lambda kind: pa.string(),
}


def arrow_schema(record: type[msgspec.Struct]) -> pa.Schema:
    """Return the Arrow schema of a record type; a field that may be null in Avro is nullable.

    >>> from schemas.types import ItemWeights
    >>> [f"{field.name}: {field.type}" for field in arrow_schema(ItemWeights)]
    ['item_id: string', 'model_version: string', 'others: list<item: string>', 'weights: list<item: float>']
    """
    return pa.schema([_field(field) for field in avro_schema(record)["fields"]])


def record_rows(records: Sequence[msgspec.Struct]) -> list[dict[str, Any]]:
    """Return records as rows from which Arrow makes columns."""
    rows: list[dict[str, Any]] = msgspec.to_builtins(records, builtin_types=(bytes,))
    return rows


def _field(field: dict[str, Any]) -> pa.Field:
    return pa.field(field["name"], _type(field["type"]), nullable=isinstance(field["type"], list))


def _type(kind: Any) -> pa.DataType:
    if isinstance(kind, list):
        return _type(next(branch for branch in kind if branch != "null"))
    if isinstance(kind, str):
        return _PRIMITIVES[kind]
    if kind.get("logicalType") == "timestamp-millis":
        return TIME
    return _NESTED[kind["type"]](kind) if kind["type"] in _NESTED else _type(kind["type"])
