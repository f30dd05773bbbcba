"""Prompts and their answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

A_co = TypeVar("A_co", bound=msgspec.Struct, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt(Generic[A_co]):
    """One question.

    The answer's type is a msgspec Struct. Its JSON schema is sent to the model (docstrings and `msgspec.Meta` of its
    fields become descriptions and limits), and answers are validated against it.
    """

    system: str
    """The part that is the same for every user; the provider caches it."""
    user: str
    """The part of this question. Text from users or catalogs belongs here, as JSON, never into `system`."""
    answer: type[A_co]
    purpose: str
    """Purpose of the question: score, fetch and so on."""
    version: str
    """Version of the prompt's template."""
    user_id: str
    """The user whose budget pays; it is not sent."""
    category: str = ""
    """The category of content whose budget pays."""
    max_tokens: int = 1_024
    """Maximum length of the answer."""

    def hash(self, model: str) -> str:
        """Return the cache key of this question to a model: equal questions of all users share one answer."""
        content = (model, self.system, self.user, input_schema(self.answer), self.max_tokens)
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAnswer(Generic[A_co]):
    """A validated answer. Its texts are still unsafe model output: see `infra.llm.text`."""

    value: A_co
    hash: str
    """Hash of the question."""
    model: str
    is_cached: bool = False
    """Whether it came from the cache and cost nothing."""
    tokens: int = 0
    cost_usd: float = 0.0
    latency_ms: int = 0


@cache
def input_schema(answer: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON schema of an answer's type as a tool's input: an object at the top, the rest under $defs."""
    (top,), definitions = msgspec.json.schema_components((answer,), ref_template="#/$defs/{name}")
    schema: dict[str, Any] = definitions.pop(top["$ref"].rpartition("/")[2])
    return schema | ({"$defs": definitions} if definitions else {})
