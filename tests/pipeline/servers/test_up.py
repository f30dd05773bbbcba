"""`millrace up` as its user meets it: a process that is started, asked, interrupted and killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from infra.address import Addresses
from infra.local import Ports
from infra.local.port import free_ports
from infra.redis import heartbeat
from infra.redis.connection import connect
from infra.settings import Settings, masked, to_env
from infra.watchdog import OPTION
from tests import waiting

DEADLINE_S = 180.0


@pytest.fixture
def settings(stack: Addresses, tmp_path: Path) -> Settings:
    """Settings under which Redis and PostgreSQL are run, and the slower two are those of the session's stack."""
    ports = Ports.free()
    given_settings = stack.apply_to(
        Settings(millrace_home=tmp_path, redis_port=ports.redis, database_port=ports.database)
    )
    return replace(given_settings, redis_url="", database_url="")


@asynccontextmanager
async def millrace(settings: Settings, *arguments: str) -> AsyncIterator[Process]:
    """Run the command; it is killed when it is still there at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", *arguments),
        env=os.environ | to_env(settings),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def addresses_of(up: Process) -> dict[str, str]:
    """Return what a command prints once it has started, with the addresses as they are in its home."""
    assert up.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        line = await up.stdout.readline()
    assert line, (await up.communicate())[1].decode()
    addresses: dict[str, str] = json.loads(line)
    body: dict[str, str] = json.loads(await asyncio.to_thread(Path(addresses["addresses"]).read_bytes))
    for name, url in body.items():
        assert addresses[name] == masked(url)
    return addresses | body


def passwords(home: Path) -> list[str]:
    """Return the passwords of a home's servers."""
    secrets = list(json.loads((home / "secrets.json").read_bytes()).values())
    assert all(len(password) >= 40 for password in secrets)
    return secrets


async def status_of(settings: Settings) -> tuple[int, dict[str, Any]]:
    """Return the exit status of `millrace status` and what it says."""
    alone = replace(settings, redis_url="", database_url="")  # it finds the addresses in the home
    async with millrace(alone, "status", "--json") as status:
        out, _ = await asyncio.wait_for(status.communicate(), DEADLINE_S)
    return status.returncode or 0, json.loads(out)


