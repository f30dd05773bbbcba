"""The local stack as a whole: what it holds outlives its processes, and what it cannot have it says."""

import asyncio
import base64
import json
import socket
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from redis.exceptions import AuthenticationError, ResponseError

from infra.address import Addresses
from infra.error import OperatorError
from infra.kafka.admin.provision import BrokerTopic, broker_topics, create, provision
from infra.kafka.publisher import Publisher
from infra.kafka.readers.topic_tail import last
from infra.kafka.registry import Registry
from infra.local import Child, LocalStack, Ports, Step, unprivileged
from infra.local.port import HOST, free_ports
from infra.local.program import run_program
from infra.local.servers.postgres import Postgres, _programs
from infra.local.servers.redis import OLDEST
from infra.postgres import pool
from infra.redis.connection import connect
from infra.settings import Settings
from schemas.types import Interaction
from streams.roles.archive import archive_role as archive
from tests import waiting
from tests.build import an_interaction, an_item
from tests.pipeline.catalog.test_archive import Place
from topics import TOPICS
from topics.topic import INTERACTIONS, ITEMS

DEADLINE_S = 90.0


def show(step: Step) -> None:
    print(step.name, step.state, step.detail)


until = partial(waiting.until, timeout_s=DEADLINE_S, look_every_s=0.05)


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


AOF_OF_6_2 = (
    "UkVESVMwMDA5+glyZWRpcy12ZXIGNi4yLjE0+gpyZWRpcy1iaXRzwED6BWN0aW1lwhB9C2v6CHVzZWQtbWVtwqhPDgD6"
    "DGFvZi1wcmVhbWJsZcAB/gD7AQAABGtlcHQEaGVyZf+6VPqJd9yqqg=="
)
"""What Redis 6.2 writes for `SET kept here` and a rewrite: a snapshot and no command after it."""


