import copy
import io
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import types
from schemas.codec import Codec, DecodeError, UnseenSchemaError, avro_schema, schema_id
from tests.sample import a_sample
from tests.unit.schemas.strategy import records
from topics import TOPICS

OURS, THEIRS = 7, 8
RECORDS = tuple(topic.record for topic in TOPICS)


def a_location(**overrides: Any) -> types.Location:
    fields = {"event_id": "e", "user_id": "u", "cell": "872a1072bffffff", "resolution": 7, "occurred_at": 1}
    return types.Location(**(fields | overrides))


def framed(schema: Any, value: Any, *, id_: int = THEIRS) -> bytes:
    """Return what another writer with its own schema would have sent."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return b"\0" + id_.to_bytes(4, "big") + out.getvalue()


def reading(record: type[msgspec.Struct], *, writer: Any) -> Codec[Any]:
    """Return a codec that has learned another writer's schema."""
    codec = Codec(record, OURS)
    codec.learn(THEIRS, writer)
    return codec


@given(st.data())
def test_any_record_survives_the_round_trip(data: st.DataObject) -> None:
    record = data.draw(st.sampled_from(RECORDS))
    value = data.draw(records(record))
    codec = Codec(record, OURS)
    assert codec.decode(codec.encode(value)) == value


@given(st.sampled_from(RECORDS), st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_decode_error(record: type[msgspec.Struct], body: bytes) -> None:
    codec = Codec(record, OURS)
    try:
        value = codec.decode(b"\0" + OURS.to_bytes(4, "big") + body)
    except DecodeError:
        return
    assert isinstance(value, record)


@given(st.data())
def test_cut_bytes_are_refused(data: st.DataObject) -> None:
    codec = Codec(types.Interaction, OURS)
    whole = codec.encode(data.draw(records(types.Interaction)))
    cut = data.draw(st.integers(5, len(whole) - 1))
    with pytest.raises(DecodeError) as exc_info:
        codec.decode(whole[:cut])
    assert exc_info.value.reason == "bad_body"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "empty_value"),
        (b"", "empty_value"),
        (b"\0\0\0", "bad_frame"),
        (b'{"user_id": "u"}', "bad_frame"),
        (b"\0\0\0\0\x63body", "unknown_schema"),
        (b"\0\0\0\0\x07", "bad_body"),
    ],
)
def test_each_defect_has_its_reason(data: bytes | None, reason: str) -> None:
    with pytest.raises(DecodeError) as exc_info:
        Codec(types.Location, OURS).decode(data)
    assert exc_info.value.reason == reason


def test_bytes_left_over_are_refused() -> None:
    codec = Codec(types.Location, OURS)
    with pytest.raises(DecodeError, match="2 bytes are left over") as exc_info:
        codec.decode(codec.encode(a_location()) + b"\0\0")
    assert exc_info.value.reason == "bad_body"


def test_invalid_utf8_is_a_bad_body() -> None:
    codec = Codec(types.Location, OURS)
    invalid_bytes = codec.encode(a_location(user_id="ab")).replace(b"ab", b"\xff\xfe")
    with pytest.raises(DecodeError) as exc_info:
        codec.decode(invalid_bytes)
    assert exc_info.value.reason == "bad_body"


def test_an_unseen_id_says_which_and_a_missing_one_can_be_asked_for_again() -> None:
    codec = Codec(types.Location, OURS)
    data = framed(avro_schema(types.Location), msgspec.to_builtins(a_location()))
    with pytest.raises(UnseenSchemaError) as exc_info:
        codec.decode(data)
    assert exc_info.value.schema_id == schema_id(data) == THEIRS
    codec.learn(THEIRS, None)
    with pytest.raises(DecodeError) as missing:
        codec.decode(data)
    assert (type(missing.value), missing.value.reason) == (DecodeError, "unknown_schema")
    codec.forget_missing()
    with pytest.raises(UnseenSchemaError):
        codec.decode(data)
    codec.learn(THEIRS, avro_schema(types.Location))
    assert codec.decode(data) == a_location()


@pytest.mark.parametrize(
    ("writer", "value"),
    [
        (avro_schema(types.ItemNeighbors), {"item_id": "i", "neighbors": [], "scores": [], "watermark": 0}),
        ("string", "text"),
        (["null", "string"], None),
        ({"type": "enum", "name": "Location", "namespace": "millrace", "symbols": ["a"]}, "a"),
    ],
    ids=["another record", "a string", "a union", "an enum of the same name"],
)
def test_another_type_is_the_wrong_record(writer: Any, value: Any) -> None:
    codec = reading(types.Location, writer=writer)
    with pytest.raises(DecodeError) as exc_info:
        codec.decode(framed(writer, value))
    assert exc_info.value.reason == "wrong_record"


def test_a_schema_that_is_not_avro_is_the_wrong_record() -> None:
    codec = reading(types.Location, writer={"$schema": "draft-07", "type": "object"})
    with pytest.raises(DecodeError) as exc_info:
        codec.decode(b"\0\0\0\0\x08{}")
    assert exc_info.value.reason == "wrong_record"


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_bytes_from_before_a_defaulted_field_read_with_the_default(record: type[msgspec.Struct]) -> None:
    new_fields = [field["name"] for field in avro_schema(record)["fields"] if "default" in field]
    for name in new_fields:
        older = copy.deepcopy(avro_schema(record))
        older["fields"] = [field for field in older["fields"] if field["name"] != name]
        value = msgspec.to_builtins(a_sample(record), builtin_types=(bytes,))
        del value[name]
        read = reading(record, writer=older).decode(framed(older, value))
        assert msgspec.to_builtins(read, builtin_types=(bytes,)) == value | {name: default_of(record, name)}


