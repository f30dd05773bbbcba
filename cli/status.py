"""`millrace status`: how the whole stands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cli.age import age
from cli.run import run
from infra import settings
from infra.address import located
from infra.status import Status, read


def status(as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False) -> None:
    """Say which servers answer, which roles live, how far behind they are, and how old the newest feed is.

    Ends with exit code 1 when a server does not answer.

    Examples:

    millrace status

    millrace status --json | jq .lag
    """
    found = run(read(located(settings.read())))
    if as_json:
        print(msgspec.json.encode(found).decode())
    else:
        _show(found, Console(highlight=False))
    if not found.up:
        raise typer.Exit(1)


def _show(found: Status, console: Console) -> None:
    table = Table("server", "address", "state")
    for name, server in found.servers.items():
        table.add_row(
            name, server.address, "[green]up[/]" if server.up else f"[red]does not answer[/] {server.problem}"
        )
    console.print(table)
    table = Table("role", "process", "since")
    for role in found.roles:
        table.add_row(str(role["role"]), str(role["pid"]), _clock(role["started_at"]))
    console.print(table if found.roles else "No role shows a sign of life.")
    table = Table("consumer group", "topic", "behind by")
    for group, behind in found.lag.items():
        for topic, records in sorted(behind.items()):
            table.add_row(group, topic, f"{records:,}")
    console.print(table if found.lag else "No consumer group has committed yet.")
    if found.newest_feed_age_s is None:
        console.print("No feed has been written yet.")
    else:
        console.print(f"The newest feed is {age(found.newest_feed_age_s)} old.")


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
