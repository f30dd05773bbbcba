"""`millrace erase`: erasing a user from all stores, with a signed receipt."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uuid_utils
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from cli.bar import bars
from cli.kafka import open_kafka
from cli.run import run
from domain.timestamp import utc_time
from infra import clock
from infra.address import resolve_addresses
from infra.erasure.erasure_index import ErasureKey, required_erasure_key
from infra.erasure.erasure_log import request_erasure
from infra.erasure.erasure_store import RedisErasureStore, StoredErasure
from infra.erasure.erasure_tracker import ErasureProgress, KafkaErasureTracker
from infra.erasure.occurrences.erasure_check import ErasureCheck, check_erasure
from infra.erasure.receipt import Receipt, is_authentic
from infra.error import OperatorError
from infra.kafka.publisher import PublishError
from infra.redis.connection import StoreError, connect
from infra.settings import Settings, read_settings
from schemas.limit import RESERVED, id_problem
from schemas.types import ErasureRequest

_POLL_S = 0.5


def erase(
    user: Annotated[str | None, typer.Argument(help="The user to erase.")] = None,
    receipt: Annotated[Path | None, typer.Option(help="File for the receipt; standard output by default.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Search everything for the id, and erase nobody.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result of the check as one line of JSON.")] = False,
    verify: Annotated[Path | None, typer.Option(help="Verify the receipt in a file, and erase nobody.")] = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Longest wait for the roles, in seconds.")] = 60.0,
) -> None:
    """Erase everything that is known of a user, and write a signed receipt.

    The erasure is in force at once: no older event of the user is taken into account any more. The roles then erase
    what they hold. The receipt lists each store with what was erased, and each topic with the time by which its log
    holds nothing of the user. It cannot be undone.

    Ends with exit code 1 if a role has not erased its part in time, or if a receipt is not authentic. A role that is
    down erases its part when it comes back; the same command then asks for a receipt again.

    --check reads all topics, keys, tables, and the files of MILLRACE_HOME. It ends with exit code 1 if the id is left
    anywhere, and says until when. `millrace purge` removes what deleted data has left in logs and files.

    Examples:

    millrace erase alex --receipt alex.json

    millrace erase alex --check

    millrace erase --verify alex.json
    """
    settings, console = read_settings(), Console(highlight=False, stderr=True)
    key = required_erasure_key(settings)
    if (user is None) == (verify is None):
        raise OperatorError("Name either a user or a receipt.", "millrace erase USER, or millrace erase --verify FILE")
    if verify is not None:
        _verify(verify, key, console)
        return
    assert user is not None
    if (problem := id_problem(user)) or user.startswith(RESERVED):
        raise OperatorError(f"{user!r} is no user id.", problem or f"Ids that begin with {RESERVED} name no one user.")
    if check:
        settings = resolve_addresses(settings)
        with bars(transient=True) as bar:
            result = run(_check(settings, key, user, bar))
        if as_json:
            print(msgspec.json.encode(result).decode())
        else:
            _show(result, Console(highlight=False))
        if not result.is_clean:
            raise typer.Exit(1)
        return
    progress = run(_erase(resolve_addresses(settings), key, user, timeout_s))
    if progress.receipt is None:
        console.print(
            f"[red]Not complete after {timeout_s:g} s.[/] To erase their part: {', '.join(progress.pending_roles)}."
        )
        raise typer.Exit(1)
    document = msgspec.json.format(msgspec.json.encode(progress.receipt), indent=2)
    if receipt is None:
        typer.echo(document.decode())
    else:
        receipt.write_bytes(document + b"\n")
    latest = max((topic.gone_by for topic in progress.receipt.topics if topic.gone_by is not None), default=None)
    console.print("[green]Erased[/] from all stores." + ("" if latest is None else f" Logs: by {_utc_text(latest)}."))
    for topic in progress.receipt.topics:
        if topic.gone_by is None:
            console.print(f"[yellow]{topic.name}: its settings bound no time[/]; see docs/privacy.md.")


def _verify(path: Path, key: ErasureKey, console: Console) -> None:
    try:
        receipt = msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, msgspec.MsgspecError) as error:
        raise OperatorError(
            f"{path} holds no receipt: {error}", "Name the file of `millrace erase --receipt`."
        ) from error
    if receipt.key_id != key.key_id:
        raise OperatorError("The receipt was signed with another key.", "Set ERASURE_KEY to the key of that time.")
    if not is_authentic(receipt, key):
        console.print("[red]Not authentic:[/] the receipt differs from the one that was signed.")
        raise typer.Exit(1)
    console.print(f"[green]Authentic:[/] the user {receipt.user_hash} was erased at {_utc_text(receipt.completed_at)}.")


async def _check(settings: Settings, key: ErasureKey, user_id: str, bar: Progress) -> ErasureCheck:
    tasks: dict[str, TaskID] = {}

    def on_progress(store: str, count: int, total: int) -> None:
        if store not in tasks:
            tasks[store] = bar.add_task(store)
        bar.update(tasks[store], completed=count, total=total or None)

    try:
        return await check_erasure(settings, key, user_id, on_progress=on_progress)
    except StoreError as error:
        raise OperatorError(
            f"Not everything could be searched: {error}", "Start the servers, then try again."
        ) from error


def _show(result: ErasureCheck, console: Console) -> None:
    table = Table("store", "place", "count", "until")
    for occurrence in result.occurrences:
        until = "until it is purged" if occurrence.gone_by is None else f"{_utc_text(occurrence.gone_by)}, or a purge"
        table.add_row(occurrence.store, occurrence.name, f"{occurrence.count:,}", until)
    if result.occurrences:
        console.print(table)
    for name in result.unread:
        console.print(f"[yellow]not readable: {name}[/]")
    if not result.has_server_files:
        console.print(f"The servers' files are not in {result.folder}: only the protocols were searched for them.")
    if result.erased_at is None:
        console.print("[yellow]There is no complete erasure of this user in the last 30 days.[/]")
    if result.is_clean:
        console.print("[green]Nothing[/] holds the id.")
    else:
        console.print("[red]The id is left.[/] `millrace purge` removes it from logs and files: docs/privacy.md.")


async def _erase(settings: Settings, key: ErasureKey, user_id: str, timeout_s: float) -> ErasureProgress:
    """Request the erasure unless one is pending, and wait for the roles; return the last progress."""
    redis = connect(settings.redis_url)
    store = RedisErasureStore(redis)
    tracker = KafkaErasureTracker(settings.kafka_bootstrap_servers, store, key)
    try:
        progress = await tracker.progress(user_id)
        if progress is None or progress.receipt is not None:
            await _request(settings, key, user_id, store)
        until_s = asyncio.get_running_loop().time() + timeout_s
        while (progress := await tracker.progress(user_id)) is None or progress.pending_roles:
            if progress is not None and asyncio.get_running_loop().time() > until_s:
                break
            await asyncio.sleep(_POLL_S)
    except (StoreError, PublishError) as error:
        raise OperatorError(f"The erasure is not complete: {error}", "Start the servers, then try again.") from error
    finally:
        await redis.aclose()
    return progress


async def _request(settings: Settings, key: ErasureKey, user_id: str, store: RedisErasureStore) -> None:
    request = ErasureRequest(event_id=str(uuid_utils.uuid7()), user_id=user_id, occurred_at=clock.now_ms())
    async with open_kafka(settings) as (_, publisher):
        partition, offset = await request_erasure(publisher, key, request)
    await store.write(
        StoredErasure(
            user_hash=key.hash_of(user_id.encode()),
            request_id=request.event_id,
            requested_at=request.occurred_at,
            partition=partition,
            offset=offset,
        )
    )


def _utc_text(at_ms: int) -> str:
    return f"{utc_time(at_ms):%Y-%m-%d %H:%M} UTC"
