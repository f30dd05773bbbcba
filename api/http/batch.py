"""Batches: the entries that can be used are published, the others are named by their place.

202 says that all entries were published, and 207 that some were, with the problem of each other one. When none can be
used nothing is published, and the answer is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from api.context import ApiContext
from api.http.error import ApiError, BrokerAwayError, ForbiddenError, InvalidBatchError, Problem
from api.http.response import AcceptedBatch, accepted_batch, json_response
from api.security.principal import authorize_user
from topics import Topic

E = TypeVar("E")

ERRORS: tuple[type[ApiError], ...] = (BrokerAwayError, InvalidBatchError)
"""What a batch may be refused with."""


class PartlyAccepted(AcceptedBatch, frozen=True):
    """So many events are in their topic, in the order they were sent; the other entries have the problems."""

    problems: list[Problem]


ANSWERS: dict[int, Any] = {202: AcceptedBatch, 207: PartlyAccepted}


async def publish_each(
    context: ApiContext, topic: Topic, entries: Iterable[tuple[int, E]], record: Callable[[E], Any]
) -> Response:
    """Publish the record of each entry that can be used, and return the answer; entries come with their places.

    Raises:
        ForbiddenError: the caller may not speak for the user of any entry.
        InvalidBatchError: no entry can be used.
        BrokerAwayError: as `Context.send`.
    """
    records: list[msgspec.Struct] = []
    errors: dict[int, ApiError] = {}
    for index, entry in entries:
        try:
            event = context.admitted(record(entry))
            authorize_user(event.user_id)
            records.append(event)
        except ApiError as error:
            errors[index] = error
    if not records:
        _refuse(errors)
    await context.send(topic, records)
    event_ids = [one.event_id for one in records]  # type: ignore[attr-defined]
    if not errors:
        return accepted_batch(event_ids)
    return json_response(PartlyAccepted(len(event_ids), event_ids, _problems(errors)), 207)


def _refuse(errors: dict[int, ApiError]) -> None:
    for error in errors.values():
        if not isinstance(error, ForbiddenError):
            raise InvalidBatchError(_problems(errors))
    raise next(iter(errors.values()))


def _problems(errors: dict[int, ApiError]) -> list[Problem]:
    return [Problem(index=index, code=one.code, message=one.message, field=one.field) for index, one in errors.items()]
