"""Kafka topics: one constant per topic; broker topics, registry subjects and docs are derived from it."""

from topics.topic import TOPICS as TOPICS
from topics.topic import Topic as Topic
