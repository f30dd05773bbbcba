"""Supervisor of a child process: start, watchdog, restart after a crash or a hang, orderly stop."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from infra.error import OperatorError
from infra.local import stale_process
from infra.local.log import ChildLog
from infra.local.program import kill_group, launch
from infra.local.step import OnStep, Step
from infra.private_file import private_folder
from infra.watchdog import OPTION, Watchdog

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_STEADY_S = 30.0
"""Run time after which the restart backoff is reset."""
_ASK_EVERY_S = 0.05
_TAIL_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its options."""

    argv: Sequence[str]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 15.0
    run_as: str = ""
    """User to switch to from root; empty for none."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Its settings; those of this process are not inherited."""
    has_watchdog: bool = False
    """Whether the program supports `infra.watchdog.OPTION` and writes heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Times of the supervision of a running process, in seconds."""

    restart_s: float = 180.0
    """Longest time until a restarted process serves, or until its first heartbeat."""
    look_s: float = 1.0
    """Time between two looks for a heartbeat."""
    check_s: float = 5.0
    """Time between two checks of a server, and the longest time for its answer."""


class Child:
    """One child process. It ends with this process, even if that is killed; it is restarted after a crash or a hang."""

    def __init__(
        self,
        name: str,
        command: Callable[[], Command],
        check: Callable[[], Awaitable[None]] | None = None,
        *,
        home: Path,
        on_step: OnStep,
        prepare: Callable[[], Awaitable[None]] | None = None,
        on_restart: Callable[[], Awaitable[None]] | None = None,
        watchdog_timeout_s: float = 0.0,
        intervals: Intervals = Intervals(),
    ) -> None:
        """Configure a child process.

        Args:
            name: Display name, also used for the log file.
            command: Returns the command; called at every start.
            check: Raises if the process does not serve yet, or does not serve any more.
            home: Folder of logs and records of running processes.
            on_step: Called with every state change.
            prepare: Creates the files that the process needs; called at every start, as its folder may be gone.
            on_restart: Called when a process that had died serves again.
            watchdog_timeout_s: Maximum time without a heartbeat in seconds; 0 for no limit.
            intervals: Times of the supervision.
        """
        self.name = name
        self._command, self._check, self._on_step = command, check, on_step
        self._prepare, self._on_return, self._watchdog_timeout_s = prepare, on_restart, watchdog_timeout_s
        self._intervals = intervals
        self.looks = 0
        """Number of looks at the process, over all of its runs."""
        slug = name.lower().replace(" ", "-").replace(",", "-")
        self._log = ChildLog(home / "logs" / f"{slug}.log")
        self._record = home / "run" / f"{slug}.json"
        self._stopping = asyncio.Event()
        self._spawning = asyncio.Lock()
        self._current: tuple[Command, Process] | None = None
        self._watchdog: Watchdog | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None

    @property
    def log(self) -> Path:
        """Return the log file."""
        return self._log.file

    @property
    def pid(self) -> int | None:
        """Return the process id, None if the process is not running."""
        if self._current is None or self._current[1].returncode is not None:
            return None
        return self._current[1].pid

    async def start(self, *, within_s: float) -> None:
        """Start the process and return once it serves.

        Raises:
            OperatorError: it ended, or does not serve in time; contains the last lines of its log.
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
        """Stop the process in order, or kill it if that takes too long."""
        self._stopping.set()
        async with self._spawning:
            current = self._current
        if self._returning is not None:
            self._returning.cancel()
        if current is not None:
            command, process = current
            if process.returncode is None:
                self._on_step(Step(self.name, "stopping"))
                _signal(process, command.stop_signal)
                try:
                    await asyncio.wait_for(process.wait(), command.stop_timeout_s)
                except TimeoutError:
                    self.kill()
                    await process.wait()
                kill_group(process.pid)
            self._on_step(Step(self.name, "stopped"))
        if self._watcher is not None:
            await self._watcher
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill the process and its process group."""
        if self._current is not None and self._current[1].returncode is None:
            kill_group(self._current[1].pid)

    async def _spawn(self) -> None:
        async with self._spawning:
            if self._stopping.is_set():
                return
            if self._prepare is not None:
                await self._prepare()
            command = self._command()
            for folder in (self.log.parent, self._record.parent):
                private_folder(folder)
            self._log.rotate()
            process = await self._launched(command)
            self._current = command, process
            stale_process.record(self._record, process.pid, command.stop_signal)

    async def _launched(self, command: Command) -> Process:
        """Start the program, with a pipe for its heartbeats if it writes any."""
        if self._watchdog is not None:
            self._watchdog.close()
        self._watchdog = watchdog = Watchdog() if command.has_watchdog else None
        more = () if watchdog is None else (OPTION, str(watchdog.write_fd))
        try:
            with self._log.open() as log:
                return await launch(
                    [*command.argv, *more],
                    death_signal=command.stop_signal,
                    run_as=command.run_as,
                    stdin=DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=command.env,
                    pass_fds=() if watchdog is None else (watchdog.write_fd,),
                )
        finally:
            if watchdog is not None:
                watchdog.close_write_end()

    async def _watch(self) -> None:
        """Restart the process whenever it has ended, until it is to stop."""
        loop = asyncio.get_running_loop()
        pause_s = _FIRST_PAUSE_S
        while self._current is not None:
            started_s = loop.time()
            ending = await self._ended(self._current[1])
            if self._stopping.is_set():
                return
            if loop.time() - started_s > _STEADY_S:
                pause_s = _FIRST_PAUSE_S
            self._on_step(Step(self.name, "died", f"{ending}; starts again in {pause_s:g} s ({self.log})"))
            if await self._stopped_within(pause_s):
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            await self._start_again()

    async def _start_again(self) -> None:
        """Restart the process once; the watching loop retries if it does not serve."""
        try:
            await self._spawn()
            async with asyncio.timeout(self._intervals.restart_s):
                serves = await self._serves()
        except TimeoutError:
            self.kill()
        except Exception as error:  # for example a full disk or a missing program
            self._on_step(Step(self.name, "died", f"it cannot be started: {error}"))
        else:
            if serves:
                self._on_step(Step(self.name, "ready", "again"))
                if self._on_return is not None:
                    self._returning = asyncio.ensure_future(self._on_return())

    async def _ended(self, process: Process) -> str:
        """Wait until the process has ended, by itself or killed because it hung, and describe the end."""
        ending = asyncio.ensure_future(process.wait())
        hanging = asyncio.ensure_future(self._hangs())
        try:
            await asyncio.wait({ending, hanging}, return_when=asyncio.FIRST_COMPLETED)
            hung = not ending.done() and not self._stopping.is_set()
            if hung:
                self.kill()
            await ending
        finally:
            ending.cancel()
            hanging.cancel()
        kill_group(process.pid)
        return f"showed no sign of life for {self._watchdog_timeout_s:g} s and was ended" if hung else self._ending()

    async def _hangs(self) -> None:
        """Return once the process has written no heartbeat for too long; rotate its log meanwhile.

        Silence is counted in polls, not by the clock: sleep of the machine, or a stopped supervisor, does not count.
        """
        silent_s, allowed_s = 0.0, self._intervals.restart_s if self._watchdog else self._watchdog_timeout_s
        while not self._watchdog_timeout_s or silent_s < allowed_s:
            await asyncio.sleep(self._intervals.look_s)
            self.looks += 1
            with suppress(OSError):  # a full disk is no reason to end the process
                self._log.rotate()
            if self._watchdog is not None and self._watchdog.has_heartbeat():
                silent_s, allowed_s = 0.0, self._watchdog_timeout_s
            elif self._watchdog is not None:
                silent_s += self._intervals.look_s
            elif self._check is not None and self._watchdog_timeout_s:
                silent_s = 0.0 if await self._answers() else silent_s + self._intervals.check_s

    async def _answers(self) -> bool:
        """Check once whether the process serves, then wait until the next check is due."""
        loop = asyncio.get_running_loop()
        next_s = loop.time() + self._intervals.check_s
        try:
            async with asyncio.timeout(self._intervals.check_s):
                await self._check()  # type: ignore[misc]
        except Exception:  # each server's client has its own error types
            answers = False
        else:
            answers = True
        await asyncio.sleep(max(0.0, next_s - loop.time()))
        return answers

    async def _serves(self) -> bool:
        """Poll until the process serves (True), or has ended or is being stopped (False)."""
        while self.pid is not None and not self._stopping.is_set():
            if self._check is None:
                return True
            try:
                await self._check()
            except Exception:
                # A client may raise anything while its server starts; the caller bounds the wait.
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
        tail = "\n".join(f"  {line[:300]}" for line in self._log.tail(_TAIL_LINES))
        return OperatorError(f"{self.name} {what}. The last lines of its log:\n{tail}", f"The whole log: {self.log}")


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):  # it may have ended meanwhile
            process.send_signal(number)
