"""Messages of secure aggregations: bodies of requests, and answers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from api.http.error import InvalidError
from api.http.query import UserId, validate_user_id
from infra.privacy.aggregation_store import AggregationTerms, State
from infra.privacy.secure_sum import MAX_VALUES, PublicKeys

MAX_THRESHOLD = 100
MAX_CLIENTS = 2 * MAX_THRESHOLD - 1

SharesByUser = Annotated[dict[UserId, bytes], Meta(max_length=MAX_CLIENTS)]


class AggregationBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /aggregations."""

    counters: Annotated[int, Meta(ge=1, le=MAX_VALUES, description="Number of counters of each client.")]
    threshold: Annotated[int, Meta(ge=2, le=MAX_THRESHOLD, description="Number of clients that each round needs.")]
    max_clients: Annotated[int, Meta(ge=2, le=MAX_CLIENTS)] | None = None
    """The first round ends once as many take part: from the threshold to one less than twice as many, the default."""
    round_s: Annotated[int, Meta(ge=1, le=3_600, description="Longest duration of a round, in seconds.")] = 300

    def terms(self) -> AggregationTerms:
        """Return the terms of the aggregation.

        Raises:
            InvalidError: the maximum number of clients does not fit the threshold.
        """
        most = 2 * self.threshold - 1
        max_clients = most if self.max_clients is None else self.max_clients
        if not self.threshold <= max_clients <= most:
            raise InvalidError("max_clients", f"must be {self.threshold} to {most}, for this threshold")
        return AggregationTerms(
            counters=self.counters,
            threshold=self.threshold,
            max_clients=max_clients,
            round_ms=1_000 * self.round_s,
        )


class KeysBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /aggregations/{aggregation_id}/keys: public keys (X25519), in Base64."""

    user_id: UserId
    mask: bytes
    share: bytes


class SharesBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /aggregations/{aggregation_id}/shares: encrypted shares by receiver, in Base64."""

    user_id: UserId
    shares: SharesByUser


class ValuesBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /aggregations/{aggregation_id}/values: masked counters, from 0 to 2⁶⁴ - 1."""

    user_id: UserId
    values: Annotated[list[int], Meta(max_length=MAX_VALUES)]


class RevealsBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /aggregations/{aggregation_id}/reveals: shares by client, in Base64."""

    user_id: UserId
    seeds: SharesByUser
    """Shares of the seeds of the masks of clients whose counters are in the sum."""
    mask_keys: SharesByUser
    """Shares of the private mask keys of clients that dropped out."""


class ContributorQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The client that reads."""

    user_id: UserId

    def __post_init__(self) -> None:
        validate_user_id(self.user_id)


class Aggregation(msgspec.Struct, frozen=True, kw_only=True):
    """An aggregation as it is: clients send what its state names."""

    aggregation_id: str
    state: State
    counters: int
    threshold: int
    max_clients: int
    clients: int
    """Number of messages in the round; at the end number of clients in the sum, or in the round that failed."""
    round_s: int
    closes_at: int
    """The time at which the round ends, in ms since the epoch; earlier, once all clients have sent their messages."""


class KeysAnswer(msgspec.Struct, frozen=True):
    """The public keys of all clients."""

    keys: dict[str, PublicKeys]


class SharesAnswer(msgspec.Struct, frozen=True):
    """The encrypted shares for a client, by sender."""

    shares: dict[str, bytes]


class SurvivorsAnswer(msgspec.Struct, frozen=True):
    """The clients whose counters are in the sum."""

    survivors: list[str]


class SumAnswer(msgspec.Struct, frozen=True):
    """The sums of the counters, and the number of clients that they are of."""

    sum: list[int]
    clients: int
