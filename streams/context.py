"""What every agent of a worker shares, built where the worker is composed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from infra.publisher import Publisher
from infra.registry import Registry
from infra.settings import Settings
from models.blender import Blender
from streams.broadcast import Broadcast
from streams.checkpoint import Checkpoint
from streams.core.view import View
from streams.decode import Decoder
from streams.quarantine import Quarantine
from streams.transport import App
from topics import Topic


@dataclass(frozen=True, slots=True)
class Context:
    """The clients and the state that agents share."""

    app: App
    settings: Settings
    registry: Registry
    publisher: Publisher
    quarantine: Quarantine
    view: View
    blender: Blender
    broadcast: Broadcast
    now_ms: Callable[[], int]
    backlog: set[tuple[str, int]] = field(default_factory=set)
    """Source partitions of which whole batches wait in the broker."""

    def decoder(self, topic: Topic, agent: str) -> Decoder:
        """Return a decoder of a topic for an agent."""
        return Decoder(topic, self.registry, self.quarantine, stage=agent)

    def checkpoint(self, **hooks: Callable[..., None]) -> Checkpoint:
        """Return a checkpoint for an agent, with its `emit` and `write`."""
        return Checkpoint(self.app, self.publisher, interval_s=self.settings.commit_interval_s, **hooks)
