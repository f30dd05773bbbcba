"""Context of the agents of the feed role: their shared clients and state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from faust.types import TP

from models.blend.blender import Blender
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.runtime.faust_role import RoleContext
from streams.runtime.state.checkpoint import FULL_SHARE
from streams.runtime.state.global_tables import GlobalTables


@dataclass(frozen=True, slots=True)
class AgentContext(RoleContext):
    """The clients of the role, and the state that its agents share."""

    catalog: CatalogSnapshot
    blender: Blender
    global_tables: GlobalTables
    now_ms: Callable[[], int]
    backlog: set[tuple[str, int]] = field(default_factory=set)
    """Source partitions with whole batches waiting in the broker, as topic and number."""

    def folds_backlog(self) -> bool:
        """Return whether a backlog waits that folding can go on with: few of its folded records wait for feeds."""
        is_full = any(self.app.processed_share(TP(*source)) >= FULL_SHARE for source in self.backlog)
        return bool(self.backlog) and not is_full
