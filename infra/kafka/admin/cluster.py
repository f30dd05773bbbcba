"""Identity and limits of the Kafka cluster. Stored offsets are valid for the cluster that they come from only."""

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
    """Return the cluster id that was set when the cluster was formatted.

    Raises:
        OperatorError: no broker answers.
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
    """Return the maximum message size of topics in bytes; topics are missing if the broker does not report theirs."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    limits = {}
    try:
        resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
        for resource, future in admin.describe_configs(resources, request_timeout=_CALL_S).items():
            limits[resource.name] = int(future.result(_CALL_S)[_LIMIT].value)
    except (KafkaException, TimeoutError) as error:
        _LOG.warning("the message limits of the broker cannot be read: %s", error)
    return limits
