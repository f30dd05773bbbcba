"""`millrace dead-letters`: inspecting and replaying dead letters."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from cli.run import run
from domain.timestamp import utc_time
from infra.address import resolve_addresses
from infra.erasure.erasure_log import read_erasures
from infra.error import OperatorError
from infra.kafka.publisher import open_publisher
from infra.kafka.readers import dead_letter_replay
from infra.kafka.readers.dead_letter_replay import DeadLetterFilter
from infra.kafka.registry import open_registry
from infra.settings import Settings, read_settings
from schemas.types import DeadLetter

dead_letters = typer.Typer(
    no_args_is_help=True,
    help="Inspect messages that could not be processed, and send them again after a fix.\n\n"
    "Example: millrace dead-letters list --reason unknown_schema",
)

_BYTES_SHOWN = 512
_ROW_BYTES = 16

Topic = Annotated[str | None, typer.Option(help="Only dead letters of a topic, such as interactions.")]
Reason = Annotated[str | None, typer.Option(help="Only dead letters with a reason, such as unknown_schema.")]
Stage = Annotated[str | None, typer.Option(help="Only dead letters of a stage, such as user.decode.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document per dead letter.")]


@dead_letters.command("list")
def list_(
    topic: Topic = None,
    reason: Reason = None,
    stage: Stage = None,
    limit: Annotated[int, typer.Option("-n", help="Show at most this many, the newest ones.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the open dead letters, newest last.

    Example: millrace dead-letters list --reason bad_body
    """
    settings = resolve_addresses(read_settings())
    letters = run(_open_dead_letters(settings, DeadLetterFilter(topic=topic, reason=reason, stage=stage)))
    if as_json:
        for letter in letters[-limit:]:
            print(msgspec.json.encode(letter).decode())
        return
    table = Table("id", "failed at", "stage", "reason", "detail")
    for letter in letters[-limit:]:
        table.add_row(letter.letter_id, _time(letter.failed_at), letter.stage, letter.reason, letter.detail)
    console = Console()
    console.print(table)
    counts = Counter(letter.reason for letter in letters)
    console.print(
        f"{len(letters)} open: {', '.join(f'{n} {name}' for name, n in counts.most_common())}"
        if letters
        else "There are no open dead letters."
    )


@dead_letters.command()
def show(
    letter_id: Annotated[str, typer.Argument(help="The id of the dead letter: topic-partition-offset.")],
    as_json: AsJson = False,
) -> None:
    """Show one dead letter with its original bytes.

    Example: millrace dead-letters show interactions.v1-3-1017
    """
    settings = resolve_addresses(read_settings())
    letters = run(_open_dead_letters(settings, DeadLetterFilter(ids=frozenset({letter_id}))))
    if not letters:
        raise OperatorError(
            f"There is no open dead letter {letter_id}.", "List them with `millrace dead-letters list`."
        )
    letter = letters[0]
    if as_json:
        print(msgspec.json.encode(letter).decode())
        return
    console = Console(highlight=False)
    for name in ("letter_id", "stage", "reason", "detail"):
        console.print(f"[bold]{name:10}[/bold] {getattr(letter, name)}")
    read_at = _time(letter.timestamp) if letter.timestamp else "never: it was not in a topic"
    console.print(f"[bold]{'read at':10}[/bold] {read_at}")
    console.print(f"[bold]{'failed at':10}[/bold] {_time(letter.failed_at)}")
    console.print(f"[bold]{'headers':10}[/bold] {letter.headers}")
    for name in ("key", "value"):
        console.print(f"[bold]{name:10}[/bold] {_size(getattr(letter, name))}")
        console.print(_dump(getattr(letter, name) or b""), markup=False)


@dead_letters.command()
def replay(
    letter_ids: Annotated[list[str] | None, typer.Argument(help="Ids of the dead letters to send again.")] = None,
    topic: Topic = None,
    reason: Reason = None,
    stage: Stage = None,
    everything: Annotated[bool, typer.Option("--all", help="Send all open dead letters.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the dead letters that would be sent.")] = False,
) -> None:
    """Send the original messages to their topics again and close the dead letters; a new failure creates a new one.

    Examples:

        millrace dead-letters replay interactions.v1-3-1017

        millrace dead-letters replay --reason unknown_schema --dry-run
    """
    if not (letter_ids or topic or reason or stage or everything):
        raise OperatorError(
            "No dead letters are selected.", "Give ids, select by --topic, --reason or --stage, or use --all."
        )
    only = DeadLetterFilter(frozenset(letter_ids) if letter_ids else None, topic, reason, stage)
    settings = resolve_addresses(read_settings())
    letters = run(_open_dead_letters(settings, only))
    if dry_run:
        for letter in letters:
            print(f"{letter.letter_id}  {letter.reason}")
        print(f"{len(letters)} would be sent again.")
        return
    count = run(_replay(settings, letters))
    print(f"{count} sent again.")
    if count < len(letters):
        print(f"{len(letters) - count} stay open: too large for their topic, truncated, or not from one of our topics.")


async def _open_dead_letters(settings: Settings, criteria: DeadLetterFilter) -> list[DeadLetter]:
    async with open_registry(settings.schema_registry_url) as registry:
        erasures = await read_erasures(settings, registry)
        return await asyncio.to_thread(
            dead_letter_replay.open_dead_letters,
            settings.kafka_bootstrap_servers,
            registry,
            criteria,
            erasures=erasures,
        )


async def _replay(settings: Settings, letters: list[DeadLetter]) -> int:
    async with AsyncExitStack() as clients:
        registry = await clients.enter_async_context(open_registry(settings.schema_registry_url))
        publisher = await open_publisher(settings.kafka_bootstrap_servers, registry)
        clients.push_async_callback(publisher.close)
        return await dead_letter_replay.replay(publisher, letters)


def _time(ms: int) -> str:
    return utc_time(ms).isoformat(sep=" ", timespec="milliseconds")


def _size(data: bytes | None) -> str:
    return "none" if data is None else f"{len(data)} bytes"


def _dump(data: bytes) -> str:
    """Return a hex dump of the first bytes: offset, hexadecimal, text."""
    rows = []
    for start in range(0, min(len(data), _BYTES_SHOWN), _ROW_BYTES):
        row = data[start : start + _ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        rows.append(f"  {start:04x}  {row.hex(' '):47}  {text}")
    return "\n".join([*rows, *(["  …"] if len(data) > _BYTES_SHOWN else [])])
