"""The OpenAPI 3.1 document, derived from the endpoint declarations."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from api.http.endpoint import Endpoint
from api.http.error import (
    ApiError,
    BadValueError,
    ContentTypeError,
    ForbiddenError,
    InvalidError,
    KeysUnavailableError,
    MalformedError,
    TooLargeError,
    TooManyRequestsError,
    UnauthorizedError,
)
from api.http.error_response import ErrorAnswer
from schemas.limit import ID_CHARS

JSON = "application/json"
_PARAMETER = re.compile(r"{(?P<name>\w+)}")
_REF = "#/components/schemas/"
_BODY_ERRORS = (MalformedError, TooLargeError, ContentTypeError, InvalidError)
_CALLER_ERRORS = (UnauthorizedError, ForbiddenError, TooManyRequestsError, KeysUnavailableError)
_ID = {"type": "string", "minLength": 1, "maxLength": ID_CHARS, "examples": ["alex"]}


def openapi(endpoints: Iterable[Endpoint], *, version: str, is_strict: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        endpoints: The declarations.
        version: The version of Millrace.
        is_strict: Whether tokens are required; otherwise they are documented as optional.
    """
    endpoint_list = list(endpoints)
    schemas, components = _schemas(endpoint_list)
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoint_list:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schemas, components, is_strict)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Millrace",
            "version": version,
            "summary": "Events in, ranked feeds out.",
            "description": (
                "User interactions are published as events; each user's feed is re-ranked within a moment and served "
                "from a store. Errors have one shape and are listed in [the error catalog](/docs/errors); topics have "
                "[a document of their own](/docs/topics)."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group, "description": what} for group, what in _groups(endpoint_list).items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token whose `sub` is the requested user, or with the scope service or admin.",
                }
            },
        },
    }


def refusals(endpoint: Endpoint) -> dict[int, list[type[ApiError]]]:
    """Return the possible errors of an endpoint, by status."""
    has_parameters = _PARAMETER.search(endpoint.path) is not None
    uses_400 = BadValueError in endpoint.errors  # for invalid path and query parameters
    kinds: dict[type[ApiError], None] = dict.fromkeys(endpoint.errors)
    kinds |= dict.fromkeys(_BODY_ERRORS if endpoint.body is not None else ())
    kinds |= dict.fromkeys((InvalidError,) if (endpoint.query or has_parameters) and not uses_400 else ())
    kinds |= dict.fromkeys(_CALLER_ERRORS if endpoint.scope != "public" else ())
    kinds |= dict.fromkeys((TooManyRequestsError,) if endpoint.method != "GET" else ())
    by_status: dict[int, list[type[ApiError]]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return dict(sorted(by_status.items()))


def _schemas(endpoints: Sequence[Endpoint]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Return the schema of each type, by the type's repr, and the components that the schemas refer to."""
    types: list[Any] = [ErrorAnswer]
    for one in endpoints:
        kinds = (one.query, one.path_parameters, one.body, *one.answers.values())
        types += [kind for kind in kinds if kind is not None and not isinstance(kind, str)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF + "{name}")
    return {repr(kind): schema for kind, schema in zip(types, schemas, strict=True)}, components


def _operation(
    one: Endpoint, schemas: Mapping[Any, Any], components: Mapping[str, Any], is_strict: bool
) -> dict[str, Any]:
    slug = re.sub(r"\W+", "_", one.path).strip("_")
    operation: dict[str, Any] = {
        "operationId": f"{one.method.lower()}_{slug}",
        "summary": one.description.rstrip("."),
        "description": _description(one),
        "tags": [one.group],
        "parameters": [*_in_path(one, schemas, components), *_in_query(one, schemas, components)],
        "responses": _responses(one, schemas),
    }
    if one.scope != "public":
        operation["security"] = [{"bearer": []}] if is_strict or one.scope == "admin" else [{}, {"bearer": []}]
    if one.body is not None:
        operation["requestBody"] = {"required": one.body_required, "content": _content(one.body, schemas, one.example)}
    return operation


def _description(one: Endpoint) -> str:
    return {
        "public": "Open to everyone.",
        "user": "For users, on their own data, and for services.",
        "service": "For tokens with the scope `service` or `admin`.",
        "admin": "For tokens with the scope `admin`.",
    }[one.scope]


def _in_path(one: Endpoint, schemas: Mapping[Any, Any], components: Mapping[str, Any]) -> list[dict[str, Any]]:
    declared_parameters = {
        parameter["name"]: parameter for parameter in _parameters(one.path_parameters, schemas, components)
    }
    return [
        declared_parameters.get(match["name"], {"name": match["name"], "schema": _ID})
        | {"in": "path", "required": True}
        for match in _PARAMETER.finditer(one.path)
    ]


def _in_query(one: Endpoint, schemas: Mapping[Any, Any], components: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [parameter | {"in": "query"} for parameter in _parameters(one.query, schemas, components)]


def _parameters(kind: Any, schemas: Mapping[Any, Any], components: Mapping[str, Any]) -> list[dict[str, Any]]:
    if kind is None:
        return []
    schema = components[schemas[repr(kind)]["$ref"].removeprefix(_REF)]
    required_names = schema.get("required", ())
    return [
        {
            "name": name,
            "required": name in required_names,
            "schema": property_schema,
            **({"description": property_schema["description"]} if "description" in property_schema else {}),
        }
        for name, property_schema in schema["properties"].items()
    ]


def _responses(one: Endpoint, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, kind in one.answers.items():
        description = _describe(kind)
        responses[str(status)] = {"description": description} | (
            {} if kind is None else {"content": _content(kind, schemas)}
        )
    for status, kinds in refusals(one).items():
        if str(status) not in responses:
            responses[str(status)] = {
                "description": "; ".join(f"`{kind.code}`: {_describe(kind)}" for kind in kinds),
                "content": {JSON: {"schema": schemas[repr(ErrorAnswer)]}},
            }
    return responses


def _content(kind: Any, schemas: Mapping[Any, Any], example: Any = None) -> dict[str, Any]:
    if isinstance(kind, str):
        return {kind: {"schema": {"type": "string"}}}
    return {JSON: {"schema": schemas[repr(kind)]} | ({} if example is None else {"example": example})}


def _describe(kind: Any) -> str:
    text: str = getattr(kind, "__doc__", None) or "" if isinstance(kind, type) else ""
    if kind is None:
        return "Nothing new."
    return text.partition("\n")[0] or "The answer."


def _groups(endpoints: Iterable[Endpoint]) -> dict[str, str]:
    modules = {one.group: one.handler.__module__ for one in endpoints}
    return {group: (sys.modules[name].__doc__ or "").partition("\n")[0] for group, name in modules.items()}
