"""Kafka and the schema registry: clients, topics, offsets."""
