"""A fake of Claude's Messages API, direct and through Amazon Bedrock.

    async with FakeClaude().serve() as url:      # LLM_BASE_URL=url ANTHROPIC_API_KEY=simulated

It validates requests against the protocol, answers with a tool call derived from the request (`infra.fakes.answer`),
and counts tokens, including those of the prompt cache. Faults can be injected: `faults` apply to the next requests, one
each; `double:NAME` anywhere in a user's message applies to that request; `permanent_fault` applies to all others.
`messages` are the literal answers to the next requests.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, cast, get_args

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.fakes import NAME
from infra.fakes.answer import answer, broken, cut_short, flawed
from infra.fakes.serve import serve_app

KEY = NAME
"""The accepted key, with any secret."""
Fault = Literal[
    "unauthorized",  # 401
    "rate_limited",  # 429 with retry-after
    "spent",  # 429 without retry-after: the monthly spend limit is reached
    "server_error",  # 500
    "overloaded",  # 529
    "slow",  # an answer after `slow_s`
    "garbage",  # a body that is not a message
    "error_body",  # 200 with an error in place of a message
    "malformed",  # a tool input whose types contradict its schema
    "flawed",  # a tool input with one empty entry, values of related types and nulls
    "cut",  # a tool input that max_tokens has cut off completely
    "cut_short",  # a tool input whose last entry max_tokens has truncated
    "paused",  # a turn for the client to continue
    "empty",  # an answer without content
    "text",  # text instead of a tool call
    "refusal",  # no answer: the model refuses
]
_FAULTS: tuple[Fault, ...] = get_args(Fault)
_MARK = re.compile(r"double:([a-z_]+)")
_ERRORS: dict[Fault | None, tuple[int, str]] = {
    "unauthorized": (401, "authentication_error"),
    "rate_limited": (429, "rate_limit_error"),
    "spent": (429, "rate_limit_error"),
    "server_error": (500, "api_error"),
    "overloaded": (529, "overloaded_error"),
}
_BYTES_PER_TOKEN = 4
Body = dict[str, Any]
_TEXTS: dict[Fault | None, tuple[list[Body], str]] = {
    "text": ([{"type": "text", "text": "Here is what I would suggest."}], "end_turn"),
    "refusal": ([], "refusal"),
    "paused": ([{"type": "text", "text": "Let me look further."}], "pause_turn"),
    "empty": ([], "end_turn"),
}
_SPOILS: dict[Fault | None, Callable[[Body], Body]] = {
    "malformed": broken,
    "flawed": flawed,
    "cut": lambda _: {},
    "cut_short": cut_short,
}


class FakeClaude:
    """The fake server, with its faults to inject and its requests to inspect."""

    def __init__(self, *, delay_s: float = 0.0, slow_s: float = 3.0, cache_from_tokens: int = 4_096) -> None:
        """Configure the fake.

        Args:
            delay_s: Delay of every answer in seconds.
            slow_s: Delay of an answer with the fault `slow`, in seconds.
            cache_from_tokens: Length of the shortest prompt that is cached, in tokens.
        """
        self.delay_s, self.slow_s, self.retry_after_s = delay_s, slow_s, 1.0
        self.faults: deque[Fault | None] = deque()
        self.permanent_fault: Fault | None = None
        self.gate = asyncio.Event()
        """Answers wait until it is set."""
        self.gate.set()
        self.messages: deque[tuple[list[Body], str]] = deque()
        """Content blocks and stop reasons of the next messages."""
        self.requests: list[Body] = []
        """Bodies of all requests in order of arrival."""
        self.max_in_flight = self._under_way = 0
        self._cache_from_tokens = cache_from_tokens
        self._cached_prefixes: set[bytes] = set()

    def serve(self, *, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve the fake and yield its URL; port 0 selects a free port."""
        routes = [
            Route("/v1/messages", self._direct, methods=["POST"]),
            Route("/model/{model}/invoke", self._bedrock, methods=["POST"]),
        ]
        return serve_app(Starlette(routes=routes), port=port)

    async def _direct(self, request: Request) -> Response:
        body: Body = msgspec.json.decode(await request.body())
        if KEY not in (
            request.headers.get("x-api-key"),
            request.headers.get("authorization", "").removeprefix("Bearer "),
        ):
            return self._error("unauthorized", "invalid x-api-key")
        missing = [name for name in ("model", "max_tokens", "messages") if name not in body]
        if missing or "anthropic-version" not in request.headers:
            return self._refused(f"{missing or 'anthropic-version'}: field required")
        return await self._counted(body)

    async def _bedrock(self, request: Request) -> Response:
        body: Body = msgspec.json.decode(await request.body())
        if f"AWS4-HMAC-SHA256 Credential={KEY}/" not in request.headers.get("authorization", ""):
            return self._error("unauthorized", "the security token is invalid")
        missing = [name for name in ("anthropic_version", "max_tokens", "messages") if name not in body]
        if missing:
            return self._refused(f"{missing}: field required")
        return await self._counted({"model": request.path_params["model"]} | body)

    async def _counted(self, body: Body) -> Response:
        self.requests.append(body)
        self._under_way += 1
        self.max_in_flight = max(self.max_in_flight, self._under_way)
        try:
            return await self._answer(body)
        finally:
            self._under_way -= 1

    async def _answer(self, body: Body) -> Response:
        fault = self._fault(body)
        if fault in _ERRORS:
            return self._error(fault, f"simulated: {fault}")
        await self.gate.wait()
        await asyncio.sleep(self.slow_s if fault == "slow" else self.delay_s)
        if fault == "garbage":
            return self._response(200, b"<html>simulated</html>")
        if fault == "error_body":
            return self._problem(200, "overloaded_error", f"simulated: {fault}")
        tool_name = body.get("tool_choice", {}).get("name")
        tool = next((tool for tool in body.get("tools", ()) if tool["name"] == tool_name), None)
        if tool is None:
            return self._refused(f"tool_choice: no tool {tool_name}")
        content, stop_reason = self._content(body, tool, fault)
        usage = self._usage(body, content)
        return self._response(
            200,
            json.dumps(  # unlike msgspec's encoder it can write lone surrogates, as models do
                {
                    "id": f"msg_simulated_{len(self.requests)}",
                    "type": "message",
                    "role": "assistant",
                    "model": body["model"],
                    "content": content,
                    "stop_reason": stop_reason,
                    "stop_details": {"type": "refusal", "category": "cyber"} if stop_reason == "refusal" else None,
                    "stop_sequence": None,
                    "usage": usage,
                }
            ).encode(),
        )

    def _content(self, body: Body, tool: Body, fault: Fault | None) -> tuple[list[Body], str]:
        """Return the content blocks and the stop reason of an answer."""
        if self.messages:
            return self.messages.popleft()
        if fault in _TEXTS:
            return _TEXTS[fault]
        tool_input = answer(tool["input_schema"], system=_text(body.get("system", "")), user_text=_user_text(body))
        spoil = _SPOILS.get(fault)
        block = self.use(tool["name"], tool_input if spoil is None else spoil(tool_input))
        return [block], "max_tokens" if fault in ("cut", "cut_short") else "tool_use"

    def use(self, tool: str, tool_input: Any) -> Body:
        """Return the content block of a tool call."""
        return {"type": "tool_use", "id": f"toolu_simulated_{len(self.requests)}", "name": tool, "input": tool_input}

    def _usage(self, body: Body, content: list[Body]) -> dict[str, int]:
        """Count tokens. The first request with a prefix marked for caching pays for its write, later ones for reads."""
        system = body.get("system", [])
        is_marked = any("cache_control" in block for block in system if isinstance(block, dict))
        prefix = msgspec.json.encode([body.get("tools"), system], order="deterministic")
        cached_tokens = len(prefix) // _BYTES_PER_TOKEN if is_marked else 0
        if cached_tokens < self._cache_from_tokens:
            cached_tokens = 0
        is_cached = prefix in self._cached_prefixes
        if cached_tokens:
            self._cached_prefixes.add(prefix)
        prompt_tokens = len(msgspec.json.encode([body.get("tools"), system, body["messages"]])) // _BYTES_PER_TOKEN
        return {
            "input_tokens": prompt_tokens - cached_tokens,
            "cache_creation_input_tokens": 0 if is_cached else cached_tokens,
            "cache_read_input_tokens": cached_tokens if is_cached else 0,
            "output_tokens": len(json.dumps(content)) // _BYTES_PER_TOKEN,
        }

    def _fault(self, body: Body) -> Fault | None:
        if self.faults:
            return self.faults.popleft()
        mark = _MARK.search(_user_text(body))
        return cast(Fault, mark[1]) if mark and mark[1] in _FAULTS else self.permanent_fault

    def _refused(self, message: str) -> Response:
        return self._problem(400, "invalid_request_error", message)

    def _error(self, fault: Fault | None, message: str) -> Response:
        status, kind = _ERRORS[fault]
        response = self._problem(status, kind, message)
        if fault == "rate_limited":
            response.headers["retry-after"] = f"{self.retry_after_s:g}"
        return response

    def _problem(self, status: int, kind: str, message: str) -> Response:
        error: Body = {"type": "error", "error": {"type": kind, "message": message}}
        if message == "simulated: spent":
            error["error"]["details"] = {"error_code": "enforced_spend_limit_reached"}
        return self._response(status, msgspec.json.encode(error))

    def _response(self, status: int, body: bytes) -> Response:
        headers = {"request-id": f"req_simulated_{len(self.requests)}"}
        return Response(body, status, headers, media_type="application/json")


def _user_text(body: Body) -> str:
    """Return the text of all messages."""
    return "\n".join(_text(message["content"]) for message in body["messages"])


def _text(content: str | list[Body]) -> str:
    return content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)
