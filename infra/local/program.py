"""Launch of programs that end with this process, and of helper programs that run to completion."""

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

_LAUNCHER = Path(__file__).with_name("launcher.py")


async def launch(
    argv: Sequence[str],
    *,
    death_signal: signal.Signals,
    run_as: str = "",
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> Process:
    """Start a program in its own process group; it ends when this process ends.

    A cancelled call leaves no process behind: it waits for the start, then ends the process.

    Args:
        argv: The program and its arguments.
        death_signal: Signal to the program when this process ends.
        run_as: User to switch to from root; empty for none.
        env: Settings of the program; those of this process are not inherited.
        options: Further options of `create_subprocess_exec`.
    """
    command = (sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(int(death_signal)), run_as, *argv)
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
    """Run a program to completion and return its exit status and its output.

    Args:
        argv: The program and its arguments.
        run_as: User to switch to from root; empty for none.
        text: Its standard input.
        within_s: Time limit in seconds.

    Raises:
        OperatorError: it exceeded the time limit and was killed.
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
    """Kill a process and its process group, and wait for its end."""
    kill_group(process.pid)
    await process.wait()


def kill_group(pid: int) -> None:
    """Kill the remaining processes of a group by the id of its leader."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
