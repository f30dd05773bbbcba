import msgspec
import pytest

from schemas.codec import avro_schema
from tests.sample import a_sample
from topics import TOPICS, Topic
from topics.topic import FEEDS, FOREVER, INTERACTIONS, LOCATIONS, PARTITIONS, PROFILES, by_name


def test_names_are_versioned_plural_and_unique() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(set(names)) == len(names)
    for topic in TOPICS:
        noun, _, version = topic.name.rpartition(".v")
        assert noun
        assert version.isdecimal()
        assert noun.replace("-", "").islower()
        assert topic.doc.endswith(".")


def test_a_record_travels_in_one_topic_only() -> None:
    records = [topic.record for topic in TOPICS]
    assert len(set(records)) == len(records)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_key_is_a_required_string_of_the_record(topic: Topic) -> None:
    field = next(field for field in avro_schema(topic.record)["fields"] if field["name"] == topic.key)
    assert (field["type"], "default" in field) == ("string", False)
    sample = a_sample(topic.record)
    assert topic.key_of(sample) == getattr(sample, topic.key).encode()


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_compacted_topic_is_keyed_by_what_replaces_it(topic: Topic) -> None:
    if topic.is_compacted:
        assert topic.key in {"user_id", "user_hash", "item_id", "model", "experiment_id"}
    else:
        assert topic.retention_ms > 0


def test_all_keyed_topics_share_one_partition_count() -> None:
    assert {topic.partitions for topic in TOPICS} == {PARTITIONS}


def test_nothing_outlives_its_retention_by_more_than_a_quarter() -> None:
    assert LOCATIONS.retention_ms + LOCATIONS.segment_ms <= 30 * 3_600_000, "places are kept for a day"
    for topic in TOPICS:
        if topic.retention_ms != FOREVER:
            assert topic.segment_ms <= topic.retention_ms / 4, topic.name


def test_the_cleanup_policy_follows_retention_and_compaction() -> None:
    assert INTERACTIONS.cleanup_policy == "delete"
    assert (PROFILES.retention_ms, PROFILES.cleanup_policy) == (FOREVER, "compact")
    assert FEEDS.cleanup_policy == "compact,delete"


def test_a_topic_is_found_by_its_full_or_short_name() -> None:
    assert by_name("item-signals.v2") is by_name("item-signals")
    assert by_name("interactions") is INTERACTIONS
    assert INTERACTIONS.subject == "interactions.v1-value"
    with pytest.raises(KeyError):
        by_name("nothing")


def test_records_are_frozen() -> None:
    for topic in TOPICS:
        sample = a_sample(topic.record)
        with pytest.raises(AttributeError):
            setattr(sample, topic.key, "other")
        assert isinstance(msgspec.structs.replace(sample, **{topic.key: "other"}), topic.record)
