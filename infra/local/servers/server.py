"""Interface of the stack's servers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from infra.local.process import Command


class LocalServer(ABC):
    """One server of the stack: its preparation, command and health check."""

    name: ClassVar[str]
    port_setting: ClassVar[str]
    url_setting: ClassVar[str]

    port: int

    @property
    @abstractmethod
    def url(self) -> str:
        """Return the address for clients."""

    @abstractmethod
    async def prepare(self) -> None:
        """Download the program and create its folder if needed; called before every start."""

    @abstractmethod
    def command(self) -> Command:
        """Return the command that runs the server."""

    @abstractmethod
    async def check(self) -> None:
        """Raise if the server does not serve."""

    def on_stop(self) -> None:  # noqa: B027 - most servers have nothing to do
        """Handle an orderly end."""
