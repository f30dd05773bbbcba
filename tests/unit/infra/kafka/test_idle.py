"""What counts as work left to do."""

from __future__ import annotations

from infra.kafka.idle import CONSUMED
from streams.agents import catalog, combine, profile, rank, rerank, retrieve, signal, user


def test_all_topics_that_the_agents_of_the_feed_role_read_are_waited_for() -> None:
    agents = (catalog, combine, profile, rank, rerank, retrieve, signal, user)
    assert set(CONSUMED) == {topic for agent in agents for topic in agent.SOURCES}
