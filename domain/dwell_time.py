"""Dwell time: how much of an item a user has seen, by the duration of the view."""

from __future__ import annotations

_HALF_SEEN_S = 74.0
"""Duration of a view that counts as half of the item, in seconds."""


def watched_share(duration_s: float) -> float:
    """Return the share of an item of unknown length that a user has seen, from 0 to 1.

    With it, a view is positive feedback from 30 s on, the usual measure of a satisfied reader (Fox et al., TOIS 2005).

    Args:
        duration_s: The duration of the view, in seconds.

    >>> watched_share(74.0)
    0.5
    """
    return duration_s / (duration_s + _HALF_SEEN_S)
