"""Which Kafka cluster this is: offsets that were kept beside it mean nothing at another."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.error import OperatorError

_CALL_S = 30.0


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
