"""Batch publishing: the valid entries are published, the invalid ones are reported by index.

202 means that all entries were published; 207 that some were, and it lists the problem of each rejected entry. If no
entry is valid, nothing is published and the response is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response

from api.context import ApiContext
from api.http.error import ApiError, BrokerUnavailableError, ForbiddenError, InvalidBatchError, Problem
from api.http.response import AcceptedBatch, accepted_batch, json_response
from api.security.principal import authorize_user
from topics import Topic

E = TypeVar("E")

ERRORS: tuple[type[ApiError], ...] = (BrokerUnavailableError, InvalidBatchError)
"""Errors of a batch request as a whole."""


class PartlyAccepted(AcceptedBatch, frozen=True):
    """A partial success: the number and ids of the published events, in request order, and the rejected entries."""

    problems: list[Problem]


ANSWERS: dict[int, Any] = {202: AcceptedBatch, 207: PartlyAccepted}


async def publish_each(
    context: ApiContext, topic: Topic, entries: Iterable[tuple[int, E]], record: Callable[[E], Any]
) -> Response:
    """Publish the record of each valid entry and return the response.

    Args:
        context: The app's clients and settings.
        topic: The topic of the records.
        entries: The entries of the batch, each with its index in the request.
        record: Builds the record of one entry; may raise `ApiError`.

    Raises:
        ForbiddenError: the caller may not act for the user of any entry.
        InvalidBatchError: no entry is valid.
        BrokerUnavailableError: as `ApiContext.send`.
    """
    records: list[msgspec.Struct] = []
    errors: dict[int, ApiError] = {}
    for index, entry in entries:
        try:
            event = context.validated(record(entry))
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
