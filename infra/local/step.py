"""Progress reports of child processes and downloads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StepState = Literal["downloading", "preparing", "starting", "ready", "given", "died", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Step:
    """One state change of a server or role. May come from any thread."""

    name: str
    state: StepState
    detail: str = ""


OnStep = Callable[[Step], None]
