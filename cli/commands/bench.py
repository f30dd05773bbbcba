"""`millrace bench`: what this machine reaches."""

from __future__ import annotations

from types import TracebackType
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import TaskID
from rich.table import Table

from bench import figure, suite
from cli.bar import bars
from cli.run import run
from infra import settings
from infra.error import OperatorError
from infra.local import Step


def bench(
    part: Annotated[str, typer.Argument(help=f"One part alone: {', '.join(suite.PARTS)}.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as one line of JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Small loads: to see that it works, not how fast.")] = False,
) -> None:
    """Measure ranking, the index, throughput, freshness, prefetch, reads, memory and restart, on servers of its own.

    All parts together take some minutes; their figures are also written to bench/results.json. Run it while nothing
    else keeps the machine busy.

    Examples:

    millrace bench

    millrace bench throughput

    millrace bench read --json | jq .read.feed.rps
    """
    if part and part not in suite.PARTS:
        raise OperatorError(f"There is no part {part}.", f"The parts are {', '.join(suite.PARTS)}.")
    plan = suite.QUICK if quick else suite.FULL
    parts = [part] if part else list(suite.PARTS)
    with _Screen() as screen:
        found = run(suite.run(parts, plan, settings.read(), on_step=screen.step, on_progress=screen.progress))
    if not part and not quick:
        suite.RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    table = Table("measured", "reached", "beside")
    for line in figure.figures(found):
        table.add_row(line.name, line.value, line.beside)
    console = Console(highlight=False)
    console.print(table)
    for name in parts:
        if told := plan.describe(name):
            console.print(told)


_TOLD = {"ready": "is ready", "died": "died:"}


class _Screen:
    """Shows what is under way as bars, and what starts and dies as lines."""

    def __init__(self) -> None:
        self._bars = bars()
        self._task: TaskID | None = None
        self._what = ""

    def step(self, step: Step) -> None:
        """Show a server's or a role's step."""
        if step.state in _TOLD:
            self._bars.console.print(escape(f"{step.name} {_TOLD[step.state]} {step.detail}".rstrip()), soft_wrap=True)

    def progress(self, what: str, done: float, total: float) -> None:
        """Show how far something is; another name begins another bar."""
        if what != self._what:
            self._finish()
            self._what, self._task = what, self._bars.add_task(what, total=total or None)
        elif self._task is not None:
            self._bars.update(self._task, completed=done, total=total or None)

    def _finish(self) -> None:
        if self._task is not None:
            self._bars.update(self._task, total=1, completed=1)

    def __enter__(self) -> _Screen:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish()
        self._bars.stop()
