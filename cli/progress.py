"""Progress of the stack's start and stop: one line per completed step, and a status line on terminals."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape

from infra.local import Step

_MARKS = {"ready": "[green]✓[/]", "given": "[green]✓[/]", "died": "[red]✗[/]", "stopped": "[dim]·[/]"}
_DONE = {"ready": "ready", "given": "used at", "died": "", "stopped": "stopped"}
_UNDER_WAY = {"downloading": "downloading", "preparing": "preparing", "starting": "starting", "stopping": "stopping"}


class Progress:
    """A context manager that displays the steps with which it is called, from any thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_s = time.monotonic()
        self._under_way: dict[str, str] = {}
        self._announced_downloads: set[str] = set()
        self._status = console.status("") if console.is_terminal else None

    def __call__(self, step: Step) -> None:
        """Display a step."""
        if step.state in _UNDER_WAY:
            self._under_way[step.name] = f"{step.name} {_UNDER_WAY[step.state]} {step.detail}".rstrip()
            if self._status is None and step.state == "downloading" and step.name not in self._announced_downloads:
                self._announced_downloads.add(step.name)
                self._line(step.name, f"downloading {step.detail}", " ")
        else:
            self._under_way.pop(step.name, None)
            self._line(step.name, f"{_DONE[step.state]} {step.detail}".strip(), _MARKS[step.state])
        self._refresh()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def _line(self, name: str, text: str, mark: str) -> None:
        passed_s = time.monotonic() - self._began_s
        what = escape(f"{name}: {text}")
        self._console.print(f"[dim]{passed_s:6.1f}s[/] {mark} {what}", soft_wrap=True)

    def _refresh(self) -> None:
        if self._status is None:
            return
        if self._under_way:
            self._status.update(escape(" · ".join(self._under_way.values())))
            self._status.start()
        else:
            self._status.stop()
