"""Context of the agents of the feed role: their shared clients and state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from models.blend.blender import Blender
from streams.core.ranking.catalog_snapshot import CatalogSnapshot
from streams.runtime.faust_role import RoleContext
from streams.runtime.global_tables import GlobalTables


@dataclass(frozen=True, slots=True)
class AgentContext(RoleContext):
    """The clients of the role, and the state that its agents share."""

    catalog: CatalogSnapshot
    blender: Blender
    global_tables: GlobalTables
    now_ms: Callable[[], int]
    backlog: set[tuple[str, int]] = field(default_factory=set)
    """Source partitions with whole batches waiting in the broker, as topic and number."""
