"""Endpoints of secure aggregations: messages of four rounds, of which the server learns nothing but the sum.

A service begins an aggregation. Each client takes part as a user, once: it sends its keys, its encrypted shares, its
masked counters and the shares that are needed, and reads in between what the others sent. The protocol is that of
`infra.privacy.secure_sum`.

    POST keys ──▶ GET keys, POST shares ──▶ GET shares, POST values ──▶ GET survivors, POST reveals ──▶ GET sum
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.body import new_id, parse_body
from api.http.endpoint import Endpoint
from api.http.error import ApiError, InvalidError, StoreUnavailableError, TooManyRequestsError
from api.http.query import parse_query, validate_user_id
from api.http.response import json_response
from api.privacy.aggregation_error import (
    AggregationFailedError,
    AggregationFullError,
    NoAggregationError,
    NoContributorError,
    RepeatedMessageError,
    RoundConflictError,
    TooManyAggregationsError,
)
from api.privacy.aggregation_message import (
    Aggregation,
    AggregationBody,
    ContributorQuery,
    KeysAnswer,
    KeysBody,
    RevealsBody,
    SharesAnswer,
    SharesBody,
    SumAnswer,
    SurvivorsAnswer,
    ValuesBody,
)
from api.security.rate_limit import RateLimiter
from infra.privacy.aggregation_store import (
    MAX_OPEN,
    RoundMessage,
    StoredAggregation,
)
from infra.privacy.secure_sum import (
    IncompleteSumError,
    PublicKeys,
    RevealedShares,
    RoundError,
    SecureSum,
)

CREATION_LIMIT = "100/hour"
"""Limit of new aggregations, of the whole deployment."""
_BODY_BYTES = 512 << 10
_KEYS, _SHARES, _VALUES, _REVEALS = range(1, 5)

B = TypeVar("B", KeysBody, SharesBody, ValuesBody, RevealsBody)

_aggregation = msgspec.json.Decoder(AggregationBody)
_keys = msgspec.json.Decoder(KeysBody)
_shares = msgspec.json.Decoder(SharesBody)
_values = msgspec.json.Decoder(ValuesBody)
_reveals = msgspec.json.Decoder(RevealsBody)
_stored_keys = msgspec.msgpack.Decoder(PublicKeys)
_stored_reveals = msgspec.msgpack.Decoder(RevealedShares)
_pack = msgspec.msgpack.Encoder(order="sorted").encode
_PATH = "/aggregations"
_ONE = f"{_PATH}/{{aggregation_id}}"
_KEYS_EXAMPLE = {"mask": "C" * 42 + "A=", "share": "D" * 42 + "A="}
_SHARE = "A" * 88
_ERRORS: tuple[type[ApiError], ...] = (NoAggregationError, AggregationFailedError, StoreUnavailableError)
_READ_ERRORS: tuple[type[ApiError], ...] = (*_ERRORS, RoundConflictError, NoContributorError)
_SEND_ERRORS: tuple[type[ApiError], ...] = (*_READ_ERRORS, RepeatedMessageError)


class SecureAggregationEndpoints:
    """Endpoints of secure aggregations."""

    def __init__(self, context: ApiContext) -> None:
        self._clients, self._store = context.clients, context.clients.aggregations
        self._creations = RateLimiter("deployment", CREATION_LIMIT, context.clients.rate_limit_storage)
        self._body_bytes = min(_BODY_BYTES, context.settings.api_max_body_bytes)
        self._summing = asyncio.Lock()

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        creation = Endpoint(
            "POST",
            _PATH,
            self.create,
            scope="service",
            body=AggregationBody,
            example={"counters": 3, "threshold": 2},
            answers={201: Aggregation},
            errors=(TooManyAggregationsError, TooManyRequestsError, StoreUnavailableError),
        )
        sends = (
            (self.add_keys, "keys", KeysBody, _KEYS_EXAMPLE),
            (self.add_shares, "shares", SharesBody, {"shares": {"ben": _SHARE}}),
            (self.add_values, "values", ValuesBody, {"values": [2**64 - 1, 5, 8]}),
            (self.add_reveals, "reveals", RevealsBody, {"seeds": {"alex": _SHARE, "ben": _SHARE}, "mask_keys": {}}),
        )
        reads = (
            (self.show_keys, "keys", KeysAnswer),
            (self.show_shares, "shares", SharesAnswer),
            (self.show_survivors, "survivors", SurvivorsAnswer),
        )
        return [
            creation,
            *(
                Endpoint(
                    "POST",
                    f"{_ONE}/{name}",
                    handler,
                    body=body,
                    example={"user_id": "alex", **example},
                    answers={202: None},
                    errors=(*_SEND_ERRORS, AggregationFullError),
                )
                for handler, name, body, example in sends
            ),
            *(
                Endpoint(
                    "GET",
                    f"{_ONE}/{name}",
                    handler,
                    query=ContributorQuery,
                    answers={200: answer},
                    errors=_READ_ERRORS,
                )
                for handler, name, answer in reads
            ),
            Endpoint(
                "GET",
                f"{_ONE}/sum",
                self.show_sum,
                scope="service",
                answers={200: SumAnswer},
                errors=(*_ERRORS, RoundConflictError),
            ),
            Endpoint(
                "GET", _ONE, self.show, answers={200: Aggregation}, errors=(NoAggregationError, StoreUnavailableError)
            ),
        ]

    async def create(self, request: Request) -> Response:
        """Begin a secure aggregation of clients' counters.

        Its rounds end once all clients have sent their messages, or after `round_s` if at least `threshold` have.
        """
        terms = (await parse_body(request, _aggregation, self._body_bytes)).terms()
        await self._creations.acquire("aggregations")
        aggregation_id, now_ms = new_id(), self._clients.now_ms()
        if not await self._store.create(aggregation_id, terms, now_ms):
            raise TooManyAggregationsError(MAX_OPEN)
        aggregation = StoredAggregation(terms=terms, round=_KEYS, closes_at=now_ms + terms.round_ms, clients=0)
        return json_response(_answer(aggregation_id, aggregation), 201)

    async def show(self, request: Request) -> Response:
        """Return an aggregation's state and terms."""
        aggregation_id = request.path_params["aggregation_id"]
        aggregation = await self._store.read(aggregation_id, self._clients.now_ms())
        if aggregation is None:
            raise NoAggregationError(aggregation_id)
        return json_response(_answer(aggregation_id, aggregation))

    async def add_keys(self, request: Request) -> Response:
        """Take part in an aggregation: send public keys."""
        body, aggregation = await self._message(request, _keys, _KEYS)
        keys = PublicKeys(body.mask, body.share)
        with _invalid("mask"):
            self._resumed(request, aggregation, _KEYS).add_keys(body.user_id, keys)
        return await self._add(
            request, aggregation, RoundMessage(round=_KEYS, user_id=body.user_id, content=_pack(keys))
        )

    async def add_shares(self, request: Request) -> Response:
        """Send encrypted shares for all other clients."""
        body, aggregation = await self._message(request, _shares, _SHARES)
        keys = dict.fromkeys(aggregation.senders[0], PublicKeys(b"", b""))
        if body.user_id in keys:
            with _invalid("shares"):
                self._resumed(request, aggregation, _SHARES, keys=keys).add_shares(body.user_id, body.shares)
        digest = sha256(_pack(body.shares)).digest()
        message = RoundMessage(round=_SHARES, user_id=body.user_id, content=digest, shares=body.shares)
        return await self._add(request, aggregation, message)

    async def add_values(self, request: Request) -> Response:
        """Send masked counters."""
        body, aggregation = await self._message(request, _values, _VALUES)
        with _invalid("values"):
            self._resumed(request, aggregation, _VALUES, share_senders=[body.user_id]).add_masked(
                body.user_id, body.values
            )
        content = np.array(body.values, np.dtype("<u8")).tobytes()
        return await self._add(request, aggregation, RoundMessage(round=_VALUES, user_id=body.user_id, content=content))

    async def add_reveals(self, request: Request) -> Response:
        """Send the shares that remove the masks that do not vanish in the sum."""
        body, aggregation = await self._message(request, _reveals, _REVEALS)
        reveals = RevealedShares(body.seeds, body.mask_keys)
        survivors = dict.fromkeys(aggregation.senders[2], np.zeros(0, np.uint64))
        if body.user_id in survivors:
            with _invalid("seeds"):
                senders = aggregation.senders[1]
                protocol = self._resumed(request, aggregation, _REVEALS, share_senders=senders, masked_values=survivors)
                protocol.add_revealed(body.user_id, reveals)
        return await self._add(
            request, aggregation, RoundMessage(round=_REVEALS, user_id=body.user_id, content=_pack(reveals))
        )

    async def show_keys(self, request: Request) -> Response:
        """Return the public keys of all clients, in the second round."""
        await self._contributor(request, _SHARES)
        messages = await self._messages(request, _KEYS)
        return json_response(KeysAnswer({name: _stored_keys.decode(content) for name, content in messages.items()}))

    async def show_shares(self, request: Request) -> Response:
        """Return the encrypted shares for a client, in the third round."""
        user_id, aggregation = await self._contributor(request, _VALUES)
        senders = [name for name in aggregation.senders[1] if name != user_id]
        return json_response(
            SharesAnswer(await self._store.shares_for(request.path_params["aggregation_id"], user_id, senders))
        )

    async def show_survivors(self, request: Request) -> Response:
        """Return the clients whose counters are in the sum, in the fourth round."""
        _, aggregation = await self._contributor(request, _REVEALS)
        return json_response(SurvivorsAnswer(sorted(aggregation.senders[2])))

    async def show_sum(self, request: Request) -> Response:
        """Return the sum of the counters, once all rounds are over; nothing else of them is ever known."""
        aggregation, aggregation_id = await self._read(request), request.path_params["aggregation_id"]
        if aggregation.state != "complete":
            raise RoundConflictError(aggregation.state)
        async with self._summing:
            counters = await self._store.read_sum(aggregation_id)
            if counters is None:
                counters = await self._sum(request, aggregation)
        return json_response(SumAnswer(counters, aggregation.clients))

    async def _sum(self, request: Request, aggregation: StoredAggregation) -> list[int]:
        """Add up the counters, and store the sum in place of the messages.

        Raises:
            AggregationFailedError: the clients' shares are wrong.
        """
        aggregation_id = request.path_params["aggregation_id"]
        keys, shares, values, reveals = [
            await self._store.messages(aggregation_id, number) for number in (_KEYS, _SHARES, _VALUES, _REVEALS)
        ]

        def total() -> list[int]:
            protocol = self._resumed(
                request,
                aggregation,
                _REVEALS,
                keys={name: _stored_keys.decode(content) for name, content in keys.items()},
                share_senders=shares,
                masked_values={name: np.frombuffer(content, np.dtype("<u8")) for name, content in values.items()},
                revealed_shares={name: _stored_reveals.decode(content) for name, content in reveals.items()},
            )
            return protocol.total()

        counters: list[int] | None = None
        with suppress(RoundError, IncompleteSumError):
            counters = await asyncio.to_thread(total)
        await self._store.finish(aggregation_id, counters)
        stored_counters = await self._store.read_sum(aggregation_id)  # another process may have been faster
        if stored_counters is None:
            raise AggregationFailedError(aggregation.clients, aggregation.terms.threshold)
        return stored_counters

    async def _message(
        self, request: Request, decoder: msgspec.json.Decoder[B], number: int
    ) -> tuple[B, StoredAggregation]:
        """Return a message of a round, and the aggregation with the senders of all rounds.

        Raises:
            RoundConflictError: the round has not begun.
        """
        body = await parse_body(request, decoder, self._body_bytes)
        validate_user_id(body.user_id)
        aggregation = await self._read(request, with_senders=True)
        if aggregation.round < number:
            raise RoundConflictError(aggregation.state)
        return body, aggregation

    async def _read(self, request: Request, *, with_senders: bool = False) -> StoredAggregation:
        """Return the aggregation that the path names.

        Raises:
            NoAggregationError, AggregationFailedError
        """
        aggregation_id = request.path_params["aggregation_id"]
        aggregation = await self._store.read(aggregation_id, self._clients.now_ms(), with_senders=with_senders)
        if aggregation is None:
            raise NoAggregationError(aggregation_id)
        if aggregation.state == "failed":
            raise AggregationFailedError(aggregation.clients, aggregation.terms.threshold)
        return aggregation

    async def _contributor(self, request: Request, number: int) -> tuple[str, StoredAggregation]:
        """Return the user that reads what the round before has gathered, and the aggregation.

        Raises:
            RoundConflictError: another round is in progress.
            NoContributorError: the user has not taken part in the round before.
        """
        user_id = parse_query(request, ContributorQuery).user_id
        aggregation = await self._read(request, with_senders=True)
        if aggregation.round != number:
            raise RoundConflictError(aggregation.state)
        if user_id not in aggregation.senders[number - 2]:
            raise NoContributorError(user_id)
        return user_id, aggregation

    async def _messages(self, request: Request, number: int) -> Mapping[str, bytes]:
        return await self._store.messages(request.path_params["aggregation_id"], number)

    async def _add(self, request: Request, aggregation: StoredAggregation, message: RoundMessage) -> Response:
        """Store a message that fits its round.

        Raises:
            RoundConflictError, RepeatedMessageError, NoContributorError, AggregationFullError
        """
        aggregation_id = request.path_params["aggregation_id"]
        outcome = await self._store.add(aggregation_id, message, self._clients.now_ms())
        if outcome == "unknown":
            raise NoAggregationError(aggregation_id)
        if outcome == "wrong round":
            raise RoundConflictError((await self._read(request)).state)
        if outcome == "repeated":
            raise RepeatedMessageError(message.user_id)
        if outcome == "stranger":
            raise NoContributorError(message.user_id)
        if outcome == "full":
            raise AggregationFullError(aggregation.terms.max_clients)
        return Response(status_code=202)

    def _resumed(self, request: Request, aggregation: StoredAggregation, number: int, **messages: Any) -> SecureSum:
        """Return the protocol in a round, with messages of others as `SecureSum.resumed` takes them."""
        terms = aggregation.terms
        return SecureSum.resumed(
            request.path_params["aggregation_id"],
            length=terms.counters,
            threshold=terms.threshold,
            number=number,
            **messages,
        )


@contextmanager
def _invalid(field: str) -> Iterator[None]:
    """Turn a message that does not fit its round into an error response."""
    try:
        yield
    except RoundError as error:
        raise InvalidError(field, f"cannot be used: {error}") from error


def _answer(aggregation_id: str, aggregation: StoredAggregation) -> Aggregation:
    terms = aggregation.terms
    return Aggregation(
        aggregation_id=aggregation_id,
        state=aggregation.state,
        counters=terms.counters,
        threshold=terms.threshold,
        max_clients=terms.max_clients,
        clients=aggregation.clients,
        round_s=terms.round_ms // 1_000,
        closes_at=aggregation.closes_at,
    )
