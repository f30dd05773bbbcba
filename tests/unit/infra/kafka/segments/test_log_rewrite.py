"""The logs of a stopped broker without some records: its other files are as they were, and a running one is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from infra.error import OperatorError
from infra.kafka.segments.log_rewrite import PartitionRewrite, RewritePlan, read_plan, rewrite_logs
from tests.unit.infra.kafka.segments.segment import TOPIC_ID, a_batch, records_of, write_partition

FIRST, SECOND = a_batch([b"alex", b"kim"]), a_batch([b"jo", b"alex"], base_offset=2)
THIRD = a_batch([b"kim", b"kim"], base_offset=4)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    write_partition(tmp_path / "interactions.v1-3", {0: FIRST + SECOND, 4: THIRD})
    return tmp_path


def a_plan(*offsets: tuple[int, int], topic_id: str = TOPIC_ID, partition: int = 3) -> RewritePlan:
    rewrite = PartitionRewrite(topic="interactions.v1", topic_id=topic_id, partition=partition, offsets=list(offsets))
    return RewritePlan(partitions=[rewrite])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_only_the_segment_with_the_records_changes_and_its_indexes_go(logs: Path) -> None:
    before = files(logs)
    report = rewrite_logs(logs, a_plan((0, 1), (3, 4)))
    assert report.segments == 1
    after = files(logs)
    assert before.keys() - after.keys() == {f"{0:020}.index", f"{0:020}.timeindex"}
    segment = after.pop(f"{0:020}.log")
    assert all(before[name] == data for name, data in after.items())
    assert b"alex" not in segment
    end = len(segment) - len(a_batch([b"jo"], base_offset=2))
    assert [record.offset for part in (segment[:end], segment[end:]) for record in records_of(part)] == [1, 2]


def test_a_repetition_changes_nothing(logs: Path) -> None:
    plan = a_plan((0, 1), (3, 4))
    rewrite_logs(logs, plan)
    before = files(logs)
    assert rewrite_logs(logs, plan).segments == 0
    assert files(logs) == before


def test_a_topic_that_was_created_anew_is_left_alone(logs: Path) -> None:
    before = files(logs)
    report = rewrite_logs(logs, a_plan((0, 1), topic_id="another"))
    assert (report.segments, report.foreign_partitions) == (0, ["interactions.v1-3"])
    assert files(logs) == before


def test_clients_spell_the_id_of_a_topic_in_another_way(logs: Path) -> None:
    assert rewrite_logs(logs, a_plan((0, 1), topic_id="D+yuCI5cSliSXSpD/X2EAA")).segments == 1


def test_partitions_of_other_brokers_are_left_out(logs: Path) -> None:
    report = rewrite_logs(logs, a_plan((0, 1), partition=4))
    assert (report.segments, report.foreign_partitions) == (0, [])


def test_a_damaged_segment_stays_as_it_is(logs: Path) -> None:
    segment = logs / "interactions.v1-3" / f"{0:020}.log"
    segment.write_bytes(FIRST[:-1] + b"?" + SECOND)
    before = files(logs)
    with pytest.raises(OperatorError, match="cannot be rewritten"):
        rewrite_logs(logs, a_plan((0, 1)))
    assert files(logs) == before


def test_a_batch_that_is_cut_off_at_the_end_is_kept(logs: Path) -> None:
    segment = logs / "interactions.v1-3" / f"{0:020}.log"
    segment.write_bytes(FIRST + SECOND[:-3])
    assert rewrite_logs(logs, a_plan((0, 1))).segments == 1
    assert segment.read_bytes().endswith(SECOND[:-3])


def test_the_folder_of_a_running_broker_is_refused(logs: Path) -> None:
    lock = f"lock = open({str(logs / '.lock')!r}, 'a'); fcntl.lockf(lock, fcntl.LOCK_EX)"
    holder = f"import fcntl; {lock}; print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(OperatorError, match="A broker runs"):
            rewrite_logs(logs, a_plan((0, 1)))
        process.communicate(b"\n")
    assert rewrite_logs(logs, a_plan((0, 1))).segments == 1


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no folder of a broker"):
        rewrite_logs(tmp_path, a_plan((0, 1)))


def test_a_plan_is_read_from_its_file(tmp_path: Path) -> None:
    file, plan = tmp_path / "plan.json", a_plan((0, 1), (3, 7))
    file.write_bytes(msgspec.json.encode(plan))
    assert (read_plan(file), plan.record_count) == (plan, 5)
    file.write_text("{}")
    with pytest.raises(OperatorError, match="holds no plan"):
        read_plan(file)
