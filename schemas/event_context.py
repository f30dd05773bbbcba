"""Contexts of events: texts by name, as clients send them. Lists are JSON or separated by commas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from schemas.text import label
from schemas.types import Interaction

RATED_ACTIONS = frozenset({"view", "click", "like", "inspired", "save", "share", "purchase"})
"""Actions whose context may hold a rating of the item."""
_RATING = "rating"


def context_labels(text: str) -> list[str]:
    """Return the labels of a value of a context, each once; a single label is a list of one.

    Args:
        text: The value: a JSON list, a JSON string, or labels separated by commas.

    >>> context_labels('["technology","ai"]'), context_labels("jazz, folk"), context_labels("US")
    (['technology', 'ai'], ['jazz', 'folk'], ['US'])
    """
    values = _json_values(text)
    names = text.split(",") if values is None else [value for value in values if isinstance(value, str)]
    return list(dict.fromkeys(name for text in names if (name := label(text))))


def first_label(context: Mapping[str, str], name: str) -> str:
    """Return the first label of a value of a context; empty for none.

    Args:
        context: The context.
        name: The name of the value.
    """
    return next(iter(context_labels(context.get(name, ""))), "")


def context_rating(event: Interaction) -> float | None:
    """Return the rating that came with an action other than a rate; None for none.

    Args:
        event: The interaction; a skip, dislike, hide or search has no rating.
    """
    if event.action not in RATED_ACTIONS:
        return None
    try:
        rating = float(event.context.get(_RATING, ""))
    except ValueError:
        return None
    return rating if math.isfinite(rating) else None


def _json_values(text: str) -> list[Any] | None:
    """Return the values of a JSON list or string; None for any other text."""
    if not text.startswith(("[", '"')):
        return None
    try:
        values = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return values if isinstance(values, list) else [values]
