"""The local stack: starts the servers that the settings do not provide, and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from infra import address
from infra.address import Addresses
from infra.error import OperatorError
from infra.health import health_check
from infra.local import secret, stale_process
from infra.local.lock import Lock
from infra.local.port import Ports, require_free
from infra.local.process import Child
from infra.local.servers.kafka import Kafka
from infra.local.servers.postgres import Postgres
from infra.local.servers.redis import RedisServer
from infra.local.servers.schema_registry import SchemaRegistry
from infra.local.servers.server import LocalServer
from infra.local.step import OnStep, Step
from infra.redis.connection import connect
from infra.settings import Settings, masked

OnRestart = Callable[[Addresses], Awaitable[None]]

START_WITHIN_S = 180.0
_RETRY_S = 2.0
FREE_BYTES = 2 << 30
"""Free disk space required at the start: for downloads, Kafka's segments, PostgreSQL's log."""
_LOG = logging.getLogger(__name__)


class LocalStack:
    """Kafka, a schema registry, Redis and PostgreSQL on this machine, listening on the loopback address only.

    A server whose address is set is used instead of a local one. Data under `home` survives restarts; only the owner of
    the home may read it. The addresses of Redis and PostgreSQL contain passwords, which are generated once.
    """

    def __init__(
        self, home: Path, *, settings: Settings, ports: Ports, on_step: OnStep, on_restart: OnRestart | None = None
    ) -> None:
        """Configure a stack.

        Args:
            home: Folder of data, logs and passwords.
            settings: Addresses of existing servers, and the folder of downloads.
            ports: Ports of the local servers.
            on_step: Called with every state change, from any thread.
            on_restart: Called with the addresses when a server that had died serves again, perhaps without its data.
        """
        self.home = home.resolve()
        self._settings, self._ports, self._on_step, self._on_return = settings, ports, on_step, on_restart
        self._cache = settings.millrace_cache.expanduser().resolve()
        self._lock = Lock(self.home)
        self._stopping = False
        self._running: list[tuple[LocalServer, Child]] = []
        """In stop order."""

    @property
    def children(self) -> list[Child]:
        """Return the processes of the servers in stop order."""
        return [child for _, child in self._running]

    async def start(self) -> Addresses:
        """Start the missing servers and return once all answer; after an error, no server keeps running.

        Raises:
            OperatorError: a problem that only the operator can solve.
        """
        self._lock.take()
        try:
            await asyncio.to_thread(stale_process.end_stale, self.home / "run")
            require_space(self.home)
            require_space(self._cache)
            addresses, checks = self._plan()
            for server, _ in self._running:  # before any start, so that a refused start leaves nothing behind
                require_free(
                    server.port, name=server.name, port_setting=server.port_setting, url_setting=server.url_setting
                )
            await _all([check() for check in checks])
            await _all([self._prepare(server) for server, _ in self._running])
            # Concurrently: the registry, by far the slowest, waits for Kafka by itself.
            await _all([child.start(within_s=START_WITHIN_S) for _, child in self._running])
            await asyncio.to_thread(address.write, self.home, addresses)
        except BaseException:
            await self.stop()
            raise
        return addresses

    async def stop(self) -> None:
        """Stop the started servers, dependents before their dependencies."""
        self._stopping = True
        address.forget(self.home)
        for server, child in self._running:
            await child.stop()
            server.on_stop()
        self._lock.release()

    async def __aenter__(self) -> Addresses:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _plan(self) -> tuple[Addresses, list[Callable[[], Coroutine[Any, Any, None]]]]:
        """Return all addresses and the checks of existing servers; add the missing servers to those to run."""
        settings, ports, home = self._settings, self._ports, self.home
        bootstrap = settings.kafka_bootstrap_servers
        kafka = Kafka(home / "kafka", self._cache, ports.kafka, on_progress=self._progress("Kafka"))
        registry = SchemaRegistry(
            bootstrap or kafka.url, self._cache, ports.schema_registry, on_progress=self._progress("schema registry")
        )
        passwords = secret.load(home)
        redis = RedisServer(home / "redis", ports.redis, password=passwords.redis)
        postgres = Postgres(home / "postgres", ports.database, password=passwords.database)
        addresses = Addresses(
            bootstrap or kafka.url,
            settings.schema_registry_url or registry.url,
            settings.redis_url or redis.url,
            settings.database_url or postgres.url,
        )
        checks: list[Callable[[], Coroutine[Any, Any, None]]] = []
        for server, url, ask in (
            (registry, settings.schema_registry_url, health_check.registry),
            (kafka, bootstrap, health_check.kafka),
            (redis, settings.redis_url, _redis_probe),
            (postgres, settings.database_url, health_check.database),
        ):
            if url:
                checks.append(partial(self._use, server, url, ask(url)))
            else:
                child = Child(
                    server.name,
                    server.command,
                    server.check,
                    home=home,
                    on_step=self._on_step,
                    prepare=server.prepare,
                    on_restart=partial(self._returned, addresses),
                    watchdog_timeout_s=settings.watchdog_timeout_s,
                )
                self._running.append((server, child))
        return addresses, checks

    async def _use(self, server: LocalServer, url: str, ask: health_check.ServerProbe) -> None:
        try:
            async with aclosing(ask):
                await ask()
        except Exception as error:  # each client has its own error types
            raise OperatorError(
                f"{server.name} does not answer at {masked(url)}: {type(error).__name__}: {error}",
                f"Start it, or unset {server.url_setting}: then a local one is run.",
            ) from error
        self._on_step(Step(server.name, "given", masked(url)))

    async def _prepare(self, server: LocalServer) -> None:
        self._on_step(Step(server.name, "preparing"))
        await server.prepare()

    async def _returned(self, addresses: Addresses) -> None:
        """Call `on_restart` for a server that is back, until the call succeeds."""
        while self._on_return is not None:
            try:
                return await self._on_return(addresses)
            except Exception as error:  # another server may be unavailable
                _LOG.warning("a restarted server is not provisioned yet: %s", error)
                await asyncio.sleep(_RETRY_S)

    def _progress(self, name: str) -> Callable[[str], None]:
        def tell(detail: str) -> None:
            if self._stopping:
                raise OperatorError(f"{name}: the download was stopped", "Start again to finish it.")
            self._on_step(Step(name, "downloading", detail))

        return tell


def require_space(folder: Path, *, free_bytes: int = FREE_BYTES) -> None:
    """Create a folder and check that its disk has enough free space.

    Raises:
        OperatorError: it does not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < free_bytes:
        raise OperatorError(
            f"The disk of {folder} has {free / 1e9:.1f} GB free; the local stack needs {free_bytes / 1e9:.1f} GB.",
            "Free some space, or choose folders on another disk with MILLRACE_HOME and MILLRACE_CACHE.",
        )


def _redis_probe(url: str) -> health_check.ServerProbe:
    client = connect(url)
    return health_check.ServerProbe(health_check.redis(client), client.aclose)


async def _all(coroutines: list[Coroutine[Any, Any, None]]) -> None:
    """Await all; if one fails, cancel the others and raise its error."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
