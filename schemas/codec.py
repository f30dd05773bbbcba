"""Avro with Confluent framing: a zero byte, the writer's schema id (4 bytes, big-endian), the body.

The id identifies the writer's schema, ours is the reader's, and Avro's rules resolve one to the other
(https://avro.apache.org/docs/1.12.0/specification/#schema-resolution). Errors, each with a `reason` code:

    DecodeError
    ├── empty_value       a null or empty value
    ├── bad_frame         too short, or not starting with the magic byte
    ├── unknown_schema    the registry has no schema with that id
    ├── wrong_record      the schema is that of another record, or no Avro schema
    ├── bad_body          the body does not fit its schema, or bytes are left over
    └── out_of_range      a value breaks a limit of `schemas.record_limit`
"""

from __future__ import annotations

import io
import struct
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import fastavro
import msgspec

from schemas.compiled import compiled
from schemas.generate import load

_FRAME = struct.Struct(">bI")
_MAGIC = 0
_SCHEMAS = load()

R = TypeVar("R", bound=msgspec.Struct)
ParsedSchema = Mapping[str, Any]


class DecodeError(ValueError):
    """Bytes that are not a record of the expected type."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class UnseenSchemaError(DecodeError):
    """A schema id without a previous look-up: fetch it from the registry, then decode again."""

    def __init__(self, schema_id: int) -> None:
        self.schema_id = schema_id
        super().__init__("unknown_schema", f"no schema has the id {schema_id}")


def avro_schema(record: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the `.avsc` of a record type as JSON data.

    >>> from schemas.types import Location
    >>> schema = avro_schema(Location)
    >>> schema["name"], schema["fields"][0]["name"]
    ('Location', 'event_id')
    """
    return _SCHEMAS[record.__name__]


def schema_id(data: bytes | None) -> int:
    """Return the schema id of framed bytes.

    Raises:
        DecodeError: empty_value or bad_frame.

    >>> schema_id(b"\\x00\\x00\\x00\\x00\\x07...")
    7
    """
    if not data:
        raise DecodeError("empty_value", "the message has no value")
    if len(data) < _FRAME.size:
        raise DecodeError("bad_frame", f"{len(data)} bytes are too few for a frame of {_FRAME.size}")
    magic, writer_id = _FRAME.unpack_from(data)
    if magic != _MAGIC:
        raise DecodeError("bad_frame", f"the first byte is {magic}, not {_MAGIC}: not Confluent framing")
    return int(writer_id)


