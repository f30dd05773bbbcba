"""The local stack as a whole: what it holds outlives its processes, and what it cannot have it says."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from infra.address import Addresses
from infra.error import OperatorError
from infra.local import Child, LocalStack, Ports, Step
from infra.local.port import HOST, free_ports
from infra.provision import BrokerTopic, broker_topics, create, provision
from infra.publisher import Publisher
from infra.redis_client import connect
from infra.registry import Registry
from infra.settings import Settings
from infra.tail import last
from schemas.types import Interaction
from tests.build import an_interaction
from topics import TOPICS
from topics.topic import INTERACTIONS

DEADLINE_S = 90.0


def show(step: Step) -> None:
    print(step.name, step.state, step.detail)


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await true():  # noqa: ASYNC110 - a server has no event for this
            await asyncio.sleep(0.05)


async def killed_and_back(child: Child) -> None:
    """Kill a child and wait until another process has its place."""
    pid = child.pid
    assert pid is not None
    psutil.Process(pid).kill()

    async def back() -> bool:
        return child.pid not in (None, pid)

    await until(back)


def processes_of(home: Path) -> list[psutil.Process]:
    """Return our children whose command line names a home."""
    return [child for child in psutil.Process().children(recursive=True) if str(home) in " ".join(child.cmdline())]


async def sql(url: str, statement: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def kept(addresses: Addresses) -> list[Interaction]:
    """Return what Kafka holds, read by the schemas that the registry holds."""
    registry = Registry(addresses.schema_registry_url)
    try:
        await asyncio.to_thread(registry.connect)
        entries = await last(addresses.kafka_bootstrap_servers, registry, INTERACTIONS, count=None)
    finally:
        registry.close()
    return [entry.value for entry in entries]


async def test_what_a_stack_holds_outlives_a_kill_of_every_process_and_a_stop(tmp_path: Path) -> None:
    ports = Ports.free()
    event = an_interaction()
    first = LocalStack(tmp_path, settings=Settings(), ports=ports, on_step=show)
    async with first as addresses:
        await provision(addresses)
        registry = Registry(addresses.schema_registry_url)
        await asyncio.to_thread(registry.connect)
        publisher = Publisher(addresses.kafka_bootstrap_servers, registry)
        await publisher.publish(INTERACTIONS, [event])
        await publisher.close()
        registry.close()
        redis = connect(addresses.redis_url)
        await redis.set("kept", "here")
        await sql(addresses.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        for child in first.children:
            await killed_and_back(child)

        async def answers() -> bool:
            try:
                return (
                    await kept(addresses) == [event]
                    and await redis.get("kept") == b"here"
                    and await sql(addresses.database_url, "SELECT answer FROM kept") == 42
                )
            except Exception as error:
                print("not yet:", error)
                return False

        await until(answers)
    assert processes_of(tmp_path) == []

    async with LocalStack(tmp_path, settings=Settings(), ports=ports, on_step=show) as again:
        assert again == addresses
        assert await kept(again) == [event]
        assert await redis.get("kept") == b"here"
        assert await sql(again.database_url, "SELECT answer FROM kept") == 42
        await provision(again)
    await redis.aclose()
    assert processes_of(tmp_path) == []


async def test_a_stack_has_all_topics_with_leaders(stack: Addresses) -> None:
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap_servers})
    found = (await asyncio.to_thread(admin.list_topics, timeout=10)).topics
    for topic in broker_topics():
        assert len(found[topic.name].partitions) == topic.partitions, topic.name


async def test_a_stack_has_all_subjects(stack: Addresses, registry: Registry) -> None:
    for topic in TOPICS:
        assert registry.codec(topic.record).record is topic.record


async def test_the_database_can_hold_vectors(stack: Addresses) -> None:
    found = await sql(stack.database_url, "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
    assert found == 1


async def test_servers_listen_on_the_loopback_address_only(stack: Addresses) -> None:
    listening = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # PostgreSQL's workers come and go
            found = child.net_connections(kind="inet")
            listening |= {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}
    assert {ip.removeprefix("::ffff:") for ip in listening} == {HOST}


async def test_provisioning_again_changes_nothing(stack: Addresses) -> None:
    told: dict[str, str] = {}
    await provision(stack, on_done=told.__setitem__)
    assert told["topics"].endswith("of which 0 are new")
    assert told["tables"] == "as they should be"


async def test_servers_whose_addresses_are_set_are_used(stack: Addresses, tmp_path: Path) -> None:
    steps: list[Step] = []
    using = LocalStack(tmp_path, settings=stack.into(Settings()), ports=Ports.free(), on_step=steps.append)
    async with using as addresses:
        assert addresses == stack
        assert using.children == []
    assert {step.state for step in steps} == {"given"}


@pytest.mark.parametrize(
    ("field", "nowhere"),
    [
        ("kafka_bootstrap_servers", "127.0.0.1:{port}"),
        ("schema_registry_url", "http://127.0.0.1:{port}/apis/ccompat/v7"),
        ("redis_url", "redis://127.0.0.1:{port}/0"),
        ("database_url", "postgresql://postgres:secret@127.0.0.1:{port}/millrace"),
    ],
)
async def test_a_set_address_that_nobody_answers_at_is_said(
    stack: Addresses, tmp_path: Path, field: str, nowhere: str
) -> None:
    (port,) = free_ports(1)
    settings = replace(stack.into(Settings()), **{field: nowhere.format(port=port)})
    with pytest.raises(OperatorError) as caught:
        await LocalStack(tmp_path, settings=settings, ports=Ports.free(), on_step=show).start()
    assert str(port) in caught.value.problem
    assert field.upper() in caught.value.remedy
    assert "secret" not in str(caught.value)


async def test_a_busy_port_stops_the_start_and_leaves_nothing(stack: Addresses, tmp_path: Path) -> None:
    settings = replace(stack.into(Settings()), redis_url="", database_url="")
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        ports = replace(Ports.free(), redis=server.getsockname()[1])
        with pytest.raises(OperatorError, match=f"Port {ports.redis}, which Redis needs") as caught:
            await LocalStack(tmp_path, settings=settings, ports=ports, on_step=show).start()
    assert "REDIS_PORT" in caught.value.remedy
    assert processes_of(tmp_path) == []
    async with LocalStack(tmp_path, settings=settings, ports=ports, on_step=show) as addresses:
        assert str(ports.redis) in addresses.redis_url


async def test_topics_that_do_not_fit_are_named(stack: Addresses) -> None:
    stamped, unstamped = {"message.timestamp.type": "LogAppendTime"}, {"message.timestamp.type": "CreateTime"}
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap_servers})
    for future in admin.create_topics([NewTopic("misfit.v1", 2, 1, config=unstamped)]).values():
        await asyncio.to_thread(future.result)
    with pytest.raises(OperatorError) as caught:
        await create(stack.kafka_bootstrap_servers, [BrokerTopic("misfit.v1", 8, stamped)])
    assert "misfit.v1 has 2 partitions, not 8" in caught.value.problem
    assert "message.timestamp.type=CreateTime, not LogAppendTime" in caught.value.problem
