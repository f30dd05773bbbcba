"""Supervision, on small processes: what dies comes back, what hangs is ended, what cannot start says why."""

import asyncio
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.error import OperatorError
from infra.local import Child, Command, Step, log, stale_process
from infra.local.process import Intervals
from infra.local.program import run_program
from tests import waiting

WAITS = "import time\nwhile True: time.sleep(1)"
DEAF = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n{WAITS}"
DEADLINE_S = 60.0


def python(code: str, **options: Any) -> Callable[[], Command]:
    return lambda: Command(argv=[sys.executable, "-c", code], **options)


until = partial(waiting.until, timeout_s=DEADLINE_S, look_every_s=0.01)


def states(steps: Sequence[Step]) -> list[str]:
    return [step.state for step in steps]


async def test_a_killed_process_is_started_again_and_said_so(tmp_path: Path) -> None:
    steps: list[Step] = []
    child = Child("thing", python(WAITS), home=tmp_path, on_step=steps.append)
    await child.start(within_s=DEADLINE_S)
    first = child.pid
    assert first is not None
    psutil.Process(first).kill()
    await until(lambda: child.pid not in (None, first))
    await until(lambda: states(steps).count("ready") == 2)
    second = child.pid
    await child.stop()
    assert states(steps) == ["starting", "ready", "died", "ready", "stopping", "stopped"]
    assert "SIGKILL" in steps[2].detail
    assert second is not None
    assert not psutil.pid_exists(second)


async def test_a_process_that_keeps_dying_is_started_less_and_less_often(tmp_path: Path) -> None:
    steps: list[Step] = []
    child = Child("thing", python("raise SystemExit(3)"), home=tmp_path, on_step=steps.append)
    with suppress(OperatorError):  # it may be gone before it is looked at
        await child.start(within_s=DEADLINE_S)
    if "ready" in states(steps):
        await until(lambda: states(steps).count("died") >= 2)
        pauses = [step.detail.partition("again in ")[2] for step in steps if step.state == "died"]
        assert pauses[0].startswith("0.5 s")
        assert pauses[1].startswith("1 s")
    await child.stop()


async def test_a_process_that_ends_before_it_serves_shows_its_log(tmp_path: Path) -> None:
    async def check() -> None:
        raise ConnectionError

    code = "raise SystemExit('the disk is on fire')"
    child = Child("thing", python(code), check, home=tmp_path, on_step=lambda _: None)
    with pytest.raises(OperatorError, match="the disk is on fire") as exc_info:
        await child.start(within_s=DEADLINE_S)
    assert "ended with code 1" in exc_info.value.problem
    assert "thing.log" in exc_info.value.remedy
    await child.stop()


async def test_a_process_that_never_serves_is_given_up(tmp_path: Path) -> None:
    async def check() -> None:
        raise ConnectionError

    child = Child("thing", python(WAITS), check, home=tmp_path, on_step=lambda _: None)
    with pytest.raises(OperatorError, match=r"does not answer after 0\.2 s"):
        await child.start(within_s=0.2)
    pid = child.pid
    assert pid is not None
    await child.stop()
    assert not psutil.pid_exists(pid)


async def test_a_process_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    child = Child("thing", python(DEAF, stop_timeout_s=0.2), home=tmp_path, on_step=lambda _: None)
    await child.start(within_s=DEADLINE_S)
    await until(lambda: "deaf" in child.log.read_text())
    pid = child.pid
    assert pid is not None
    await child.stop()
    assert not psutil.pid_exists(pid)


async def test_a_stop_during_the_pause_starts_nothing(tmp_path: Path) -> None:
    steps: list[Step] = []
    child = Child("thing", python(WAITS), home=tmp_path, on_step=steps.append)
    await child.start(within_s=DEADLINE_S)
    assert child.pid is not None
    psutil.Process(child.pid).kill()
    await until(lambda: "died" in states(steps))
    await child.stop()
    assert states(steps)[-1] == "stopped"
    assert child.pid is None


async def test_what_outlived_its_parent_is_ended_before_the_next_start(tmp_path: Path) -> None:
    leaves = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {WAITS!r}], stdout=2).pid)"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", leaves, stdout=asyncio.subprocess.PIPE)
    orphan = int((await parent.communicate())[0])
    stale_process.record(tmp_path / "thing.json", orphan, signal.SIGTERM)
    assert await asyncio.to_thread(stale_process.end_stale, tmp_path) == [orphan]
    assert not psutil.pid_exists(orphan)
    assert not (tmp_path / "thing.json").exists()


BEATS = """
import os, sys, time
fd = int(sys.argv[sys.argv.index("--watchdog-fd") + 1])
while True:
    os.write(fd, b".")
    time.sleep(0.05)
"""


@pytest.mark.parametrize("code", [BEATS, "import time\ntime.sleep(600)"], ids=["stopped", "no heartbeat"])
async def test_a_process_that_gives_no_sign_of_life_any_more_is_ended_and_started_again(
    tmp_path: Path, code: str
) -> None:
    steps: list[Step] = []
    child = Child(
        "thing",
        python(code, has_watchdog=True),
        home=tmp_path,
        on_step=steps.append,
        watchdog_timeout_s=0.5,
        intervals=Intervals(look_s=0.1, restart_s=1.0),
    )
    await child.start(within_s=DEADLINE_S)
    first = child.pid
    assert first is not None
    if code is BEATS:
        await until(lambda: child.looks >= 15)  # three times as many as may be silent
        assert child.pid == first
        psutil.Process(first).suspend()
    await until(lambda: child.pid not in (None, first))
    assert not psutil.pid_exists(first)
    await until(lambda: "ready" in states(steps)[2:])
    assert "silent for 0.5 s" in steps[2].detail
    await child.stop()


