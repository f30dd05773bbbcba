"""Every consumer reads committed records only, but for the search for erased users."""

from __future__ import annotations

import re
from pathlib import Path

from infra.kafka.consumer import kafka_consumer

ROOT = Path(__file__).parents[3]
PACKAGES = ("api", "cli", "evaluation", "infra", "models", "streams", "topics")
SOURCES = {str(path.relative_to(ROOT)): path.read_text() for name in PACKAGES for path in (ROOT / name).rglob("*.py")}


def those_with(pattern: str) -> set[str]:
    return {path for path, source in SOURCES.items() if re.search(pattern, source)}


def test_consumers_of_aiokafka_are_made_in_one_place() -> None:
    assert those_with(r"AIOKafkaConsumer\(") == {"infra/kafka/consumer.py"}


async def test_the_consumer_reads_committed_records_and_commits_on_request() -> None:
    consumer = kafka_consumer("127.0.0.1:1", group_id="g", auto_offset_reset="earliest")
    assert consumer._isolation_level == "read_committed"
    assert consumer._enable_auto_commit is False
    await consumer.stop()


def test_only_erased_users_are_looked_for_in_records_that_are_not_committed() -> None:
    readers = {
        "infra/erasure/occurrences/topic_search.py",
        "infra/erasure/purge/purge_plan.py",
        "infra/kafka/readers/record_window.py",
    }
    assert those_with(r"READ_UNCOMMITTED") - {"infra/kafka/consumer.py"} == readers
    assert "isolation_level: str = READ_COMMITTED" in SOURCES["infra/kafka/readers/record_window.py"]


def test_the_transport_of_faust_reads_committed_records() -> None:
    assert "consumer._isolation_level = READ_COMMITTED" in SOURCES["streams/transport/client.py"]


def test_no_consumer_of_librdkafka_says_otherwise() -> None:
    """Its default is read_committed."""
    assert those_with(r"read_uncommitted") == {"infra/kafka/consumer.py"}


def test_ends_are_asked_for_as_committed() -> None:
    paths = those_with(r"\.list_offsets\(")
    assert paths == {"infra/kafka/admin/offsets.py"}
    assert {path for path in paths if "IsolationLevel.READ_COMMITTED" in SOURCES[path]} == paths
    assert those_with(r"\.highwater\(|get_watermark_offsets\(") == set(), "they are past what is committed"
