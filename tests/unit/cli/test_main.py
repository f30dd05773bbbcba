import json

import pytest
from typer.testing import CliRunner

from cli.commands.stack.worker import ROLES
from cli.main import COMMANDS, app
from topics import TOPICS

RUN = CliRunner()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    result = RUN.invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.count(f"millrace {name}") >= 2, "only the usage line shows it"


def test_an_unknown_command_is_refused() -> None:
    assert RUN.invoke(app, ["frobnicate"]).exit_code == 2


def test_an_operator_error_is_one_message_without_a_traceback() -> None:
    result = RUN.invoke(app, ["worker", "--roles", "feed,juggler"])
    assert result.exit_code == 1
    assert "There is no role juggler" in result.stderr
    assert all(role in result.stderr for role in ROLES)
    assert "Traceback" not in result.output


def test_bad_settings_are_one_message_without_a_traceback() -> None:
    result = RUN.invoke(app, ["status"], env={"KAFKA_PORT": "many"})
    assert result.exit_code == 1
    assert "KAFKA_PORT='many'" in result.stderr
    assert "Traceback" not in result.output


def test_topics_are_listed_as_json() -> None:
    result = RUN.invoke(app, ["topics", "--json"])
    rows = [json.loads(line) for line in result.output.splitlines()]
    assert [row["name"] for row in rows] == [topic.name for topic in TOPICS]
    assert rows[0] == {
        "name": "interactions.v1",
        "owner": "api and client apps",
        "key": "user_id",
        "kept": "90 d",
        "schema": "Interaction",
        "partitions": 8,
        "doc": "Actions of users on items, and their searches.",
    }


def test_an_unknown_topic_is_refused_with_the_known_ones() -> None:
    result = RUN.invoke(app, ["topics", "tail", "nonsense"])
    assert result.exit_code == 1
    assert "interactions" in result.stderr


def test_collecting_needs_a_token_and_a_list_that_there_is() -> None:
    servers = ("KAFKA_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "REDIS_URL", "DATABASE_URL")
    env = dict.fromkeys(servers, "redis://127.0.0.1:1")
    without, unknown = RUN.invoke(app, ["collect"], env=env), RUN.invoke(app, ["collect", "secrets"], env=env)
    assert (without.exit_code, unknown.exit_code) == (1, 1)
    assert "Set FLIC_TOKEN" in without.stderr
    assert "There is no list secrets" in unknown.stderr
