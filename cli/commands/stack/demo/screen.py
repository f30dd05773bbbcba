"""The demo's terminal output, on stderr: stdout is reserved for the proof."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.commands.stack.demo.click import Feed, item_ids
from cli.commands.stack.demo.proof import Proof
from cli.progress import Progress as StackProgress
from infra.local import OnStep, Step
from loaders import BadLine

_ROWS = 12
_BAD_LINES = 5
"""Number of unreadable lines that are shown one by one."""
_LOG_WIDTH = 140


class Screen:
    """Prints steps with progress and duration, feeds, and a summary."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or _console()
        self.seconds: dict[str, float] = {}
        self._playing = False

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text)

    @contextmanager
    def show_stack_steps(self) -> Iterator[OnStep]:
        """Show the steps of the stack; yield the function that receives them."""
        with StackProgress(self._console) as progress:

            def on_step(step: Step) -> None:
                if not self._playing:
                    progress(step)
                elif step.state == "died":  # two live displays would interfere: only failures are printed
                    self._console.print(f"[red]✗[/] {step.name} died {escape(step.detail)}", highlight=False)

            yield on_step

    def show_bad_lines(self, bad_lines: Sequence[BadLine]) -> None:
        """Print the lines of the data set that could not be read."""
        for bad in bad_lines[:_BAD_LINES]:
            self._console.print(f"[yellow]skipped[/] {escape(str(bad))}", highlight=False)
        if len(bad_lines) > _BAD_LINES:
            self._console.print(f"[yellow]skipped[/] {len(bad_lines) - _BAD_LINES:,} more lines", highlight=False)

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Show a step's progress and record its duration; yield a function that advances it by a count."""
        started_s = time.perf_counter()
        self._playing = True
        with Progress(
            TextColumn("{task.description:<44}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        ) as progress:
            task = progress.add_task(name, total=total)
            yield lambda count: progress.advance(task, count)
        self._playing = False
        took_s = time.perf_counter() - started_s
        self.seconds[name] = round(took_s, 2)
        count = "" if total is None else f"{total:>8,}"
        self._console.print(f"[green]✓[/] {name:<44}{count:>9}  [dim]{took_s:6.1f} s[/]", highlight=False)

    def feed(self, title: str, feed: Feed, before: Feed | None = None) -> None:
        """Print the top of a feed.

        Args:
            title: The title of the table.
            feed: The feed.
            before: The previous feed; with it, the table shows how far each item moved.
        """
        ranks = {item_id: rank for rank, item_id in enumerate(item_ids(before), start=1)} if before else {}
        table = Table(title=title, title_justify="left", title_style="bold", expand=False)
        table.add_column("#", justify="right", style="dim", min_width=2)
        if before:
            table.add_column("moved", justify="right", min_width=5)
        table.add_column("item", no_wrap=True, max_width=40)
        table.add_column("category", style="dim", no_wrap=True, max_width=22)
        table.add_column("score", justify="right", min_width=5)
        table.add_column("reason", no_wrap=True, max_width=44)
        for rank, entry in enumerate(feed["items"][:_ROWS], start=1):
            item = entry["item"] or {"title": entry["item_id"], "category": "?"}
            move_cells = [_format_move(ranks.get(entry["item_id"]), rank)] if before else []
            where = f" · {item['city']}" if item.get("city") else ""
            table.add_row(
                str(rank),
                *move_cells,
                escape(item["title"]),
                escape(f"{item['category']}{where}"),
                f"{entry['score']:.3f}",
                escape(entry["reason"]),
            )
        self._console.print(table)

    def end(self, proof: Proof) -> None:
        """Print the summary of the run."""
        equal = "=" if proof.adds_up() else "≠"
        self._console.print(
            f"{proof.published:,} published {equal} {proof.processed:,} processed + "
            f"{proof.dead_lettered:,} dead letters · {proof.users_with_feeds:,} users with feeds · "
            f"[bold]click to changed feed: {proof.click_to_feed_ms:.0f} ms[/]",
            highlight=False,
        )
        if proof.prefetched:
            counts = ", ".join(f"{count} {category}" for category, count in proof.prefetched.items())
            self._console.print(f"prefetched: {counts}", highlight=False)
        if proof.push:
            self._console.print(f"push “{escape(proof.pushed)}” {escape(proof.push)}", highlight=False)
        if proof.fakes:
            names = " and ".join(proof.fakes)
            self._console.print(
                f"[yellow]simulated:[/] {names}, since no key is set; their suggestions are generated, and no push"
                " leaves this machine",
                highlight=False,
            )
        if proof.error:
            self._console.print(f"[red]✗ {escape(proof.error)}[/]")


def _console() -> Console:
    console = Console(stderr=True)
    # In a log, which is not a terminal, lines may be as wide as the tables need.
    return console if console.is_terminal else Console(stderr=True, width=_LOG_WIDTH)


def _format_move(before: int | None, rank: int) -> str:
    if before is None:
        return "[green]new[/]"
    if before == rank:
        return ""
    return f"[green]▲ {before - rank}[/]" if before > rank else f"[dim]▼ {rank - before}[/]"