class Codec(Generic[R]):
    """Encodes and decodes one record type.

    `schema_id` is the registry's id of our schema. `learn` adds the schemas of other writers.

    >>> from schemas.types import ItemWeights
    >>> codec = Codec(ItemWeights, schema_id=7)
    >>> data = codec.encode(ItemWeights(item_id="a", model_version="v1", others=["b"], weights=[0.5]))
    >>> data[:5].hex(), codec.decode(data).weights
    ('0000000007', [0.5])
    """

    def __init__(self, record: type[R], schema_id: int) -> None:
        self.record = record
        self._reader = fastavro.parse_schema(_comparable(avro_schema(record)))
        self._frame = _FRAME.pack(_MAGIC, schema_id)
        self._read, self._write = compiled(record)
        self._writers: dict[int, ParsedSchema] = {schema_id: self._reader}
        self._others: dict[int, str] = {}
        self._missing: set[int] = set()
        self._own: OrderedDict[bytes, R] = OrderedDict()
        self._most = self._most_bytes = self._own_bytes = 0

    def cache_decoded(self, max_records: int, *, max_bytes: int = 32 << 20) -> None:
        """Cache encoded records, so that decoding the same bytes here costs nothing.

        A cached record must not be mutated after its encoding.

        Args:
            max_records: Largest number of records.
            max_bytes: Largest size of their encodings together.
        """
        self._most, self._most_bytes = max_records, max_bytes

    def learn(self, schema_id: int, schema: Any | None, *, references: Iterable[Any] = ()) -> None:
        """Add a writer's schema.

        Args:
            schema_id: Id of the schema in the registry.
            schema: The schema as JSON data; None when the registry has no schema with that id.
            references: Schemas of the referenced named types, in order of dependency.
        """
        self._missing.discard(schema_id)
        if schema is None:
            self._missing.add(schema_id)
            return
        try:
            named_schemas: dict[str, Any] = {}
            for named_schema in references:
                fastavro.parse_schema(_comparable(named_schema), named_schemas=named_schemas)
            writer = fastavro.parse_schema(_comparable(schema), named_schemas=named_schemas)
        except Exception as error:  # such as for a JSON Schema: fastavro raises errors of any type
            self._others[schema_id] = f"not an Avro schema: {type(error).__name__}: {error}"
            return
        if not isinstance(writer, dict) or (writer["type"], writer["name"]) != ("record", self._reader["name"]):
            writer_name = writer.get("name", writer["type"]) if isinstance(writer, dict) else writer
            self._others[schema_id] = f"{writer_name!r} is not a {self._reader['name']}"
            return
        self._writers[schema_id] = self._reader if writer == self._reader else writer

    def forget_missing(self) -> None:
        """Clear the set of missing ids, so that they are looked up again."""
        self._missing.clear()

    def encode(self, value: R) -> bytes:
        """Return the framed bytes of a record.

        Raises:
            ValueError, TypeError: a field does not fit its Avro type.
        """
        out = bytearray(self._frame)
        try:
            self._write(value, out)
        except (AttributeError, KeyError, struct.error) as error:
            raise ValueError(f"no {self.record.__name__}: {type(error).__name__}: {error}") from error
        data = bytes(out)
        if self._most:
            self._own_bytes += 0 if data in self._own else len(data)
            self._own[data] = value
            while len(self._own) > self._most or self._own_bytes > self._most_bytes:
                oldest, _ = self._own.popitem(last=False)
                self._own_bytes -= len(oldest)
        return data

    def decode(self, data: bytes | None) -> R:
        """Return the record of framed bytes.

        Raises:
            UnseenSchemaError: the schema id needs a look-up first.
            DecodeError: the bytes are no such record; `reason` is the code of the failure.
        """
        own_record = self._own.pop(data, None) if data and self._own else None
        if own_record is not None and data:
            self._own_bytes -= len(data)
            return own_record
        writer_id = schema_id(data)
        writer = self._writers.get(writer_id)
        if writer is None:
            raise self._refusal(writer_id)
        assert data is not None
        try:
            value, end = self._read(data, _FRAME.size) if writer is self._reader else self._resolved(data, writer)
        except Exception as error:  # any error that malformed bytes cause: EOF, Unicode, Index, Type, Overflow …
            raise DecodeError("bad_body", f"{type(error).__name__}: {error}") from error
        if end < len(data):
            raise DecodeError("bad_body", f"{len(data) - end} bytes are left over")
        if end > len(data):
            raise DecodeError("bad_body", f"{end - len(data)} bytes are missing")
        return value

    def _resolved(self, data: bytes, writer: ParsedSchema) -> tuple[R, int]:
        """Return a record written with another schema, and the offset of its end."""
        body = io.BytesIO(data)
        body.seek(_FRAME.size)
        fields = fastavro.schemaless_reader(body, writer, self._reader)
        return msgspec.convert(fields, self.record), body.tell()

    def _refusal(self, schema_id: int) -> DecodeError:
        if schema_id in self._others:
            return DecodeError("wrong_record", self._others[schema_id])
        if schema_id in self._missing:
            return DecodeError("unknown_schema", f"no schema has the id {schema_id}")
        return UnseenSchemaError(schema_id)


def _comparable(schema: Any) -> Any:
    """Return a schema without documentation and logical types: times stay integers, without datetime on a hot path."""
    if isinstance(schema, dict):
        return {key: _comparable(value) for key, value in schema.items() if key not in {"logicalType", "doc"}}
    if isinstance(schema, list):
        return [_comparable(branch) for branch in schema]
    return schema
