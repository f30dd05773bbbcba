"""`millrace bench`: benchmarks on this machine."""

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
from infra.error import OperatorError
from infra.local import Step
from infra.settings import read_settings


def bench(
    case: Annotated[str, typer.Argument(help=f"Run only one benchmark: {', '.join(suite.CASES)}.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as one line of JSON.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Use small loads, to check that the benchmarks work.")] = False,
) -> None:
    """Measure ranking, index, throughput, freshness, prefetch, reads, memory and restart, on separate servers.

    All benchmarks together take some minutes; their results are also written to bench/results.json. Run them on an
    otherwise idle machine. The benchmark growth takes an hour, and runs only by its name.

    Examples:

    millrace bench

    millrace bench throughput

    millrace bench read --json | jq .read.feed.rps
    """
    if case and case not in suite.CASES:
        raise OperatorError(f"There is no benchmark {case}.", f"The benchmarks are {', '.join(suite.CASES)}.")
    plan = suite.QUICK if quick else suite.FULL
    cases = [case] if case else [name for name in suite.CASES if name not in suite.LONG_CASES]
    with _Screen() as screen:
        results = run(suite.run(cases, plan, read_settings(), on_step=screen.step, on_progress=screen.progress))
    if not case and not quick:
        suite.RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    if as_json:
        print(msgspec.json.encode(results).decode())
        return
    table = Table("measured", "reached", "beside")
    for line in figure.figures(results):
        table.add_row(line.name, line.value, line.note)
    console = Console(highlight=False)
    console.print(table)
    for name in cases:
        if description := plan.describe(name):
            console.print(description)


_STATES = {"ready": "is ready", "died": "died:"}


class _Screen:
    """Displays running work as progress bars, and started and dead processes as lines."""

    def __init__(self) -> None:
        self._bars = bars()
        self._task: TaskID | None = None
        self._name = ""

    def step(self, step: Step) -> None:
        """Display a step of a server or role."""
        if step.state in _STATES:
            self._bars.console.print(
                escape(f"{step.name} {_STATES[step.state]} {step.detail}".rstrip()), soft_wrap=True
            )

    def progress(self, what: str, amount: float, total: float) -> None:
        """Update the progress bar; a new name starts a new bar.

        Args:
            what: The name of the work.
            amount: The completed amount.
            total: The total amount; 0 if it is unknown.
        """
        if what != self._name:
            self._finish()
            self._name, self._task = what, self._bars.add_task(what, total=total or None)
        elif self._task is not None:
            self._bars.update(self._task, completed=amount, total=total or None)

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
