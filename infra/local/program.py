"""Running a program to its end, as servers need it before they start. None outlives the task that waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.error import OperatorError
from infra.settings import unset

_LAUNCH = Path(__file__).with_name("launch.py")


async def launch(
    argv: Sequence[str],
    *,
    death_signal: signal.Signals,
    run_as: str = "",
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> Process:
    """Start a program in a process group of its own that ends when this process does.

    A cancelled call does not lose a process that is being started: it is started, ended and waited for.

    Args:
        argv: The program and its arguments.
        death_signal: What the program is sent when this process ends.
        run_as: A user to give up root for.
        env: The settings that the program is given; it has none of this process's own.
        given: What `create_subprocess_exec` takes besides.
    """
    command = (sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(int(death_signal)), run_as, *argv)
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command, env=unset(os.environ.copy()) | dict(env or {}), start_new_session=True, **options
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        process = await starting
        await end_group(process)
        raise


async def run_program(argv: Sequence[str], *, run_as: str = "", text: str = "", within_s: float) -> tuple[int, str]:
    """Run a program to its end and return its exit status and what it printed.

    Args:
        argv: The program and its arguments.
        run_as: A user to give up root for.
        text: What it is given to read.
        within_s: How long it may take.

    Raises:
        OperatorError: it took too long, and was ended.
    """
    process = await launch(
        argv,
        death_signal=signal.SIGKILL,
        run_as=run_as,
        stdin=PIPE if text else DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(within_s):
            out, _ = await process.communicate(text.encode() if text else None)
    except TimeoutError:
        raise OperatorError(
            f"{Path(argv[0]).name} did not end within {within_s:g} s and was stopped.",
            "Start again when the machine is less busy.",
        ) from None
    finally:
        await end_group(process)
    return process.returncode or 0, out.decode(errors="replace")


async def end_group(process: Process) -> None:
    """End a process and all that it has started, by force, and wait until it is gone."""
    kill_group(process.pid)
    await process.wait()


def kill_group(pid: int) -> None:
    """End all that is left of the process group that a process led."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
