"""What the stack needs of each server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from infra.local.process import Command


class LocalServer(ABC):
    """One server of the stack: how it is prepared, run and asked."""

    name: ClassVar[str]
    port_setting: ClassVar[str]
    url_setting: ClassVar[str]

    port: int

    @property
    @abstractmethod
    def url(self) -> str:
        """Return where clients find it."""

    @abstractmethod
    async def prepare(self) -> None:
        """Download what it needs and lay out its folder, as far as that is not done; asked before every start."""

    @abstractmethod
    def command(self) -> Command:
        """Return what to run."""

    @abstractmethod
    async def check(self) -> None:
        """Return when it serves and raise when it does not."""

    def stopped(self) -> None:  # noqa: B027 - most have nothing to do
        """Take note that it ended in order."""
