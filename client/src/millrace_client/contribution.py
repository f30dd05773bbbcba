"""The requests of one client that takes part in a secure aggregation through the API.

`contribution` is a generator: it yields requests and receives the contents of their responses, so that both clients,
and an app with another HTTP client, can send them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from millrace_client.secure_aggregation import AggregationError, Contributor, PublicKeys

T = TypeVar("T")

_STATES = ("keys", "shares", "values", "reveals", "complete")


class AggregationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the API."""

    method: str
    path: str
    body: bytes | None = None
    """JSON."""
    pause_s: float = 0.0
    """A pause before the request, in seconds."""


class _Aggregation(msgspec.Struct, frozen=True):
    """An aggregation, as the API describes it."""

    state: str
    counters: int
    threshold: int


Requests = Generator[AggregationRequest, bytes, None]


def contribution(
    aggregation_id: str, user_id: str, values: Sequence[int], *, threshold: int, poll_s: float = 1.0
) -> Requests:
    """Yield the requests of a client, in their order.

    Args:
        aggregation_id: The id of the aggregation.
        user_id: The user as whom the client takes part.
        values: Its counters.
        threshold: Number of clients that each round needs, as the app knows it: the API is not trusted with it.
        poll_s: The pause between two looks at the state of the aggregation, in seconds.

    Raises:
        AggregationError: the aggregation is another one, or has gone on or ended without this client.
        ValueError: a counter is out of range.
    """
    contributor = Contributor(aggregation_id, user_id, values, threshold=threshold)
    path = f"/aggregations/{quote(aggregation_id, safe='')}"
    query = f"?user_id={quote(user_id, safe='')}"

    def _post(name: str, content: dict[str, Any]) -> AggregationRequest:
        body = msgspec.json.encode({"user_id": user_id, **content})
        return AggregationRequest(method="POST", path=f"{path}/{name}", body=body)

    aggregation = yield from _read(path, _Aggregation)
    if (aggregation.counters, aggregation.threshold) != (len(values), threshold):
        raise AggregationError("the aggregation has other terms than this client knows")
    yield _post("keys", msgspec.to_builtins(contributor.public_keys()))
    yield from _until(path, "shares", poll_s)
    keys = yield from _field(f"{path}/keys{query}", "keys", dict[str, PublicKeys])
    yield _post("shares", {"shares": contributor.encrypted_shares(keys)})
    yield from _until(path, "values", poll_s)
    shares = yield from _field(f"{path}/shares{query}", "shares", dict[str, bytes])
    yield _post("values", {"values": contributor.masked_values(shares)})
    yield from _until(path, "reveals", poll_s)
    survivors = yield from _field(f"{path}/survivors{query}", "survivors", list[str])
    yield _post("reveals", msgspec.to_builtins(contributor.revealed_shares(survivors)))


def _until(path: str, state: str, poll_s: float) -> Requests:
    """Look at the aggregation until its state is the one to wait for."""
    pause_s = 0.0
    while True:
        current = (yield from _read(path, _Aggregation, pause_s=pause_s)).state
        if current == state:
            return
        if current not in _STATES or _STATES.index(current) > _STATES.index(state):
            raise AggregationError(f"the aggregation did not wait for this client: its state is {current!r}")
        pause_s = poll_s


def _read(path: str, kind: type[T], *, pause_s: float = 0.0) -> Generator[AggregationRequest, bytes, T]:
    content = yield AggregationRequest(method="GET", path=path, pause_s=pause_s)
    return msgspec.json.decode(content, type=kind)


def _field(path: str, name: str, kind: type[T]) -> Generator[AggregationRequest, bytes, T]:
    content = yield AggregationRequest(method="GET", path=path)
    return msgspec.convert(msgspec.json.decode(content)[name], kind)
