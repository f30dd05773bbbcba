from typing import Any

import msgspec
import pytest

from schemas import generate


def source_of(*fields: dict[str, Any]) -> str:
    blocks: dict[str, str] = {}
    generate._record({"type": "record", "name": "Thing", "doc": "A thing.", "fields": list(fields)}, blocks)
    return "\n\n".join(blocks.values())


def built(source: str) -> Any:
    names: dict[str, Any] = {"msgspec": msgspec}
    exec("from typing import Literal\n" + source, names)
    return names["Thing"]


def test_the_generated_types_are_fresh() -> None:
    assert generate.render() == generate.TYPES.read_text()


@pytest.mark.parametrize(
    ("avro", "annotation"),
    [
        ("string", "str"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "int"),
        (["null", "double"], "float | None"),
        ({"type": "map", "values": "float"}, "dict[str, float]"),
        ({"type": "array", "items": {"type": "map", "values": "long"}}, "list[dict[str, int]]"),
    ],
)
def test_each_avro_type_has_its_annotation(avro: Any, annotation: str) -> None:
    assert f"    a: {annotation}\n" in source_of({"name": "a", "type": avro, "doc": "."})


def test_each_field_is_followed_by_its_documentation() -> None:
    source = source_of(
        {"name": "a", "type": "string", "doc": "An id."}, {"name": "b", "type": "int", "doc": "A count."}
    )
    assert '    a: str\n    """An id."""\n    b: int\n    """A count."""\n' in source


def test_long_documentation_is_wrapped() -> None:
    doc = "A " + "very " * 60 + "long text."
    source = source_of({"name": "a", "type": "string", "doc": doc})
    assert max(map(len, source.splitlines())) <= 120
    assert " ".join(source.partition("a: str")[2].split()) == f'"""{doc}"""'


@pytest.mark.parametrize("doc", ['It has a "quoted" word.', r"It has a \d in it.", 'Three: """.'])
def test_documentation_of_any_text_is_valid_source(doc: str) -> None:
    assert built(source_of({"name": "a", "type": "string", "doc": doc}))(a="x").a == "x"


@pytest.mark.parametrize(
    ("avro", "default"),
    [
        ("string", 'quo"ted'),
        (["null", "string"], None),
        ({"type": "array", "items": "string"}, []),
        ({"type": "array", "items": "string"}, ["a"]),
        ({"type": "map", "values": "long"}, {}),
        ({"type": "map", "values": "long"}, {"a": 1}),
        ("boolean", True),
    ],
)
def test_each_default_is_what_the_type_builds(avro: Any, default: Any) -> None:
    thing = built(source_of({"name": "a", "type": avro, "doc": ".", "default": default}))
    assert thing().a == default
    if isinstance(default, list | dict):
        assert thing().a is not thing().a


def test_a_nested_type_stands_before_its_user_and_only_once() -> None:
    kind = {"type": "enum", "name": "Kind", "doc": ".", "symbols": ["unknown", "a"], "default": "unknown"}
    source = source_of(
        {"name": "one", "type": kind, "doc": "."}, {"name": "two", "type": "Kind", "doc": ".", "default": "unknown"}
    )
    assert source.count("Kind = Literal") == 1
    assert source.index("Kind = Literal") < source.index("class Thing")
    assert built(source)(one="a").two == "unknown"
