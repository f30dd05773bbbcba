"""Compiled readers and writers of records: Avro's binary encoding, unrolled field by field.

The code is generated from our own schema on first use, as `dataclasses` generates its methods: it does not inspect the
schema for each value and takes half the time of a generic library. Records with another writer's schema are out of its
scope (https://avro.apache.org/docs/1.12.0/specification/#binary-encoding).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from schemas import types, varint
from schemas.generate import load

Avro = Any
"""A schema as JSON data: a name, a union as a list, or an object."""
Read = Callable[[bytes, int], tuple[Any, int]]
"""Returns the record at an offset, and the offset of its end, which lies past the end of truncated bytes.

Raises IndexError, ValueError, OverflowError or struct.error for malformed bytes.
"""
Write = Callable[[Any, bytearray], None]
"""Appends a record.

Raises AttributeError, KeyError, TypeError, ValueError, OverflowError or struct.error for a value that does not fit.
"""
_FLOATS = {"float": ("f", 4), "double": ("d", 8)}
_NULL = "null"
_SHORT = 256
"""The encodings of lengths below this are in a lookup table."""


@cache
def compiled(record: type[msgspec.Struct]) -> tuple[Read, Write]:
    """Return the reader and the writer of a record type."""
    source, schema = _CodeSource(), load()[record.__name__]
    source.reader(schema)
    source.writer(schema)
    functions: dict[str, Any] = {}
    exec("\n".join(source.lines), source.names, functions)  # noqa: S102 - made of our own schemas, not of input
    return functions["read"], functions["write"]


class _CodeSource:
    """Generated lines of code with their indentation, and the global names that they use."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "SIZES": [varint.size(n) for n in range(_SHORT)],
            "MOST": _SHORT,
            "pack": struct.pack,
            "unpack_from": struct.unpack_from,
            **{name: getattr(varint, name) for name in ("count", "int_", "length", "long", "rest", "size")},
        }
        self._depth = self._locals = 0

    def reader(self, schema: Mapping[str, Any]) -> None:
        """Generate the function that reads a record."""
        self._block("def read(data, at):")
        self._line(f"return {self._read_record(schema)}, at")
        self._end()

    def writer(self, schema: Mapping[str, Any]) -> None:
        """Generate the function that appends a record."""
        self._block("def write(value, out):")
        self._write(schema, "value")
        self._end()

    def _read_record(self, schema: Mapping[str, Any]) -> str:
        """Generate the code that reads the fields of a record, and return the expression that builds the record."""
        name = schema["name"]
        self.names[name] = getattr(types, name)
        arguments = [f"{field['name']}={self._read(field['type'])}" for field in schema["fields"]]
        return f"{name}({', '.join(arguments)})"

    def _read(self, avro: Avro) -> str:
        """Generate the code that reads a value, and return the name of the variable that holds it."""
        target = self._local()
        match _plain(avro):
            case [_, branch]:
                self._line(f"{target} = None", "n = data[at]", "at += 1")
                self._block("if n == 2:")
                self._line(f"{target} = {self._read(branch)}")
                self._end()
                self._block("elif n:")
                self._line('raise ValueError("there is no such branch")')
                self._end()
            case {"type": "record"} as schema:
                self._line(f"{target} = {self._read_record(schema)}")
            case {"type": "enum", "symbols": symbols}:
                self._read_number("length")
                self._line(f"{target} = {self._constant(tuple(symbols))}[n]")
            case {"type": "array", "items": items}:
                self._line(f"{target} = []")
                self._read_blocks(lambda: self._read_items(items, target))
            case {"type": "map", "values": values}:
                self._line(f"{target} = {{}}")
                self._read_blocks(lambda: self._each(lambda: self._read_entry(values, target)))
            case "string" | "bytes" as kind:
                self._read_number("length")
                self._line("end = at + n", f"{target} = data[at:end]{'.decode()' if kind == 'string' else ''}")
                self._line("at = end")
            case "int" | "long":
                self._line("n = data[at]", "at += 1")
                self._block("if n > 127:")
                self._line("n, at = rest(data, at, n)")
                self._end()
                self._line(f"{target} = (n >> 1) ^ -(n & 1)")
            case "float" | "double" as kind:
                code, width = _FLOATS[kind]
                self._line(f'({target},) = unpack_from("<{code}", data, at)', f"at += {width}")
            case "boolean":
                self._line(f"{target} = (False, True)[data[at]]", "at += 1")
            case other:
                raise ValueError(f"no record of ours holds a {other}")
        return target

    def _read_blocks(self, read: Callable[[], None]) -> None:
        """Generate a loop over blocks; `read` generates the code for the n elements of one block."""
        self._read_number("count")
        self._block("while n:")
        read()
        self._read_number("count")
        self._end()

    def _each(self, read: Callable[[], None]) -> None:
        self._block("for _ in range(n):")
        read()
        self._end()

    def _read_items(self, items: Avro, target: str) -> None:
        numbers = _float(items)
        if numbers is None:
            self._each(lambda: self._line(f"{target}.append({self._read(items)})"))
            return
        code, width = numbers
        self._line(f"end = at + {width} * n")
        self._block("if end > len(data):")
        self._line('raise IndexError("the data end within a block")')
        self._end()
        self._line(f'{target} += unpack_from(f"<{{n}}{code}", data, at)', "at = end")

    def _read_entry(self, values: Avro, target: str) -> None:
        key = self._read("string")
        self._line(f"{target}[{key}] = {self._read(values)}")

    def _read_number(self, rule: str) -> None:
        """Generate the code that reads a number, with a fast path for one non-negative byte."""
        self._line("n = data[at]", "at += 1")
        self._block("if n & 129:")
        self._line(f"n, at = {rule}(data, at, n)")
        self._end()
        self._block("else:")
        self._line("n >>= 1")
        self._end()

    def _write(self, avro: Avro, expression: str) -> None:
        """Generate the code that appends the value of an expression."""
        plain = _plain(avro)
        match plain:
            case [_, branch]:
                local = self._assign_local(expression)
                self._block(f"if {local} is None:")
                self._line('out += b"\\0"')
                self._end()
                self._block("else:")
                self._line('out += b"\\2"')
                self._write(branch, local)
                self._end()
            case {"type": "record", "fields": fields}:
                for field in fields:
                    self._write(field["type"], f"{expression}.{field['name']}")
            case {"type": "enum", "symbols": symbols}:
                codes = {symbol: varint.size(code) for code, symbol in enumerate(symbols)}
                self._line(f"out += {self._constant(codes)}[{expression}]")
            case {"type": "array" | "map"}:
                local = self._assign_local(expression)
                self._block(f"if {local}:")
                self._line(f"out += size(len({local}))")
                self._write_block(plain, local)
                self._end()
                self._line('out += b"\\0"')
            case _:
                self._line(*_WRITES[plain].format(value=expression).splitlines())

    def _write_block(self, avro: Avro, local: str) -> None:
        """Generate the code that appends the elements of an array or a map."""
        one, key = self._local(), self._local()
        match avro:
            case {"values": values}:
                self._block(f"for {key}, {one} in {local}.items():")
                self._write("string", key)
                self._write(values, one)
                self._end()
            case {"items": items} if (numbers := _float(items)) is not None:
                self._line(f'out += pack(f"<{{len({local})}}{numbers[0]}", *{local})')
            case {"items": items}:
                self._block(f"for {one} in {local}:")
                self._write(items, one)
                self._end()

    def _assign_local(self, expression: str) -> str:
        local = self._local()
        self._line(f"{local} = {expression}")
        return local

    def _local(self) -> str:
        self._locals += 1
        return f"v{self._locals}"

    def _constant(self, value: object) -> str:
        name = f"C{len(self.names)}"
        self.names[name] = value
        return name

    def _line(self, *lines: str) -> None:
        self.lines += [" " * self._depth + line for line in lines]

    def _block(self, line: str) -> None:
        self._line(line)
        self._depth += 1

    def _end(self) -> None:
        self._depth -= 1


_WRITES = {
    "string": "raw = {value}.encode()\nn = len(raw)\nout += SIZES[n] if n < MOST else size(n)\nout += raw",
    "bytes": "raw = {value}\nout += size(len(raw))\nout += raw",
    "int": "out += int_({value})",
    "long": "out += long({value})",
    "boolean": 'out += b"\\1" if {value} else b"\\0"',
    **{kind: f'out += pack("<{code}", {{value}})' for kind, (code, _) in _FLOATS.items()},
}
"""Code templates that append a value, by type."""


def _plain(avro: Avro) -> Any:
    """Return a schema reduced to the attributes that affect its encoding."""
    match avro:
        case [first, _] if first == _NULL:
            return avro
        case {"type": "record" | "enum" | "array" | "map"}:
            return avro
        case {"type": kind}:
            return kind
        case _:
            return avro


def _float(avro: Avro) -> tuple[str, int] | None:
    """Return the struct format and the size of a floating-point type; None for other types."""
    plain = _plain(avro)
    return _FLOATS.get(plain) if isinstance(plain, str) else None
