"""Generator of `schemas/types.py` from the `.avsc` files: `python -m schemas.generate [--check]`.

The documentation of each record and field becomes its docstring.
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).with_name("records")
TYPES = Path(__file__).with_name("types.py")
_LINE_CHARS = 120

_HEADER = '''"""Frozen types of the records in `schemas/records/`; made by `python -m schemas.generate`, do not edit."""

from __future__ import annotations

from typing import Literal

import msgspec
'''

_PRIMITIVES = {
    "string": "str",
    "bytes": "bytes",
    "int": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "boolean": "bool",
    "null": "None",
}


def load() -> dict[str, dict[str, Any]]:
    """Return every record's Avro schema by name, in file order."""
    schemas = [json.loads(path.read_text()) for path in sorted(RECORDS.glob("*.avsc"))]
    return {schema["name"]: schema for schema in schemas}


def render() -> str:
    """Return the source of `schemas/types.py`."""
    blocks: dict[str, str] = {}
    for schema in load().values():
        _record(schema, blocks)
    definitions = list(blocks.values())
    gap = "\n\n" if definitions[0].startswith("class") else "\n"
    return _HEADER + gap + "\n\n".join(definitions)


def _record(schema: dict[str, Any], blocks: dict[str, str]) -> None:
    lines = [
        f"class {schema['name']}(msgspec.Struct, frozen=True, kw_only=True, gc=False):",
        *_docstring(schema["doc"]),
        "",
    ]
    for field in schema["fields"]:
        lines.append(f"    {field['name']}: {_type(field['type'], blocks)}{_default(field)}")
        lines += _docstring(field["doc"])
    blocks[schema["name"]] = "\n".join(lines) + "\n"


def _docstring(doc: str) -> list[str]:
    """Return the lines of a docstring inside a class, wrapped where one line is too short."""
    indent = " " * 4
    text = doc.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return textwrap.wrap(
        f'"""{text}"""',
        width=_LINE_CHARS,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _type(avro: Any, blocks: dict[str, str]) -> str:
    if isinstance(avro, str):
        return _PRIMITIVES.get(avro, avro)
    if isinstance(avro, list):
        return " | ".join(sorted((_type(branch, blocks) for branch in avro), key=lambda name: name == "None"))
    if avro["type"] in {"enum", "record"}:
        return _named(avro, blocks)
    if avro["type"] == "array":
        return f"list[{_type(avro['items'], blocks)}]"
    if avro["type"] == "map":
        return f"dict[str, {_type(avro['values'], blocks)}]"
    return _PRIMITIVES[avro["type"]]


def _named(avro: dict[str, Any], blocks: dict[str, str]) -> str:
    if avro["type"] == "record":
        _record(avro, blocks)
    else:
        symbols = ",\n    ".join(f'"{symbol}"' for symbol in avro["symbols"])
        blocks[avro["name"]] = f"{avro['name']} = Literal[\n    {symbols},\n]\n"
    return str(avro["name"])


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return ""
    if field["type"] == "bytes":
        return f" = {field['default'].encode('latin-1')!r}".replace("'", '"')
    match field["default"]:
        case list() | dict() as value:
            factory = f"lambda: {value!r}" if value else type(value).__name__
            return f" = msgspec.field(default_factory={factory})"
        case str() as value:
            return f" = {json.dumps(value)}"
        case value:
            return f" = {value!r}"


def main() -> int:
    """Write the file, or with --check only report whether it is fresh."""
    source = render()
    if "--check" in sys.argv:
        if TYPES.read_text() == source:
            return 0
        sys.stderr.write("schemas/types.py is stale: run `python -m schemas.generate`\n")
        return 1
    TYPES.write_text(source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
