"""Supervision, on small processes: what dies comes back, what hangs is ended, what cannot start says why."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from infra.error import OperatorError
from infra.local import Child, Command, Step, leftover

WAITS = "import time\nwhile True: time.sleep(1)"
DEAF = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n{WAITS}"
DEADLINE_S = 20.0


def python(code: str, **options: float) -> Callable[[], Command]:
    return lambda: Command(argv=[sys.executable, "-c", code], **options)  # type: ignore[arg-type]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110 - a process has no event for this
            await asyncio.sleep(0.01)


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
    with pytest.raises(OperatorError, match="the disk is on fire") as caught:
        await child.start(within_s=DEADLINE_S)
    assert "ended with code 1" in caught.value.problem
    assert "thing.log" in caught.value.remedy
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
    child = Child("thing", python(DEAF, stop_within_s=0.2), home=tmp_path, on_step=lambda _: None)
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
    leftover.record(tmp_path / "thing.json", orphan, signal.SIGTERM)
    assert await asyncio.to_thread(leftover.end_all, tmp_path) == [orphan]
    assert not psutil.pid_exists(orphan)
    assert not (tmp_path / "thing.json").exists()
