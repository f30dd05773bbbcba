"""How the pipeline is, from what Redis remembers of its roles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.health.pipeline_health import RoleHealth, RoleState, expected_roles, health, judge, log_of
from infra.redis.heartbeat import RoleLife
from infra.settings import Settings

NOW_MS = 1_700_000_000_000


def life(role: str, age_s: float, *, alive: bool = False) -> RoleLife:
    return RoleLife(role, NOW_MS - round(age_s * 1_000), alive)


@pytest.mark.parametrize(
    ("lives", "state", "processes", "crashes"),
    [
        ([], "missing", 0, 0),
        ([life("feed", 0.5, alive=True)], "up", 1, 0),
        ([life("feed", 4, alive=True)], "up", 1, 0),
        ([life("feed", 6)], "late", 0, 1),
        ([life("feed", 30)], "late", 0, 1),
        ([life("feed", 31)], "missing", 0, 1),
        ([life("feed", 80_000)], "missing", 0, 0),
        ([life("feed", 20), life("feed", 1, alive=True)], "up", 1, 1),
        ([life("feed", 90), life("feed", 20), life("feed", 1, alive=True)], "up", 1, 2),
        ([life("feed", 90), life("feed", 40), life("feed", 20), life("feed", 1, alive=True)], "crash_loop", 1, 3),
        ([life("feed", 90), life("feed", 40), life("feed", 20)], "crash_loop", 0, 3),
        ([*(life("feed", 301 + n) for n in range(9)), life("feed", 1, alive=True)], "up", 1, 0),
        ([life("feed", 1, alive=True), life("feed", 2, alive=True), life("feed", 9)], "up", 2, 1),
        ([life("other", 1, alive=True)], "missing", 0, 0),
    ],
)
def test_a_role_is_judged_by_its_processes(
    lives: list[RoleLife], state: RoleState, processes: int, crashes: int
) -> None:
    role = judge(lives, ["feed"], now_ms=NOW_MS)["feed"]
    assert (role.state, role.processes, role.crashes) == (state, processes, crashes)


def test_expected_roles_come_before_other_roles_with_heartbeats() -> None:
    lives = [life("shop", 1, alive=True), life("feed", 1, alive=True)]
    assert list(judge(lives, ["push", "feed"], now_ms=NOW_MS)) == ["push", "feed", "shop"]


def test_all_is_well_when_every_role_is_up() -> None:
    pipeline_status = health(
        {"feed": RoleHealth(state="up", processes=1, last_seen_at=NOW_MS)}, "", {}, {}, now_ms=NOW_MS
    )
    assert (pipeline_status.status, pipeline_status.problems, pipeline_status.redis_writes) == ("ok", [], "ok")


def test_problems_are_reported_in_words_the_worst_first() -> None:
    pipeline_status = health(
        judge(
            [life("feed", 45), *(life("log", age) for age in (9, 60, 120))], ["feed", "archive", "log"], now_ms=NOW_MS
        ),
        "OutOfMemoryError: used memory > 'maxmemory'",
        {"millrace-archive": {"interactions.v1": 1_400}},
        {"millrace-archive": {"interactions.v1": 1_900}},
        now_ms=NOW_MS,
    )
    assert pipeline_status.problems == [
        "Redis refuses writes (OutOfMemoryError: used memory > 'maxmemory'): feeds are not renewed",
        "feed has been silent for 45 s",
        "archive has not been heard of",
        "log has ended by failures 3 times in 5 minutes",
        "1,400 records of interactions.v1 were deleted by retention before millrace-archive had read them",
    ]
    assert (pipeline_status.status, pipeline_status.redis_writes) == ("degraded", "refused")
    assert pipeline_status.deleted_unread == {"millrace-archive": {"interactions.v1": 1_900}}


def test_what_was_deleted_before_is_on_record_and_no_problem_any_more() -> None:
    pipeline_status = health({}, "", {}, {"millrace-log": {"features.v1": 3}}, now_ms=NOW_MS)
    assert (pipeline_status.status, pipeline_status.problems) == ("ok", [])
    assert pipeline_status.deleted_unread == {"millrace-log": {"features.v1": 3}}


def test_roles_that_are_set_are_expected(tmp_path: Path) -> None:
    assert expected_roles(replace(Settings(), millrace_home=tmp_path, expected_roles=" feed, log,")) == ["feed", "log"]


def test_roles_that_the_local_stack_runs_are_expected(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for name in ("worker-feed", "worker-trainer-archive-log", "api", "redis"):
        (tmp_path / "run" / f"{name}.json").touch()
    assert expected_roles(replace(Settings(), millrace_home=tmp_path)) == ["archive", "feed", "log", "trainer"]
    assert expected_roles(replace(Settings(), millrace_home=tmp_path / "elsewhere")) == []


def test_the_log_of_a_role_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("worker-feed.log", "worker-trainer-archive-log.log", "worker-feed.log.1"):
        (tmp_path / "logs" / name).touch()
    assert log_of("archive", tmp_path) == (tmp_path / "logs" / "worker-trainer-archive-log.log").resolve()
    assert log_of("feed", tmp_path) == (tmp_path / "logs" / "worker-feed.log").resolve()
    assert log_of("push", tmp_path) is None
