"""What a child process or a download is at, told to whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["downloading", "preparing", "starting", "ready", "given", "died", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to one server or role. May come from any thread."""

    name: str
    state: State
    detail: str = ""


OnStep = Callable[[Step], None]
