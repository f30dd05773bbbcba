"""Kafka's log segments as files: rewriting them without some records, while their broker is stopped."""
