"""Supervising one child process: started, watched, started again when it dies, stopped in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.error import OperatorError
from infra.local import leftover
from infra.local.step import OnStep, Step

_LAUNCH = Path(__file__).with_name("launch.py")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_STEADY_S = 30.0
"""A process that ran so long is started again at once, however often it died before."""
_ASK_EVERY_S = 0.05
_LOG_BYTES = 20 << 20
_TAIL_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run."""

    argv: Sequence[str]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 15.0
    run_as: str = ""
    """A user to give up root for."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What is added to this process's own environment."""


class Child:
    """One child process. It ends with this process, also when that is killed.

    `command` is asked at every start. `check` raises until the process serves.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Command],
        check: Callable[[], Awaitable[None]] | None = None,
        *,
        home: Path,
        on_step: OnStep,
    ) -> None:
        self.name = name
        self._command, self._check, self._on_step = command, check, on_step
        slug = name.lower().replace(" ", "-").replace(",", "-")
        self.log = home / "logs" / f"{slug}.log"
        self._record = home / "run" / f"{slug}.json"
        self._stopping = asyncio.Event()
        self._spawning = asyncio.Lock()
        self._current: tuple[Command, Process] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        if self._current is None or self._current[1].returncode is not None:
            return None
        return self._current[1].pid

    async def start(self, *, within_s: float) -> None:
        """Start the process and return once it serves.

        Raises:
            OperatorError: it ended, or does not serve in time; with the last lines of its log.
        """
        self._on_step(Step(self.name, "starting"))
        await self._spawn()
        try:
            async with asyncio.timeout(within_s):
                serves = await self._serves()
        except TimeoutError:
            raise self._failure(f"does not answer after {within_s:g} s") from None
        if not serves:
            raise self._failure(self._ending())
        self._on_step(Step(self.name, "ready"))
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def stop(self) -> None:
        """End the process in order, or by force when that takes too long."""
        self._stopping.set()
        async with self._spawning:
            current = self._current
        if current is not None:
            command, process = current
            if process.returncode is None:
                self._on_step(Step(self.name, "stopping"))
                _signal(process, command.stop_signal)
                try:
                    await asyncio.wait_for(process.wait(), command.stop_within_s)
                except TimeoutError:
                    self.kill()
                    await process.wait()
            self._on_step(Step(self.name, "stopped"))
        if self._watcher is not None:
            await self._watcher
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the process by force."""
        if self._current is not None:
            _signal(self._current[1], signal.SIGKILL)

    async def _spawn(self) -> None:
        async with self._spawning:
            if self._stopping.is_set():
                return
            command = self._command()
            launch = (sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(int(command.stop_signal)))
            for folder in (self.log.parent, self._record.parent):
                folder.mkdir(parents=True, exist_ok=True)
            if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
            with self.log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *launch,
                    command.run_as,
                    *command.argv,
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ.copy() | dict(command.env),
                    start_new_session=True,  # a Ctrl-C in the terminal is ours to hand on, in order
                )
            self._current = command, process
            leftover.record(self._record, process.pid, command.stop_signal)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while self._current is not None:
            started_s = loop.time()
            await self._current[1].wait()
            if self._stopping.is_set():
                return
            if loop.time() - started_s > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            self._on_step(Step(self.name, "died", f"{self._ending()}; starts again in {pause_s:g} s ({self.log})"))
            if await self._stopped_within(pause_s):
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            await self._spawn()
            if await self._serves():
                self._on_step(Step(self.name, "ready", "again"))

    async def _serves(self) -> bool:
        """Ask until the process serves, True, or has ended or is being stopped, False."""
        while self.pid is not None and not self._stopping.is_set():
            if self._check is None:
                return True
            try:
                await self._check()
            except Exception:
                # Whatever a server that is not up yet makes its client raise; the caller bounds the wait.
                await self._stopped_within(_ASK_EVERY_S)
            else:
                return self.pid is not None
        return False

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _ending(self) -> str:
        code = self._current[1].returncode if self._current else None
        if code is None:
            return "was stopped"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def _failure(self, what: str) -> OperatorError:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        tail = "\n".join(f"  {line[:300]}" for line in lines[-_TAIL_LINES:])
        return OperatorError(f"{self.name} {what}. The last lines of its log:\n{tail}", f"The whole log: {self.log}")


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):  # it may just have ended
            process.send_signal(number)
