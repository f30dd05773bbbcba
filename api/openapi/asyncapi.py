"""The AsyncAPI 3 document of the topics, derived from the topic constants and the Avro schemas of their records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.codec import avro_schema
from topics import Topic
from topics.topic import FOREVER

_AVRO = "application/vnd.apache.avro;version=1.9.0"
_OURS = ("streams", "api")


def asyncapi(topics: Iterable[Topic], *, version: str, brokers: str) -> dict[str, Any]:
    """Return the AsyncAPI document.

    Args:
        topics: The topics to describe.
        version: The version of Millrace.
        brokers: The Kafka bootstrap servers, separated by commas.
    """
    topic_list = list(topics)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Millrace's topics",
            "version": version,
            "description": (
                "Values are Avro in Confluent framing: a zero byte, the four bytes of the schema's id, the body. "
                "Keys are text, partitioned by murmur2. Subjects are `TOPIC-value` and BACKWARD_TRANSITIVE."
            ),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/vnd.apache.avro",
        "servers": {"kafka": {"host": brokers.partition(",")[0] or "localhost:9092", "protocol": "kafka"}},
        "channels": {topic.short_name: _channel(topic) for topic in topic_list},
        "operations": {name: operation for topic in topic_list for name, operation in _operations(topic)},
        "components": {"messages": {topic.record.__name__: _message(topic) for topic in topic_list}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    name = topic.record.__name__
    return {
        "address": topic.name,
        "description": topic.doc,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": topic.cleanup_policy.split(","),
                    "max.message.bytes": topic.max_message_bytes,
                    **({} if topic.retention_ms == FOREVER else {"retention.ms": topic.retention_ms}),
                },
            }
        },
    }


def _operations(topic: Topic) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield the operations of a topic: Millrace sends to all topics and receives from those that applications write."""
    channel = {"channel": {"$ref": f"#/channels/{topic.short_name}"}}
    yield f"send_{topic.short_name}", {"action": "send", "summary": f"Written by {topic.owner}.", **channel}
    if any(not writer.startswith(_OURS) for writer in topic.owner.split(" and ")):
        yield f"receive_{topic.short_name}", {"action": "receive", "summary": "Applications may write it.", **channel}


def _message(topic: Topic) -> dict[str, Any]:
    schema = avro_schema(topic.record)
    return {
        "name": topic.record.__name__,
        "summary": schema["doc"],
        "contentType": "application/vnd.apache.avro",
        "payload": {"schemaFormat": _AVRO, "schema": schema},
        "bindings": {"kafka": {"key": {"type": "string", "description": f"The record's {topic.key}."}}},
    }
