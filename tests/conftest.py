"""Real servers for the tests that need them: started once, on free ports, in a folder of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

from infra.address import Addresses
from infra.kafka.admin.provision import provision
from infra.kafka.publisher import Publisher
from infra.kafka.registry import Registry
from infra.local import LocalStack, Ports, Step
from infra.postgres.pool import empty, open_pool
from infra.redis.connection import connect
from infra.settings import Settings

# Before anything imports NumPy, also for the processes that tests start: where several compute beside each other, their
# threads would wait for each other more than they compute.
os.environ.setdefault("OMP_NUM_THREADS", "1")

with suppress(ImportError):
    import pyarrow  # noqa: F401 - before usearch, which some test loads; see cli/commands/analysis

_own_folder = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give this run a folder of its own.

    A run that starts closes the folder that runs share to other users, and PostgreSQL's data may lie in it, which
    belongs to another user where we are root.
    """
    if config.option.basetemp is None:
        config.option.basetemp = config.stash[_own_folder] = Path(tempfile.mkdtemp(prefix="millrace-tests-"))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the folder only when something failed."""
    if exitstatus != pytest.ExitCode.TESTS_FAILED and _own_folder in session.config.stash:
        shutil.rmtree(session.config.stash[_own_folder], ignore_errors=True)


for name in ("ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID"):
    os.environ.pop(name, None)  # nothing that a test starts may ask a model that costs money


def show(step: Step) -> None:
    """Print a step; pytest shows it when something fails."""
    print(step.name, step.state, step.detail)


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Addresses]:
    """Provisioned servers."""
    home = tmp_path_factory.mktemp("stack")
    async with LocalStack(home, settings=Settings(), ports=Ports.free(), on_step=show) as addresses:
        await provision(addresses)
        yield addresses


@pytest.fixture
async def redis(stack: Addresses) -> AsyncIterator[Redis]:
    """A database of Redis that no role uses, emptied."""
    client = connect(stack.redis_url.removesuffix("/0") + "/15")
    await client.flushdb()
    yield client
    await client.aclose()


@pytest.fixture
async def pool(stack: Addresses) -> AsyncIterator[asyncpg.Pool]:
    """Connections to PostgreSQL, its tables emptied."""
    await empty(stack.database_url)
    pool = await open_pool(stack.database_url)
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
def registry(stack: Addresses) -> Iterator[Registry]:
    """The schema registry, with our schemas' ids."""
    registry = Registry(stack.schema_registry_url)
    registry.connect()
    yield registry
    registry.close()


@pytest.fixture
async def publisher(stack: Addresses, registry: Registry) -> AsyncIterator[Publisher]:
    """A publisher with nothing waiting."""
    publisher = Publisher(stack.kafka_bootstrap_servers, registry)
    yield publisher
    await publisher.close()
