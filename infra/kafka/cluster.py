"""Which Kafka cluster this is, since offsets that were kept beside it mean nothing at another, and what it takes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from infra.error import OperatorError

_CALL_S = 30.0
_LIMIT = "max.message.bytes"
_LOG = logging.getLogger(__name__)


def cluster_id(bootstrap_servers: str) -> str:
    """Return the id that the cluster was formatted with.

    Raises:
        OperatorError: no broker answered.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    try:
        return str(admin.describe_cluster(request_timeout=_CALL_S).result(_CALL_S).cluster_id)
    except (KafkaException, TimeoutError) as error:
        raise OperatorError(
            f"Kafka at {bootstrap_servers} does not answer: {error}",
            "Start it (`millrace up` runs one), or set KAFKA_BOOTSTRAP_SERVERS to one that runs.",
        ) from error


def message_limits(bootstrap_servers: str, topics: Iterable[str]) -> dict[str, int]:
    """Return how many bytes the largest message of each topic may have, as far as the broker says."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    limits = {}
    try:
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        for resource, future in admin.describe_configs(resources, request_timeout=_CALL_S).items():
            limits[resource.name] = int(future.result(_CALL_S)[_LIMIT].value)
    except (KafkaException, TimeoutError) as error:
        _LOG.warning("the broker does not say how large messages may be: %s", error)
    return limits
