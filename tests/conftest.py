"""Real servers for the tests that need them: started once, on free ports, in a folder of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from infra.address import Addresses
from infra.local import LocalStack, Ports, Step
from infra.provision import provision
from infra.publisher import Publisher
from infra.registry import Registry
from infra.settings import Settings


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
