"""Click figures: impressions and clicks by interval and label, counted from outcomes that may still change.

A figure is a sum over the outcomes of one partition of users, so that it can be written again as often as one likes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from streams.core.outcome.attribution import Provenance, ShownEntry

Figures = dict[str, dict[str, tuple[int, int]]]
"""Impressions and clicked impressions by dimension and label."""
ALL, PLACE, SOURCE, ARM, MODEL, CATEGORY = "all", "place", "source", "arm", "model", "category"
OTHER = "other"
"""Label of everything beyond the number of labels of a dimension."""
MAX_LABELS = 50
"""Labels of a dimension in an interval."""
_PLACES = 10
_Label = tuple[str, str]


class ClickFigures:
    """The figures of some users."""

    def __init__(self, interval_ms: int, *, since_ms: int = 0) -> None:
        """Start without figures.

        Args:
            interval_ms: Length of an interval in ms.
            since_ms: Beginning of the first interval, in ms since the epoch; earlier entries do not count.
        """
        self._interval_ms, self._first_number = interval_ms, -(-since_ms // interval_ms)
        self._counts: defaultdict[int, dict[_Label, list[int]]] = defaultdict(dict)
        """Impressions and clicks by number of the interval and label."""
        self._changes: set[int] = set()

    def count(self, entry: ShownEntry) -> None:
        """Count an entry as it is now, in the place of what was counted of it before.

        Args:
            entry: The entry; one that is superseded or of unknown provenance does not count.
        """
        number = entry.shown_at // self._interval_ms
        if number < self._first_number:
            return
        counts = self._counts[number]
        provenance = None if entry.is_superseded else entry.provenance
        is_click = provenance is not None and entry.counts.clicks > 0
        labels = () if provenance is None else entry.labels or tuple(_labels(entry, provenance))
        if (labels, is_click) == (entry.labels, entry.is_click):
            return
        for label in entry.labels:
            counts[label][0] -= 1
            counts[label][1] -= entry.is_click
        labels = tuple(label if label in counts else self._with_room(counts, label) for label in labels)
        for label in labels:
            totals = counts.setdefault(label, [0, 0])
            totals[0] += 1
            totals[1] += is_click
        entry.labels, entry.is_click = labels, is_click
        self._changes.add(number)

    def take(self, final_ms: int) -> dict[int, Figures]:
        """Return the intervals that have changed since the last time, by number, each with all of its figures.

        Args:
            final_ms: Time before which no outcome changes any more, in ms since the epoch; intervals that end by then
                are forgotten.
        """
        changes = {number: self._figures(number) for number in sorted(self._changes)}
        self._changes.clear()
        self._first_number = max(self._first_number, final_ms // self._interval_ms)
        for number in [number for number in self._counts if number < self._first_number]:
            del self._counts[number]
        return changes

    def _figures(self, number: int) -> Figures:
        figures: Figures = {}
        for (dimension, name), (impressions, clicks) in self._counts[number].items():
            if impressions:
                figures.setdefault(dimension, {})[name] = (impressions, clicks)
        return figures

    @staticmethod
    def _with_room(counts: dict[_Label, list[int]], label: _Label) -> _Label:
        dimension = label[0]
        return label if sum(one[0] == dimension for one in counts) < MAX_LABELS else (dimension, OTHER)


def _labels(entry: ShownEntry, provenance: Provenance) -> Iterator[_Label]:
    yield ALL, ""
    yield PLACE, str(entry.place) if entry.place < _PLACES else f"{_PLACES}+"
    yield SOURCE, provenance.source
    yield MODEL, provenance.model
    yield CATEGORY, provenance.category
    for experiment_id, arm in provenance.arms.items():
        yield ARM, f"{experiment_id}={arm}"
