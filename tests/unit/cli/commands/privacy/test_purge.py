"""The part of a purge that runs on the machine of a stopped broker."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from cli.main import app
from infra.kafka.segments.log_rewrite import PartitionRewrite, RewritePlan
from tests.unit.infra.kafka.segments.segment import TOPIC_ID, a_batch, write_partition


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    write_partition(tmp_path / "logs" / "feeds.v1-0", {0: a_batch([b"alex", b"kim"])})
    return tmp_path / "logs"


def write_plan(file: Path, topic_id: str) -> None:
    rewrite = PartitionRewrite(topic="feeds.v1", topic_id=topic_id, partition=0, offsets=[(0, 1)])
    file.write_bytes(msgspec.json.encode(RewritePlan(partitions=[rewrite])))


def test_a_plan_is_carried_out(logs: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    write_plan(plan, TOPIC_ID)
    result = CliRunner().invoke(app, ["purge", "--rewrite", str(logs), "--plan", str(plan)])
    assert (result.exit_code, "Segments rewritten: 1;" in result.stderr) == (0, True)
    data = (logs / "feeds.v1-0" / f"{0:020}.log").read_bytes()
    assert (b"alex" in data, b"kim" in data) == (False, True)


def test_a_topic_that_was_created_anew_is_named(logs: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    write_plan(plan, "another")
    result = CliRunner().invoke(app, ["purge", "--rewrite", str(logs), "--plan", str(plan)])
    assert (result.exit_code, "feeds.v1-0 was created anew" in result.stderr) == (0, True)


def test_a_folder_needs_a_plan(logs: Path) -> None:
    result = CliRunner().invoke(app, ["purge", "--rewrite", str(logs)])
    assert (result.exit_code, "Name the plan" in result.stderr) == (1, True)
