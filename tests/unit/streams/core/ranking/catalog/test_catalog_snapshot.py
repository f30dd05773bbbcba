"""The statistics of a catalog snapshot, and how they are forgotten."""

from __future__ import annotations

import numpy as np

from streams.core.item.item_stats import COHORTS, HOURS, WEEKDAYS
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from tests.build import T0_MS, an_item, stats


def test_a_snapshot_without_statistics_is_one_that_never_had_any() -> None:
    fresh, other = CatalogSnapshot(), CatalogSnapshot()
    for catalog in (fresh, other):
        catalog.apply_item(an_item("i1"))
        catalog.apply_item(an_item("i2"))
    other.apply_stats(
        stats(
            "i1",
            trending=3.0,
            popularity=2.0,
            segments={"students": 1.0},
            horizons=[1.0, 2.0, 3.0, 4.0],
            cohorts=[1.0] * COHORTS,
            rating_sum=4.0,
            rating_count=1,
            first_at=T0_MS,
            hours=[1.0] * HOURS,
            weekdays=[1.0] * WEEKDAYS,
        )
    )
    other.refresh()
    assert "students" in other.charts.segments
    other.forget_stats()
    other.refresh()
    fresh.refresh()
    assert not other.charts.segments
    np.testing.assert_equal(other.state(), fresh.state())
