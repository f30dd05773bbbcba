"""What is asked, and what is answered."""

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

    The answer's type is a msgspec Struct: its JSON schema is what the model is told to fill in (docstrings and
    `msgspec.Meta` of its fields become descriptions and limits), and an answer is held against it.
    """

    system: str
    """What is the same for every user: the provider caches it."""
    user: str
    """What is asked now. What people or catalogues wrote belongs here, as JSON, never into `system`."""
    answer: type[A_co]
    purpose: str
    """What for: score, fetch and so on."""
    version: str
    """Version of the prompt's template."""
    user_id: str
    """Whose budget it is; it is not sent."""
    category: str = ""
    """Category of content whose budget it is."""
    max_tokens: int = 1_024
    """Longest answer."""

    def hash(self, model: str) -> str:
        """Return what names this question to a model: equal questions, whoever asks, have one answer."""
        content = (model, self.system, self.user, input_schema(self.answer), self.max_tokens)
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAnswer(Generic[A_co]):
    """One answer, checked. Its texts are still a model's: see `infra.llm.text`."""

    value: A_co
    hash: str
    """Of the question."""
    model: str
    recalled: bool = False
    """Whether it was given before and cost nothing now."""
    tokens: int = 0
    cost_usd: float = 0.0
    latency_ms: int = 0


@cache
def input_schema(answer: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON schema of an answer's type as a tool's input: an object at the top, the rest under $defs."""
    (top,), definitions = msgspec.json.schema_components((answer,), ref_template="#/$defs/{name}")
    schema: dict[str, Any] = definitions.pop(top["$ref"].rpartition("/")[2])
    return schema | ({"$defs": definitions} if definitions else {})