def test_a_field_that_this_reader_does_not_know_is_passed_over() -> None:
    newer = copy.deepcopy(avro_schema(types.Location))
    newer["fields"].insert(1, {"name": "altitude_m", "type": "double", "default": 0.0})
    value = msgspec.to_builtins(a_location()) | {"altitude_m": 12.5}
    assert reading(types.Location, writer=newer).decode(framed(newer, value)) == a_location()


@pytest.mark.parametrize(("record", "field"), [(types.Interaction, "action"), (types.Trigger, "kind")])
def test_a_newer_symbol_reads_as_unknown(record: type[msgspec.Struct], field: str) -> None:
    newer = copy.deepcopy(avro_schema(record))
    next(f for f in newer["fields"] if f["name"] == field)["type"]["symbols"].append("teleport")
    value = msgspec.to_builtins(a_sample(record)) | {field: "teleport"}
    read = reading(record, writer=newer).decode(framed(newer, value))
    assert getattr(read, field) == "unknown"


def test_a_retyped_field_is_refused() -> None:
    other = copy.deepcopy(avro_schema(types.Location))
    next(f for f in other["fields"] if f["name"] == "resolution")["type"] = "string"
    value = msgspec.to_builtins(a_location()) | {"resolution": "7"}
    with pytest.raises(DecodeError) as exc_info:
        reading(types.Location, writer=other).decode(framed(other, value))
    assert exc_info.value.reason == "bad_body"


@pytest.mark.parametrize("invalid_bytes", [{"resolution": "seven"}, {"user_id": None}, {"occurred_at": 2**63}])
def test_a_value_that_does_not_fit_is_not_encoded(invalid_bytes: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        Codec(types.Location, OURS).encode(a_location(**invalid_bytes))


def default_of(record: type[msgspec.Struct], name: str) -> Any:
    [field] = [field for field in avro_schema(record)["fields"] if field["name"] == name]
    return field["default"].encode() if field["type"] == "bytes" else field["default"]


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    codec = Codec(types.Location, OURS)
    size = len(codec.encode(a_location(user_id="a")))
    codec.cache_decoded(100, max_bytes=2 * size)
    values = [a_location(user_id=name) for name in "abca"]
    bodies = [codec.encode(value) for value in values]
    same = [codec.decode(data) is value for data, value in zip(bodies[1:], values[1:], strict=True)]
    assert same == [False, True, True]
    large = a_location(user_id="u" * 3 * size)
    assert codec.decode(codec.encode(large)) is not large, "it has no room"
    assert codec.decode(codec.encode(values[0])) is values[0], "and leaves room for what comes after it"


def refers() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of an interaction's action, and that of an interaction which refers to it."""
    schema = copy.deepcopy(avro_schema(types.Interaction))
    field = next(field for field in schema["fields"] if field["name"] == "action")
    action, field["type"] = field["type"] | {"namespace": "millrace"}, "millrace.Action"
    return action, schema


def bodied(value: types.Interaction) -> bytes:
    """Return an interaction as a writer of another schema id would have sent it."""
    return b"\0" + THEIRS.to_bytes(4, "big") + Codec(types.Interaction, OURS).encode(value)[5:]


def test_a_schema_that_refers_to_named_types_is_read_with_them() -> None:
    action, schema = refers()
    codec = Codec(types.Interaction, OURS)
    value = a_sample(types.Interaction)
    codec.learn(THEIRS, schema, references=[action])
    assert codec.decode(bodied(value)) == value


@pytest.mark.parametrize(
    "references", [[], [{"type": "JSON"}], [{"type": "enum", "name": "Other", "symbols": ["a"]}], ["string"]]
)
def test_a_schema_with_a_missing_reference_is_reported(references: list[Any]) -> None:
    _, schema = refers()
    codec = Codec(types.Interaction, OURS)
    codec.learn(THEIRS, schema, references=references)
    with pytest.raises(DecodeError) as exc_info:
        codec.decode(bodied(a_sample(types.Interaction)))
    assert exc_info.value.reason == "wrong_record"
    assert "not an Avro schema" in exc_info.value.detail


def test_a_referenced_record_is_not_the_record_itself() -> None:
    codec = Codec(types.Interaction, OURS)
    codec.learn(THEIRS, "millrace.Interaction", references=[avro_schema(types.Interaction)])
    value = a_sample(types.Interaction)
    with pytest.raises(DecodeError, match="wrong_record"):
        codec.decode(bodied(value))


def test_what_was_encoded_here_is_remembered_until_it_is_decoded_or_too_much_is() -> None:
    codec = Codec(types.Location, OURS)
    codec.cache_decoded(2)
    values = [a_location(user_id=name) for name in "abc"]
    data = [codec.encode(value) for value in values]
    assert codec.decode(data[0]) is not values[0], "there is room for two"
    assert codec.decode(bytes(bytearray(data[2]))) is values[2]
    again = codec.decode(data[2])
    assert again is not values[2]
    assert again == values[2]
