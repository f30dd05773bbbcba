"""Suggestions of a language model, and the items made from them: bounded, without markup, with web links only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.identity import Identity, identity
from infra.llm.text import link, plain
from schemas.types import FetchRequest, Item

SOURCE = "llm"
"""Source of the items that a model suggested."""
MOST = 10
"""Largest number of suggestions used from one answer."""
_TITLE, _DESCRIPTION, _REASON, _NAME, _TOPIC, _TOPICS = 120, 500, 160, 120, 40, 5
_STARTS = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2})?")
_YEARS = range(1_000, 2_101)


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One suggestion."""

    title: Annotated[str, Meta(description="Its name alone.")]
    description: Annotated[str, Meta(description="One or two plain sentences.")] = ""
    topics: Annotated[list[str], Meta(description="One to five lowercase words.")] = []
    reason: Annotated[str, Meta(description="Why it is for this person, in a few words to them.")] = ""
    url: Annotated[str | None, Meta(description="Official http or https address, null when not sure.")] = None
    by: Annotated[str, Meta(description="Artist, director or teacher.")] = ""
    year: Annotated[int | None, Meta(description="Of the recording or the first showing.")] = None
    venue: Annotated[str, Meta(description="Where it is or takes place.")] = ""
    starts: Annotated[str, Meta(description="Local date and time, YYYY-MM-DDTHH:MM.")] = ""


class Suggestions(msgspec.Struct, frozen=True):
    """The suggestions, best first."""

    items: list[Suggestion]


@dataclass(frozen=True, slots=True)
class SuggestedItem:
    """A suggested item, with an id of its own unless it is recognised as an existing item."""

    item: Item
    reason: str
    identity: Identity


def suggested_items(suggestions: Suggestions, request: FetchRequest) -> list[SuggestedItem]:
    """Return the usable items of an answer without duplicates, best first.

    An item tied to a location gets the location of the request: models know names better than coordinates. The id is
    derived from the identity of the item, so all users to whom it is suggested share one item. The item is private: it
    is not part of the catalogue, and a suggestion for one user may reveal something about that user to others.
    """
    items_by_identity: dict[Identity, SuggestedItem] = {}
    for suggestion in suggestions.items[:MOST]:
        title = plain(suggestion.title, most=_TITLE)
        if title:
            year = str(suggestion.year) if suggestion.year in _YEARS else ""
            item_identity = identity(title, year=year, city=request.city)
            items_by_identity.setdefault(
                item_identity,
                SuggestedItem(_item(suggestion, title, item_identity, request), _reason(suggestion), item_identity),
            )
    return list(items_by_identity.values())


def _item(suggestion: Suggestion, title: str, item_identity: Identity, request: FetchRequest) -> Item:
    attributes = {
        "by": plain(suggestion.by, most=_NAME),
        "venue": plain(suggestion.venue, most=_NAME),
        "starts": suggestion.starts if _STARTS.fullmatch(suggestion.starts) else "",
        "year": item_identity.year,
    }
    topics = (plain(topic, most=_TOPIC).lower() for text in suggestion.topics for topic in text.split(","))
    return Item(
        item_id=f"{request.category}-{_digest(*item_identity, '' if item_identity.city else request.cell or '')}",
        category=request.category,
        title=title,
        description=plain(suggestion.description, most=_DESCRIPTION),
        topics=list(dict.fromkeys(topic for topic in topics if topic))[:_TOPICS],
        source=SOURCE,
        url=link(suggestion.url),
        city=request.city,
        cell=request.cell,
        created_at=request.occurred_at,
        attributes={name: value for name, value in attributes.items() if value},
        private=True,
    )


def _reason(suggestion: Suggestion) -> str:
    return plain(suggestion.reason, most=_REASON)


def _digest(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()