async def health_of(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        body: dict[str, Any] = (await http.get(f"{url}/health")).json()
    return body


def role_state(health: dict[str, Any], role: str) -> str:
    return str(health["pipeline"]["roles"][role]["state"])


until = partial(waiting.until, timeout_s=DEADLINE_S, look_every_s=0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_everything_in_order(settings: Settings, number: signal.Signals) -> None:
    async with millrace(settings, "up", "--servers-only", "--json") as up:
        running_settings = await addresses_of(up)
        children = psutil.Process(up.pid).children(recursive=True)
        assert len(children) >= 2
        assert running_settings["kafka_bootstrap_servers"] == settings.kafka_bootstrap_servers
        assert running_settings["redis_url"].endswith(f"@127.0.0.1:{settings.redis_port}/0")
        arguments = [part for child in [psutil.Process(up.pid), *children] for part in child.cmdline()]
        assert not [
            part for part in arguments if any(password in part for password in passwords(settings.millrace_home))
        ]
        up.send_signal(number)
        _, output = await asyncio.wait_for(up.communicate(), DEADLINE_S)
    assert up.returncode == 0, output.decode()
    assert "Traceback" not in output.decode()
    assert not any(password in output.decode() for password in passwords(settings.millrace_home))
    assert [child for child in children if not has_ended(child)] == []
    assert not (settings.millrace_home / "addresses.json").exists()


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended, even if init has not collected its exit status yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_a_home_is_its_owners_alone(settings: Settings) -> None:
    settings.millrace_home.chmod(0o755)
    async with millrace(settings, "up", "--servers-only", "--json") as up:
        await addresses_of(up)
        open_to_others = [
            path
            for path in (settings.millrace_home, *settings.millrace_home.rglob("*"))
            if path.lstat().st_mode & 0o007 and not path.is_symlink()
        ]
        assert open_to_others == []
        for log in (settings.millrace_home / "logs").iterdir():
            assert log.stat().st_mode & 0o777 == 0o600
            assert not any(password in log.read_text() for password in passwords(settings.millrace_home))
        up.terminate()
        await asyncio.wait_for(up.communicate(), DEADLINE_S)


async def test_servers_are_not_given_our_secrets(settings: Settings) -> None:
    async with millrace(replace(settings, jwt_secret="s" * 40), "up", "--servers-only", "--json") as up:
        await addresses_of(up)
        for child in psutil.Process(up.pid).children():
            assert "JWT_SECRET" not in child.environ()
        up.terminate()
        await asyncio.wait_for(up.communicate(), DEADLINE_S)


async def test_children_end_with_a_killed_parent_and_the_next_up_goes_on(settings: Settings) -> None:
    async with millrace(settings, "up", "--servers-only", "--json") as up:
        redis = connect((await addresses_of(up))["redis_url"])
        await redis.set("kept", "here")
        children = psutil.Process(up.pid).children(recursive=True)
        up.kill()
        await until(lambda: all(has_ended(child) for child in children))
    async with millrace(settings, "up", "--servers-only", "--json") as up:
        await addresses_of(up)
        assert await redis.get("kept") == b"here"
        up.terminate()
        await asyncio.wait_for(up.communicate(), DEADLINE_S)
    await redis.aclose()


async def test_a_second_up_on_one_home_says_who_is_there(settings: Settings) -> None:
    async with millrace(settings, "up", "--servers-only", "--json") as up:
        await addresses_of(up)
        async with millrace(settings, "up", "--servers-only") as second:
            _, output = await asyncio.wait_for(second.communicate(), DEADLINE_S)
        assert second.returncode == 1
        assert f"process {up.pid}" in output.decode()
        assert "Traceback" not in output.decode()
        up.terminate()
        await asyncio.wait_for(up.communicate(), DEADLINE_S)
    assert up.returncode == 0


async def test_a_busy_port_is_one_message_and_exit_code_1(settings: Settings) -> None:
    port = int(settings.kafka_bootstrap_servers.rpartition(":")[2])
    async with millrace(replace(settings, redis_port=port), "up", "--servers-only") as up:
        _, output = await asyncio.wait_for(up.communicate(), DEADLINE_S)
    assert up.returncode == 1
    assert f"Port {port}, which Redis needs, is taken by java" in output.decode()
    assert "REDIS_PORT" in output.decode()
    assert "Traceback" not in output.decode()


async def test_a_signal_while_it_starts_leaves_nothing(settings: Settings) -> None:
    async with millrace(settings, "up", "--servers-only") as up:
        await until(lambda: bool(psutil.Process(up.pid).children()))
        children = psutil.Process(up.pid).children(recursive=True)
        up.terminate()
        _, output = await asyncio.wait_for(up.communicate(), DEADLINE_S)
    assert up.returncode == 0, output.decode()
    assert [child for child in children if not has_ended(child)] == []


async def test_the_whole_application_starts_serves_and_stops(settings: Settings) -> None:
    (api_port,) = free_ports(1)
    whole = replace(settings, api_port=api_port, watchdog_timeout_s=25.0)
    async with millrace(whole, "up", "--json") as up:
        running_settings = await addresses_of(up)
        assert running_settings["api_url"] == f"http://127.0.0.1:{api_port}"
        children = psutil.Process(up.pid).children(recursive=True)
        roles = {" ".join(child.cmdline()[3:]) for child in children if "cli.main" in child.cmdline()}
        roles = {role.partition(f" {OPTION}")[0] for role in roles}
        workers = ("feed", "links", "trainer,archive,log,outcomes", "fetch", "push", "shop")
        assert roles == {*(f"worker --roles {names}" for names in workers), "api"}

        everyone = {"feed", "links", "trainer", "archive", "log", "outcomes", "fetch", "push", "shop"}
        redis = connect(running_settings["redis_url"])
        async with asyncio.timeout(DEADLINE_S):
            while {beat["role"] for beat in await heartbeat.heartbeats(redis)} != everyone:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await redis.aclose()
        code, status = await status_of(whole)
        assert (code, status["pipeline"]["problems"]) == (0, [])
        assert all(server["up"] for server in status["servers"].values())
        assert {role["role"] for role in status["roles"]} == everyone == set(status["pipeline"]["roles"])

        [pusher] = [child for child in children if "push" in child.cmdline() and "cli.main" in child.cmdline()]
        pusher.suspend()
        async with asyncio.timeout(DEADLINE_S):  # others may be late on a busy machine, too
            while role_state(health := await health_of(running_settings["api_url"]), "push") == "up":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert (health["status"], role_state(health, "push")) == ("degraded", "late")
        code, status = await status_of(whole)
        assert code == 2
        assert any("push has been silent" in problem for problem in status["pipeline"]["problems"])
        async with asyncio.timeout(DEADLINE_S):  # it is ended, and another starts in its place
            while (await health_of(running_settings["api_url"]))["status"] != "ok":  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert has_ended(pusher)
        up.terminate()
        _, health = await asyncio.wait_for(up.communicate(), DEADLINE_S)
    assert up.returncode == 0, health.decode()
    assert [child for child in children if not has_ended(child)] == []