async def a_home_of_old(home: Path, port: int) -> None:
    """Lay out a home as it was before the servers had passwords."""
    postgres = Postgres(home / "postgres", port, password="none")
    settings = ("--auth=trust", "--encoding=utf8", "--locale=C.UTF-8", "--no-sync", "--username", "postgres")
    (home / "postgres").mkdir()
    run_as = postgres.command().run_as
    if run_as:
        unprivileged.give(home / "postgres", run_as)
    data = str(home / "postgres" / "data")
    code, out = await run_program(
        [str(_programs() / "initdb"), *settings, "--pgdata", data], run_as=run_as, within_s=DEADLINE_S
    )
    assert code == 0, out
    options = (f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=")
    argv = [str(_programs() / "postgres"), "-D", data, *(part for option in options for part in ("-c", option))]
    url = f"postgresql://postgres@127.0.0.1:{port}"

    async def check() -> None:
        await sql(f"{url}/postgres", "SELECT 1")

    old = Child("old", lambda: replace(postgres.command(), argv=argv), check, home=home, on_step=show)
    await old.start(within_s=DEADLINE_S)
    await sql(f"{url}/postgres", "CREATE DATABASE millrace")
    await pool.migrate(f"{url}/millrace", pool.migrations())
    row = archive.item_row(Place(1, ITEMS.name, 0, 1), an_item("i1", title="kept"))
    connection = await asyncpg.connect(f"{url}/millrace")
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    await connection.execute(archive.upsert_items(), *row)
    await connection.close()
    await old.stop()
    (home / "redis").mkdir()
    (home / "redis" / "appendonly.aof").write_bytes(base64.b64decode(AOF_OF_6_2))


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
    topics = (await asyncio.to_thread(admin.list_topics, timeout=10)).topics
    for topic in broker_topics():
        assert len(topics[topic.name].partitions) == topic.partitions, topic.name


async def test_a_stack_has_all_subjects(stack: Addresses, registry: Registry) -> None:
    for topic in TOPICS:
        assert registry.codec(topic.record).record is topic.record


async def test_the_database_can_hold_vectors(stack: Addresses) -> None:
    rows = await sql(stack.database_url, "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
    assert rows == 1


async def test_servers_listen_on_the_loopback_address_only(stack: Addresses) -> None:
    listening = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # PostgreSQL's workers come and go
            connections = child.net_connections(kind="inet")
            listening |= {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
    assert {ip.removeprefix("::ffff:") for ip in listening} == {HOST}


async def test_provisioning_again_changes_nothing(stack: Addresses) -> None:
    names: dict[str, str] = {}
    await provision(stack, on_result=names.__setitem__)
    assert names["topics"].endswith("of which 0 are new")
    assert names["tables"] == "as they should be"


async def test_servers_whose_addresses_are_set_are_used(stack: Addresses, tmp_path: Path) -> None:
    steps: list[Step] = []
    using = LocalStack(tmp_path, settings=stack.apply_to(Settings()), ports=Ports.free(), on_step=steps.append)
    async with using as addresses:
        assert addresses == stack
        assert using.children == []
    assert {step.state for step in steps} == {"given"}


async def test_the_url_of_a_database_may_name_a_driver(stack: Addresses, tmp_path: Path) -> None:
    url = stack.database_url.replace("postgresql://", "postgresql+asyncpg://")
    settings = replace(stack.apply_to(Settings()), database_url=url)
    async with LocalStack(tmp_path, settings=settings, ports=Ports.free(), on_step=show) as addresses:
        assert await pool.migrate(addresses.database_url, pool.migrations()) == []
        async with await pool.open_pool(addresses.database_url) as connections:
            assert await connections.fetchval("SELECT 1") == 1


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
    settings = replace(stack.apply_to(Settings()), **{field: nowhere.format(port=port)})
    with pytest.raises(OperatorError) as exc_info:
        await LocalStack(tmp_path, settings=settings, ports=Ports.free(), on_step=show).start()
    assert str(port) in exc_info.value.problem
    assert field.upper() in exc_info.value.remedy
    assert "secret" not in str(exc_info.value)


async def test_a_busy_port_stops_the_start_and_leaves_nothing(stack: Addresses, tmp_path: Path) -> None:
    settings = replace(stack.apply_to(Settings()), redis_url="", database_url="")
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        ports = replace(Ports.free(), redis=server.getsockname()[1])
        with pytest.raises(OperatorError, match=f"Port {ports.redis}, which Redis needs") as exc_info:
            await LocalStack(tmp_path, settings=settings, ports=ports, on_step=show).start()
    assert "REDIS_PORT" in exc_info.value.remedy
    assert processes_of(tmp_path) == []
    async with LocalStack(tmp_path, settings=settings, ports=ports, on_step=show) as addresses:
        assert str(ports.redis) in addresses.redis_url


async def test_a_start_that_fails_while_others_prepare_leaves_nothing(stack: Addresses, tmp_path: Path) -> None:
    """PostgreSQL creates its data folder, which takes a second, while Redis cannot lay out its own."""
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "redis.conf").mkdir()  # what is to be a file
    settings = replace(stack.apply_to(Settings()), redis_url="", database_url="")
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(OSError, match=r"redis\.conf"):
        await LocalStack(tmp_path, settings=settings, ports=Ports.free(), on_step=show).start()
    assert set(psutil.Process().children(recursive=True)) - before == set()
    assert "initdb" not in {process.name() for process in psutil.process_iter() if str(tmp_path) in _line(process)}


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


async def test_our_role_can_run_no_program_and_read_no_file(stack: Addresses) -> None:
    assert await sql(stack.database_url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
    for statement in (
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY schema_migrations FROM PROGRAM 'id'",
        "COPY (SELECT 1) TO '/tmp/out'",
        "SELECT pg_read_file('/etc/passwd')",
        "CREATE ROLE other SUPERUSER",
        "ALTER SYSTEM SET shared_preload_libraries = 'x'",
        "CREATE FUNCTION run() RETURNS int LANGUAGE c AS 'libc', 'system'",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await sql(stack.database_url, statement)


@pytest.mark.parametrize("login", ["postgres", "postgres:postgres", "millrace", "millrace:wrong", "root"])
@pytest.mark.parametrize("database", ["postgres", "millrace"])
async def test_postgresql_lets_nobody_in_without_the_password(stack: Addresses, login: str, database: str) -> None:
    place = stack.database_url.rpartition("@")[2].partition("/")[0]
    with pytest.raises((asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError)):
        await asyncpg.connect(f"postgresql://{login}@{place}/{pool}")


@pytest.mark.parametrize("login", ["", ":wrong@", "default:@"])
async def test_redis_lets_nobody_in_without_the_password(stack: Addresses, login: str) -> None:
    redis = connect(f"redis://{login}{stack.redis_url.rpartition('@')[2]}")
    with pytest.raises((AuthenticationError, ResponseError)):
        await redis.execute_command("PING")  # type: ignore[no-untyped-call]
    await redis.aclose()


async def test_redis_is_recent_enough(stack: Addresses) -> None:
    redis = connect(stack.redis_url)
    info = await redis.info("server")
    await redis.aclose()
    version = info.get("valkey_version", info["redis_version"])
    assert tuple(map(int, version.split(".")))[:2] >= OLDEST


async def test_a_home_from_before_there_were_passwords_goes_on(stack: Addresses, tmp_path: Path) -> None:
    """As it was: a cluster that trusts everybody, tables of the superuser's, a Redis of version 6.2."""
    ports = Ports.free()
    await a_home_of_old(tmp_path, ports.database)
    await asyncio.to_thread(tmp_path.chmod, 0o755)
    settings = replace(stack.apply_to(Settings()), redis_url="", database_url="")
    for _ in range(2):
        async with LocalStack(tmp_path, settings=settings, ports=ports, on_step=show) as addresses:
            await provision(addresses)
            assert await sql(addresses.database_url, "SELECT title FROM items") == "kept"
            assert await sql(addresses.database_url, "SELECT trigrams('ab')") == ["  a", " ab", "ab "]
            await sql(addresses.database_url, "ALTER TABLE items ADD COLUMN IF NOT EXISTS note text")
            await sql(addresses.database_url, "ANALYZE")
            redis = connect(addresses.redis_url)
            assert await redis.get("kept") == b"here"
            await redis.aclose()
            with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
                await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{ports.database}/millrace")
    assert (await asyncio.to_thread(tmp_path.stat)).st_mode & 0o007 == 0


async def test_lost_passwords_are_made_anew_and_taken_over(stack: Addresses, tmp_path: Path) -> None:
    settings = replace(stack.apply_to(Settings()), redis_url="", database_url="")
    ports = Ports.free()
    async with LocalStack(tmp_path, settings=settings, ports=ports, on_step=show) as first:
        await sql(first.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
    (tmp_path / "secrets.json").write_text("{")
    async with LocalStack(tmp_path, settings=settings, ports=ports, on_step=show) as again:
        assert again != first
        assert await sql(again.database_url, "SELECT answer FROM kept") == 42


async def test_topics_that_do_not_fit_are_named(stack: Addresses) -> None:
    append_time, create_time = {"message.timestamp.type": "LogAppendTime"}, {"message.timestamp.type": "CreateTime"}
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap_servers})
    for future in admin.create_topics([NewTopic("misfit.v1", 2, 1, config=create_time)]).values():
        await asyncio.to_thread(future.result)
    with pytest.raises(OperatorError) as exc_info:
        await create(stack.kafka_bootstrap_servers, [BrokerTopic("misfit.v1", 8, append_time)])
    assert "misfit.v1 has 2 partitions, not 8" in exc_info.value.problem
    assert "message.timestamp.type=CreateTime, not LogAppendTime" in exc_info.value.problem
