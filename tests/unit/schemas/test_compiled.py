import io
import struct

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import types, varint
from schemas.codec import avro_schema
from schemas.compiled import compiled
from tests.sample import a_sample
from tests.unit.schemas.strategy import records
from topics import TOPICS

RECORDS = tuple(topic.record for topic in TOPICS)


def written(value: msgspec.Struct) -> bytes:
    out = bytearray()
    compiled(type(value))[1](value, out)
    return bytes(out)


def library_written(value: msgspec.Struct) -> bytes:
    out = io.BytesIO()
    schema = fastavro.parse_schema(avro_schema(type(value)))
    fastavro.schemaless_writer(out, schema, msgspec.to_builtins(value, builtin_types=(bytes,)))
    return out.getvalue()


@given(st.data())
def test_any_record_is_written_as_the_library_writes_it(data: st.DataObject) -> None:
    value = data.draw(records(data.draw(st.sampled_from(RECORDS))))
    assert written(value) == library_written(value)


@given(st.data())
def test_what_the_library_wrote_is_read(data: st.DataObject) -> None:
    value = data.draw(records(data.draw(st.sampled_from(RECORDS))))
    body = library_written(value)
    assert compiled(type(value))[0](b"frame" + body, 5) == (value, 5 + len(body))


@pytest.mark.parametrize("number", [0, -1, 63, -64, 64, 8_191, 8_192, -(2**31), 2**42, 2**63 - 1, -(2**63)])
def test_numbers_come_back_whatever_their_length(number: int) -> None:
    location = msgspec.structs.replace(a_sample(types.Location), occurred_at=number)
    assert written(location) == library_written(location)
    assert compiled(types.Location)[0](written(location), 0)[0] == location


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 64, "é" * 128, "a" * 300, "a" * 20_000])
def test_texts_come_back_whatever_their_length(text: str) -> None:
    location = msgspec.structs.replace(a_sample(types.Location), user_id=text)
    assert written(location) == library_written(location)
    assert compiled(types.Location)[0](written(location), 0)[0] == location


def test_lists_may_come_in_several_blocks_also_in_such_as_say_their_bytes() -> None:
    row = types.ItemWeights(item_id="i", model_version="m", others=["ab", "c", "d"], weights=[0.5, -1.0, 2.0])
    fields = [field["name"] for field in avro_schema(types.ItemWeights)["fields"]]
    assert fields == ["item_id", "model_version", "others", "weights"]
    numbers = "f" if "float" in str(avro_schema(types.ItemWeights)["fields"][3]) else "d"
    head = b"\2i\2m"
    others = b"\2\4ab" + varint.long(-2) + b"\x08" + b"\2c\2d" + b"\0"
    data = struct.pack(f"<3{numbers}", *row.weights)
    width = len(data) // 3
    weights = b"\4" + data[: 2 * width] + varint.long(-1) + varint.long(width) + data[2 * width :] + b"\0"
    body = head + others + weights
    assert compiled(types.ItemWeights)[0](body, 0) == (row, len(body))


@pytest.mark.parametrize(
    "body",
    [
        b"\1",  # a text of -1 bytes
        b"\2i\2m" + varint.size(2**40),  # more others than there are bytes
        b"\2i\2m\0" + varint.size(2**40),  # more weights
        b"\2i\2m" + b"\xff" * 12,  # a count without an end
    ],
)
def test_lengths_that_cannot_be_are_refused(body: bytes) -> None:
    with pytest.raises((IndexError, ValueError, OverflowError)):
        compiled(types.ItemWeights)[0](body, 0)


def test_a_number_of_more_than_64_bits_is_refused() -> None:
    assert varint.rest(b"\xff" * 8 + b"\x01", 0, 255) == (2**64 - 1, 9)
    with pytest.raises(OverflowError):
        varint.rest(b"\xff" * 8 + b"\x02", 0, 255)
    with pytest.raises(IndexError):
        varint.rest(b"\xff" * 3, 0, 255)
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            varint.long(number)
