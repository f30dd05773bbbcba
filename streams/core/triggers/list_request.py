"""Requests for lists: triggers that request a list of its own, instead of the user's feed."""

from __future__ import annotations

from schemas.types import Trigger


def requests_list(trigger: Trigger) -> bool:
    """Return whether a trigger requests a list: of its candidates, or of the whole catalogue in its context.

    Args:
        trigger: The trigger, of any kind.
    """
    has_terms = bool(trigger.candidates or trigger.context) or trigger.topic_distance is not None
    return trigger.kind == "rerank" and has_terms
