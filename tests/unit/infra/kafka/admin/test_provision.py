from infra.kafka.admin.provision import broker_topics
from infra.postgres.pool import migrations
from topics import TOPICS
from topics.topic import PARTITIONS


def test_every_topic_and_changelog_is_stamped_by_the_broker() -> None:
    assert {topic.config["message.timestamp.type"] for topic in broker_topics()} == {"LogAppendTime"}


def test_topics_are_made_as_declared() -> None:
    topics = {topic.name: topic for topic in broker_topics()}
    for topic in TOPICS:
        assert topics[topic.name].partitions == topic.partitions
        assert topics[topic.name].config["cleanup.policy"] == topic.cleanup_policy
        assert topics[topic.name].config["retention.ms"] == str(topic.retention_ms)
        assert topics[topic.name].config["segment.ms"] == str(topic.segment_ms)


def test_changelogs_have_the_partitions_of_their_sources() -> None:
    changelogs = [topic for topic in broker_topics() if topic.name.endswith("-changelog")]
    assert {topic.name for topic in changelogs} == {
        f"millrace-{table}-changelog" for table in ("users", "items", "profiles", "push-pushes", "push-tokens")
    }
    assert {topic.partitions for topic in changelogs} == {PARTITIONS}
    assert {topic.config["cleanup.policy"] for topic in changelogs} == {"compact"}


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(name[:4]) for name in migrations()] == list(range(1, len(migrations()) + 1))
