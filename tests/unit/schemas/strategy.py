"""Hypothesis strategies for any record, drawn from its Avro schema."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.codec import avro_schema

_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=20),
    "bytes": st.binary(max_size=20),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "null": st.none(),
}


def records(record: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Draw records of a type, as wide as Avro allows."""
    return _drawn(avro_schema(record), {}).map(lambda fields: msgspec.convert(fields, record))


def _drawn(avro: Any, fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    if isinstance(avro, str):
        return fields[avro] if avro in fields else _PRIMITIVES[avro]
    if isinstance(avro, list):
        return st.one_of(*(_drawn(branch, fields) for branch in avro))
    compound = {
        "record": lambda: st.fixed_dictionaries({f["name"]: _drawn(f["type"], fields) for f in avro["fields"]}),
        "enum": lambda: st.sampled_from(avro["symbols"]),
        "array": lambda: st.lists(_drawn(avro["items"], fields), max_size=4),
        "map": lambda: st.dictionaries(st.text(max_size=8), _drawn(avro["values"], fields), max_size=4),
    }
    sample = compound.get(avro["type"], lambda: _PRIMITIVES[avro["type"]])()
    if "name" in avro:
        fields[avro["name"]] = sample
    return sample
