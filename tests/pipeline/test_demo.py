"""`millrace demo --once` as its user meets it: a process that leaves a proof."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from infra.address import Addresses
from infra.kafka.admin.reset import reset_stack
from infra.local import Ports
from infra.local.port import free_ports

DEADLINE_S = 280.0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home and free ports, kept over the runs: the demo brings its own stack."""
    ports = Ports.free()
    (api_port,) = free_ports(1)
    return {
        "MILLRACE_HOME": str(tmp_path_factory.mktemp("demo")),
        "KAFKA_PORT": str(ports.kafka),
        "SCHEMA_REGISTRY_PORT": str(ports.schema_registry),
        "REDIS_PORT": str(ports.redis),
        "DATABASE_PORT": str(ports.database),
        "API_PORT": str(api_port),
    }


async def demo(environment: dict[str, str], *arguments: str) -> tuple[int | None, dict[str, Any], str]:
    """Run the demo to its end; return its exit code, proof, and what it told."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "demo", "--once", *arguments),
        env=os.environ | environment,
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        out, output = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()
    lines = out.decode().splitlines()
    return process.returncode, json.loads(lines[-1]) if lines else {}, output.decode()


def check(code: int | None, proof: dict[str, Any], output: str, *, users: int) -> None:
    assert code == 0, output
    assert proof["ok"], proof["error"]
    assert proof["published"] == proof["processed"] + proof["dead_lettered"]
    assert proof["published"] == sum(proof["published_by"].values())
    assert proof["dead_lettered"] == 0
    assert proof["users_with_feeds"] == users
    assert proof["clicked"] in proof["feed_before"]
    assert proof["clicked"] not in proof["feed_after"]
    assert proof["feed_before"] != proof["feed_after"]
    assert 0 < proof["click_to_feed_ms"] < 20_000
    assert proof["broker"].startswith("Apache Kafka at 127.0.0.1:")
    assert {"page", "api", "kafka_bootstrap_servers", "redis_url"} <= set(proof["addresses"])


async def test_the_demo_proves_itself_and_does_so_again_on_the_same_home(environment: dict[str, str]) -> None:
    first = await demo(environment, "--users", "20")
    check(*first, users=20)
    _, proof, output = first
    assert proof["user"] == "alex"
    assert all(proof["published_by"][way] > 0 for way in ("kafka", "api", "click"))
    assert "after one click" in output
    assert proof["simulated"] == ["Claude", "Firebase Cloud Messaging"]
    assert output.count("simulated") == 3, "with what it did for either, and at the end"
    assert set(proof["prefetched"]) == {"events", "movies", "music", "places", "workshops"}
    assert proof["fetched_by"] == ["llm"]
    assert proof["push"] == "sent: 1 device reached"
    second = await demo(environment, "--users", "20")
    check(*second, users=20)
    assert second[1]["published"] == proof["published"], "all of it once more, under ids of its own"


async def test_a_movielens_folder_is_played_and_its_bad_lines_are_reported(
    environment: dict[str, str], stack: Addresses, tmp_path: Path
) -> None:
    await reset_stack(stack)
    titles = "\n".join(
        f"{number},Film {number} (1999),{'Drama' if number % 2 else 'Comedy|Romance'}"
        for number in range(1, 100)  # more than a feed holds
    )
    (tmp_path / "movies.csv").write_text(f"movieId,title,genres\n{titles}\n")
    rows = [
        f"{user},{1 + (user * 7 + step * 3) % 39},4.0,{900_000_000 + step}"
        for user in range(1, 9)
        for step in range(12)
    ]
    (tmp_path / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows, "1,2,loved it,3"]))
    servers = {name.upper(): address for name, address in asdict(stack).items()}
    code, proof, output = await demo(environment | servers, "--movielens", str(tmp_path))
    check(code, proof, output, users=8)
    assert proof["published"] == 8 * 12 + 1
    assert proof["bad_lines"] == 1
    assert "ratings.csv:98" in output


async def test_a_folder_without_a_data_set_ends_with_what_to_do(environment: dict[str, str], tmp_path: Path) -> None:
    code, _, output = await demo(environment, "--movielens", str(tmp_path))
    assert code == 1
    assert "not a MovieLens folder" in output
    assert "grouplens.org" in output
