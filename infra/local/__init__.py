"""The local stack: Kafka, schema registry, Redis and PostgreSQL from packages, supervised."""
