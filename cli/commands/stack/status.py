"""`millrace status`: the state of servers, roles and consumer groups."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.age import age
from cli.run import run
from infra.address import resolve_addresses
from infra.health.pipeline_health import log_of
from infra.health.status import Status, read
from infra.kafka.admin.provision import consumer_group
from infra.redis.event_rates import EventRate
from infra.settings import Settings, read_settings


def status(as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False) -> None:
    """Show problems, and the state of servers, roles, consumer lag, event rates and the newest feed.

    Ends with exit code 0 if all is well, 1 if a server does not answer, and 2 for any other problem: an expected role
    is late, missing or in a crash loop, Redis rejects writes, or Kafka deleted records that a group had not read.

    Examples:

    millrace status

    millrace status --json | jq .lag
    """
    settings = resolve_addresses(read_settings())
    report = run(read(settings))
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show(report, settings, Console(highlight=False))
    if report.problems:
        raise typer.Exit(2 if report.up else 1)


def _show(report: Status, settings: Settings, console: Console) -> None:
    for problem in report.problems:
        console.print(f"[red]{escape(problem)}[/]{escape(_details(report, settings, problem))}", soft_wrap=True)
    if not report.problems:
        console.print("[green]No problems.[/]")
    table = Table("server", "address", "state")
    for name, server in report.servers.items():
        table.add_row(
            name, server.address, "[green]up[/]" if server.up else f"[red]does not answer[/] {server.problem}"
        )
    console.print(table)
    if report.pipeline is not None:
        table = Table("role", "state", "processes", "last seen", "crashes")
        for name, role in report.pipeline.roles.items():
            last_seen = "never" if role.last_seen_at is None else _clock(role.last_seen_at)
            state = f"[{'green' if role.state == 'up' else 'red'}]{role.state.replace('_', ' ')}[/]"
            table.add_row(name, state, str(role.processes), last_seen, str(role.crashes))
        console.print(table if report.pipeline.roles else "No role is known.")
        for group, topic_counts in report.pipeline.deleted_unread.items():
            for topic, count in topic_counts.items():
                console.print(
                    f"Within the last week {count:,} records of {topic} were deleted before {group} had read them."
                )
    table = Table("role", "process", "since")
    for heartbeat in report.roles:
        table.add_row(str(heartbeat["role"]), str(heartbeat["pid"]), _clock(heartbeat["started_at"]))
    console.print(table if report.roles else "No role sends heartbeats.")
    table = Table("consumer group", "topic", "lag")
    for group, behind in report.lag.items():
        for topic, records in sorted(behind.items()):
            table.add_row(group, topic, f"{records:,}")
    console.print(table if report.lag else "No consumer group has committed yet.")
    _show_rates("user", report.event_rates.users, console)
    _show_rates("item", report.event_rates.items, console)
    if report.newest_feed_age_s is None:
        console.print("No feed has been written yet.")
    else:
        console.print(f"The newest feed is {age(report.newest_feed_age_s)} old.")


def _show_rates(kind: str, rates: Sequence[EventRate], console: Console) -> None:
    table = Table(kind, "events per minute")
    for rate in rates:
        table.add_row(escape(rate.id), f"{rate.events_per_minute:,.1f}")
    if rates:
        console.print(table)


def _details(report: Status, settings: Settings, problem: str) -> str:
    """Return the lag of the role that a problem names first, and the path of its log."""
    role = problem.partition(" ")[0]
    if report.pipeline is None or role not in report.pipeline.roles:
        return ""
    waiting = sum(report.lag.get(consumer_group(role), {}).values())
    log = log_of(role, settings.millrace_home)
    details = [f"{waiting:,} records are waiting"] * bool(waiting) + [f"see {log}"] * (log is not None)
    return "".join(f"; {detail}" for detail in details)


def _clock(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
