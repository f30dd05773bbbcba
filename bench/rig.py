"""Benchmark rig: dedicated servers with clients, and roles as processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka.admin import AdminClient

from bench.load import Size
from infra.address import Addresses
from infra.kafka.admin.idle import IdleCheck, NotIdleError
from infra.kafka.admin.provision import provision
from infra.kafka.admin.reset import reset_stack
from infra.kafka.publisher import Publisher
from infra.kafka.registry import Registry
from infra.local import Child, Command, LocalStack, OnStep, Ports
from infra.redis.connection import connect
from infra.settings import Settings, to_env
from topics import Topic

OnBenchProgress = Callable[[str, float, float], None]
"""Called with the current step, the amount of finished work and the total, 0 where unknown."""
_START_WITHIN_S = 60.0
_REST_WITHIN_S = 900.0
_POLL_S = 1.0
"""A long interval, since polling takes time from the measurement."""
_CHUNK = 1_000


class BenchError(RuntimeError):
    """A measurement failed."""


class Rig:
    """Disposable servers, with the clients and processes of a benchmark."""

    def __init__(
        self, addresses: Addresses, settings: Settings, *, on_step: OnStep, on_progress: OnBenchProgress
    ) -> None:
        self.addresses, self.settings = addresses, settings
        self.registry = Registry(settings.schema_registry_url)
        self.redis = connect(settings.redis_url, timeout_s=30.0)
        self.on_progress = on_progress
        self._on_step = on_step
        self.admin = AdminClient({"bootstrap.servers": self.kafka, "log_level": 0})
        self.folded_size: Size | None = None
        """Size of the fully processed history on the servers, which later cases reuse; None without one."""

    async def connect(self) -> None:
        """Look up the schemas and create the publisher."""
        await asyncio.to_thread(self.registry.connect)
        self.publisher = Publisher(self.kafka, self.registry, timeout_s=120.0)

    async def close(self) -> None:
        """Close the clients."""
        await self.publisher.close()
        await self.redis.aclose()
        self.registry.close()

    @property
    def kafka(self) -> str:
        """Return the address of the broker."""
        return self.addresses.kafka_bootstrap_servers

    async def reset(self) -> None:
        """Reset the servers and the workers' tables."""
        self.on_progress("empty the servers", 0, 0)
        self.folded_size = None
        await reset_stack(self.addresses)
        await asyncio.to_thread(shutil.rmtree, self.settings.millrace_home / "worker", ignore_errors=True)

    async def publish(self, topic: Topic, values: Iterable[msgspec.Struct], *, total: int) -> None:
        """Publish records in order."""
        for number, value in enumerate(values):
            self.publisher.produce(topic, value)
            if number % _CHUNK == 0:
                self.on_progress(f"publish {topic.short_name}", number, total)
                await self.publisher.wait_for_capacity()
        await self.publisher.flush()

    @asynccontextmanager
    async def worker(self, role: str) -> AsyncIterator[Child]:
        """Run a worker process with one role."""
        async with self.process(f"worker {role}", "-m", "cli.main", "worker", "--roles", role) as child:
            yield child

    @asynccontextmanager
    async def process(
        self, name: str, *arguments: str, check: Callable[[], Awaitable[None]] | None = None, **env: str
    ) -> AsyncIterator[Child]:
        """Run a Python process with the servers' settings in its environment; it is restarted when it dies."""

        def command() -> Command:
            return Command(argv=[sys.executable, *arguments], env=to_env(self.settings) | env)

        child = Child(
            name,
            command,
            check,
            home=self.settings.millrace_home,
            on_step=self._on_step,
            watchdog_timeout_s=self.settings.watchdog_timeout_s,
        )
        await child.start(within_s=_START_WITHIN_S)
        try:
            yield child
        finally:
            await child.stop()

    async def run_json(self, module: str, *arguments: str, payload: object = None) -> Any:
        """Run a module as a process with JSON on stdin, and return the JSON of its last line of output.

        Raises:
            BenchError: the process failed; with the end of its stderr.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=os.environ.copy() | to_env(self.settings),
        )
        try:
            out, stderr = await process.communicate(msgspec.json.encode(payload))
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise BenchError(f"{module} failed:\n{stderr.decode(errors='replace')[-2_000:]}")
        return msgspec.json.decode(out.splitlines()[-1])

    async def wait_until_idle(self, what: str, *roles: str) -> None:
        """Wait until workers are idle.

        Args:
            what: Description of the step, for the progress.
            roles: All running roles among feed, links and trainer; feed is one of them.

        Raises:
            NotIdleError: the workers are still busy after the timeout.
        """
        check, most, work = IdleCheck(self.admin, self.redis, roles=roles), 1, {"workers to start": 1}
        try:
            async with asyncio.timeout(_REST_WITHIN_S):
                while work:
                    await asyncio.sleep(_POLL_S)
                    work = await check.look()
                    amount = sum(work.values())
                    most = max(most, amount)
                    self.on_progress(what, most - amount, most)
        except TimeoutError:
            raise NotIdleError(_REST_WITHIN_S, work) from None


@asynccontextmanager
async def open_rig(settings: Settings, *, on_step: OnStep, on_progress: OnBenchProgress) -> AsyncIterator[Rig]:
    """Run separate servers in a temporary folder; the servers in the settings are never touched."""
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        # A fit occupies a core for minutes, which would make measurements with and without one incomparable.
        own = Settings(
            millrace_home=Path(folder),
            millrace_cache=settings.millrace_cache,
            model_fit_interval_s=0.0,
            model_full_fit_interval_s=0.0,
        )
        async with LocalStack(own.millrace_home, settings=own, ports=Ports.free(), on_step=on_step) as addresses:
            await provision(addresses)
            rig = Rig(addresses, addresses.apply_to(own), on_step=on_step, on_progress=on_progress)
            await rig.connect()
            try:
                yield rig
            finally:
                await rig.close()
