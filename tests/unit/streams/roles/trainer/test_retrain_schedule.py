from __future__ import annotations

from domain.timestamp import HOUR_MS
from infra.redis.stores.model_status import NOT_JUDGED
from streams.roles.trainer.retrain_schedule import FIRST_EVENTS, DueFit, FitSchedule
from tests.build import T0_MS, a_version

SCHEDULE = FitSchedule(3_600, 86_400)


def test_a_first_fit_waits_for_enough_events() -> None:
    assert SCHEDULE.next([], new_events=FIRST_EVENTS - 1, started_at=T0_MS) is None
    assert SCHEDULE.next([], new_events=FIRST_EVENTS, started_at=T0_MS) == DueFit(T0_MS + 300_000, full=True)


def test_fits_come_hourly_and_full_ones_daily() -> None:
    full = a_version()
    hourly = a_version(full=False, created_at=T0_MS + 23 * HOUR_MS)
    assert SCHEDULE.next([full], new_events=1, started_at=0) == DueFit(T0_MS + HOUR_MS, full=False)
    assert SCHEDULE.next([hourly, full], new_events=1, started_at=0) == DueFit(T0_MS + 24 * HOUR_MS, full=True)


def test_nothing_is_due_when_nothing_is_new_or_fits_are_only_asked_for() -> None:
    assert SCHEDULE.next([a_version()], new_events=0, started_at=0) is None
    assert FitSchedule(0, 0).next([a_version()], new_events=1, started_at=0) is None


def test_fits_that_could_not_be_judged_are_followed_by_one_after_a_thousand_more_events() -> None:
    open_versions = [a_version(status=NOT_JUDGED, created_at=T0_MS) for _ in range(2)]
    assert SCHEDULE.next(open_versions, new_events=FIRST_EVENTS - 1, started_at=0) is None
    assert SCHEDULE.next(open_versions, new_events=FIRST_EVENTS, started_at=0) == DueFit(T0_MS + 300_000, full=True)
    versions = [open_versions[0], a_version(created_at=T0_MS)]
    assert SCHEDULE.next(versions, new_events=1, started_at=0) == DueFit(T0_MS + HOUR_MS, full=False)