async def test_a_server_that_answers_no_more_is_ended_and_started_again(tmp_path: Path) -> None:
    hung: set[int] = set()
    return_codes: list[int | None] = []

    async def check() -> None:
        if child.pid in hung:
            await asyncio.sleep(60)

    async def come_back() -> None:
        return_codes.append(child.pid)

    child = Child(
        *("thing", python(WAITS), check),
        home=tmp_path,
        on_step=lambda _: None,
        on_restart=come_back,
        watchdog_timeout_s=0.5,
        intervals=Intervals(look_s=0.01, check_s=0.1),
    )
    await child.start(within_s=DEADLINE_S)
    first = child.pid
    assert first is not None
    await until(lambda: child.looks >= 10)  # twice as many checks as may fail
    assert child.pid == first
    hung.add(first)
    await until(lambda: bool(return_codes))
    assert return_codes == [child.pid] != [first]
    await child.stop()


async def test_a_machine_that_slept_ends_nobody(tmp_path: Path) -> None:
    """Looks are counted: one look after a long sleep is one, however long it was."""
    child = Child(
        "thing",
        python(BEATS, has_watchdog=True),
        home=tmp_path,
        on_step=lambda _: None,
        watchdog_timeout_s=1.0,
        intervals=Intervals(look_s=0.1),
    )
    await child.start(within_s=DEADLINE_S)
    first, looks = child.pid, child.looks
    await until(lambda: child.looks > looks)
    sleeper = psutil.Process(first)
    sleeper.suspend()
    looks = child.looks
    await until(lambda: child.looks >= looks + 2)  # the heartbeats before the sleep are read
    time.sleep(1.5)  # noqa: ASYNC251 - the loop is to stand still
    sleeper.resume()
    looks = child.looks
    await until(lambda: child.looks >= looks + 15)
    assert child.pid == first
    await child.stop()


async def test_what_a_process_has_started_ends_with_it(tmp_path: Path) -> None:
    spawns = (
        f"import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-c', {WAITS!r}]).pid, flush=True)\n{WAITS}"
    )
    child = Child("thing", python(spawns), home=tmp_path, on_step=lambda _: None)
    await child.start(within_s=DEADLINE_S)
    await until(lambda: child.log.read_text().strip() != "")
    grandchild = int(child.log.read_text())
    await child.stop()
    await until(lambda: not psutil.pid_exists(grandchild))


async def test_what_a_process_needs_is_prepared_before_every_start(tmp_path: Path) -> None:
    calls: list[int] = []
    steps: list[Step] = []

    async def prepare() -> None:
        calls.append(len(calls))
        if len(calls) == 2:
            raise OSError("the disk is full")

    child = Child("thing", python(WAITS), home=tmp_path, on_step=steps.append, prepare=prepare)
    await child.start(within_s=DEADLINE_S)
    assert child.pid is not None
    psutil.Process(child.pid).kill()
    await until(lambda: states(steps).count("ready") == 2)
    assert len(calls) == 3
    assert any("the disk is full" in step.detail for step in steps)
    await child.stop()


def children() -> set[int]:
    """Return the processes of this one; the servers of other tests may be among them."""
    return {child.pid for child in psutil.Process().children()}


async def test_a_start_that_is_given_up_leaves_no_process(tmp_path: Path) -> None:
    before = children()
    for _ in range(20):
        child = Child("thing", python(WAITS), home=tmp_path, on_step=lambda _: None)
        starting = asyncio.ensure_future(child.start(within_s=DEADLINE_S))
        for _ in range(random.randrange(30)):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await child.stop()
        assert children() <= before


async def test_a_program_that_is_given_up_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    spawns = (
        "import os, pathlib, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {WAITS!r}])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}')\n{WAITS}"
    )
    running = asyncio.ensure_future(run_program([sys.executable, "-c", spawns], within_s=DEADLINE_S))
    await until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await until(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split()))


async def test_a_program_that_takes_too_long_is_ended_and_named() -> None:
    before = children()
    with pytest.raises(OperatorError, match=r"did not end within 0\.2 s"):
        await run_program([sys.executable, "-c", WAITS], within_s=0.2)
    assert children() <= before


async def test_a_program_is_given_text_and_its_output_and_status_returned() -> None:
    code = "import sys; print(sys.stdin.read().upper()); print('no', file=sys.stderr); sys.exit(3)"
    assert await run_program([sys.executable, "-c", code], text="yes", within_s=DEADLINE_S) == (3, "YES\nno\n")


WRITES = "import time\nwhile True:\n    print('x' * 999, flush=True)\n    time.sleep(0.0005)"


async def test_a_log_is_kept_short_while_its_process_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_BYTES", 100_000)
    child = Child("thing", python(WRITES), home=tmp_path, on_step=lambda _: None, intervals=Intervals(look_s=0.02))
    await child.start(within_s=DEADLINE_S)
    pid = child.pid
    parts = [child.log, *(child.log.with_suffix(f".log.{number}") for number in (1, 2, 3))]
    await until(lambda: all(part.exists() for part in parts))
    first = parts[3].stat().st_ino
    await until(lambda: parts[3].stat().st_ino != first)
    assert child.pid == pid
    assert sorted(child.log.parent.iterdir()) == sorted(parts)
    for part in parts:
        assert part.stat().st_mode & 0o777 == 0o600
        assert set(part.read_text().replace("\n", "")) <= {"x"}
    assert max(part.stat().st_size for part in parts[1:]) <= 250_000
    assert child.log.parent.stat().st_mode & 0o777 == 0o700
    await child.stop()
