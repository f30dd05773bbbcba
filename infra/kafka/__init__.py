"""Kafka and the schema registry: consumers, the publisher, the partitioner, headers."""
