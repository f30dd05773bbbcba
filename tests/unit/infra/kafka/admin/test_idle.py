"""An idle pipeline is one that has read every topic that it reads."""

from __future__ import annotations

from types import ModuleType

from infra.kafka.admin.idle import INPUT_TOPICS
from streams.roles.feed import feed_role


def test_the_pipeline_is_not_idle_before_each_agent_has_read_its_topics() -> None:
    agents = [module for module in vars(feed_role).values() if isinstance(module, ModuleType)]
    sources = {topic for agent in agents for topic in getattr(agent, "SOURCES", ())}
    assert sources == set(INPUT_TOPICS)
