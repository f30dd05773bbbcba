"""Lenient parser of the provider's messages. The caller validates the content."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from infra.llm.budget import Usage
from infra.llm.llm_error import LlmError, Reason

PAUSED = "pause_turn"
CUT = frozenset({"max_tokens", "model_context_window_exceeded"})
"""Stop reasons after which an answer may be incomplete."""
REFUSAL = "refusal"
_ERRORS: dict[str, Reason] = {
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limited",
    "api_error": "server_error",
    "timeout_error": "timeout",
    "authentication_error": "no_key",
    "permission_error": "no_key",
    "billing_error": "no_key",
}
"""Reasons for the types of error bodies; all other types mean `refused`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A message of the model."""

    content: list[Any]
    """Its content blocks, unvalidated."""
    stop_reason: str
    detail: str
    """Explanation of a refusal."""
    usage: Usage | None
    """None if the provider does not report it."""

    @property
    def payloads(self) -> list[Any]:
        """Return the inputs of the model's tool calls, or its text if there are none."""
        blocks = [block for block in self.content if isinstance(block, dict)]
        tool_inputs = [block.get("input") for block in blocks if block.get("type") == "tool_use"]
        texts = (block.get("text") for block in blocks if block.get("type") == "text")
        text = "\n".join(text for text in texts if isinstance(text, str)).strip()
        return tool_inputs or ([text] if text else [])

    @property
    def text(self) -> str:
        """Return the payloads as text for the log."""
        return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in self.payloads)


def parse(body: bytes) -> Reply:
    """Return the message in a response's body.

    Raises:
        LlmError: the body is an error, or no message.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise LlmError("malformed", f"not a message: {error}") from error
    if isinstance(message, dict) and message.get("type") == "error":
        problem = message.get("error")
        kind, detail = (problem.get("type"), problem.get("message")) if isinstance(problem, dict) else (None, problem)
        raise LlmError(_ERRORS.get(str(kind), "refused"), f"{kind}: {detail}")
    content = message.get("content", []) if isinstance(message, dict) else None
    if not isinstance(content, list | None) or not isinstance(message, dict):
        raise LlmError("malformed", "not a message: it has no list of blocks")
    details = message.get("stop_details")
    return Reply(
        content=content or [],
        stop_reason=str(message.get("stop_reason") or ""),
        detail=str(details.get("explanation") or details.get("category") or "") if isinstance(details, dict) else "",
        usage=_usage(message.get("usage")),
    )


def _usage(usage: Any) -> Usage | None:
    try:
        return msgspec.convert(usage, Usage, strict=False)
    except msgspec.ValidationError:
        return None
