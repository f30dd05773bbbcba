import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.commands.stack.worker import ROLES
from infra.local.servers import kafka, schema_registry
from topics.topic import PARTITIONS

ROOT = Path(__file__).parents[3]
SERVERS = {"kafka", "registry", "redis", "postgres"}
WITH_TORCH = {"encoder"}
"""Roles that need torch, which the image does not have."""
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
APPLICATION = {name for name, service in SERVICES.items() if service["image"] == "millrace"}
DOCKERFILES = sorted((ROOT / "infra" / "docker").glob("*Dockerfile"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines())]


def conditions(service: str) -> dict[str, str]:
    """Return what a service waits for."""
    return {name: wait["condition"] for name, wait in SERVICES[service].get("depends_on", {}).items()}


def test_the_stack_is_whole() -> None:
    assert set(SERVICES) == SERVERS | APPLICATION
    assert {"provision", "api"} <= APPLICATION


def test_every_role_runs_in_one_service_and_is_expected() -> None:
    workers = [SERVICES[name]["command"] for name in APPLICATION - {"provision", "api"}]
    roles = [role for command in workers for role in command[command.index("--roles") + 1].split(",")]
    assert sorted(roles) == sorted(ROLES.keys() - WITH_TORCH)
    _, _, expected = SERVICES["api"]["environment"]["EXPECTED_ROLES"].removesuffix("}").partition(":-")
    assert sorted(expected.split(",")) == sorted(ROLES.keys() - WITH_TORCH)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_bound_to_loopback(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", sorted(SERVERS | {"api"}))
def test_what_others_connect_to_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries"} <= set(check)


def test_the_application_starts_after_the_provisioning_and_that_after_healthy_servers() -> None:
    assert conditions("provision") == dict.fromkeys(SERVERS, "service_healthy")
    for name in APPLICATION - {"provision"}:
        assert conditions(name) == {"provision": "service_completed_successfully"}
    assert SERVICES["provision"]["restart"] == "no"


@pytest.mark.parametrize("name", sorted(APPLICATION))
def test_the_application_runs_with_as_little_as_it_can(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


def test_servers_keep_their_data_in_named_volumes() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"]
    for name in SERVERS - {"registry"}:  # the registry keeps its schemas in Kafka
        assert [volume.partition(":")[0] for volume in SERVICES[name]["volumes"]] == [f"{name}-data"]
        assert f"{name}-data" in services


def test_images_have_a_version() -> None:
    for name in SERVERS - {"postgres"}:
        assert re.search(r":\d+\.\d+", SERVICES[name]["image"]), name


def test_the_containers_run_the_versions_of_the_local_stack() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka.VERSION}"
    assert SERVICES["registry"]["image"] == f"apicurio/apicurio-registry:{schema_registry.VERSION}"


def test_no_password_is_written_down() -> None:
    for service in SERVICES.values():
        for variable, value in service["environment"].items() if "environment" in service else ():
            if "PASSWORD" in variable or "postgresql://" in str(value):
                assert "${POSTGRES_PASSWORD:?" in value


def test_workers_do_not_share_the_files_of_their_tables() -> None:
    assert all(":" not in volume for volume in SERVICES["feed"]["volumes"])
    assert "container_name" not in SERVICES["feed"]
    assert PARTITIONS >= 2


def test_kafka_makes_no_topic_by_itself() -> None:
    assert SERVICES["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_every_listener_of_kafka_is_advertised_and_has_a_protocol() -> None:
    kafka = SERVICES["kafka"]["environment"]
    listeners = {part.partition(":")[0] for part in kafka["KAFKA_LISTENERS"].split(",")}
    protocols = {part.partition(":")[0] for part in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")}
    advertised_listeners = {part.partition(":")[0] for part in kafka["KAFKA_ADVERTISED_LISTENERS"].split(",")}
    assert protocols == listeners == advertised_listeners | {kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]}


def test_the_image_is_built_in_stages_and_runs_without_root() -> None:
    steps = instructions(ROOT / "infra" / "docker" / "Dockerfile")
    assert [rest.partition(" ")[0] for word, rest in steps if word == "FROM"] == ["python:3.12-slim"] * 2
    last = steps[max(n for n, (word, _) in enumerate(steps) if word == "FROM") :]
    users = [rest for word, rest in last if word == "USER"]
    assert users
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    assert ("ENTRYPOINT", '["millrace"]') in last


def test_the_image_installs_the_locked_versions_and_no_extra() -> None:
    installs = [rest for word, rest in instructions(ROOT / "infra" / "docker" / "Dockerfile") if word == "RUN"]
    text = "\n".join(installs)
    assert "--constraints requirements.lock --requirements pyproject.toml --requirements client/pyproject.toml" in text
    assert "--no-deps . ./client" in text
    assert "--extra" not in text
    assert not re.search(r"\.\[\w", text)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_base_images_have_a_version(path: Path) -> None:
    for word, rest in instructions(path):
        if word == "FROM":
            assert re.match(r"[\w./-]+:\d[\w.-]+( AS \w+)?$", rest), rest


def test_what_the_image_is_built_from_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    names = {line[1:] for line in lines if line.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"checks", "tests"}
    assert packages | {"client", "pyproject.toml", "requirements.lock", "README.md", "LICENSE"} == names


def test_the_lock_holds_every_version_and_no_address() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*==[\w.+!]+( ; .+)?", line), line
