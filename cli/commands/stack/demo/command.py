"""The demo command: it parses the flags, starts the stack, runs the demo, and prints the proof."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from confluent_kafka import KafkaException

from cli.address import api_url
from cli.application import application
from cli.commands.stack.demo import plan
from cli.commands.stack.demo.fakes import with_fakes
from cli.commands.stack.demo.play import open_play
from cli.commands.stack.demo.proof import DemoError, Proof
from cli.commands.stack.demo.screen import Screen
from cli.run import until_stopped
from infra import clock
from infra.address import Addresses
from infra.error import OperatorError
from infra.fakes import FIREBASE, fakes_in_use
from infra.kafka.publisher import PublishError
from infra.redis.connection import StoreError
from infra.settings import Settings, masked, read_settings
from loaders import Dataset, DatasetError
from loaders.datasets import movielens, world

SEED = 7
_ANY_AGE_DAYS = 36_500.0
"""Greatest age of the events of a replayed data set, most of which are years old."""
_INTERRUPTED = 130
_FAILURES = (DemoError, PublishError, StoreError, KafkaException, httpx.HTTPError)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """The options of a run."""

    data: Dataset
    once: bool
    as_json: bool
    keep: bool


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Exit after the click; the last line of stdout is a proof in JSON.")
    ] = False,
    movielens_folder: Annotated[
        Path | None, typer.Option("--movielens", metavar="DIR", help="Replay a MovieLens folder (100K, 1M or latest).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the proof in JSON, then continue serving.")] = False,
    users: Annotated[
        int | None, typer.Option(min=1, help="Number of users. Default: 200, or all of MovieLens.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data of an earlier run, and load nothing.")] = False,
    port: Annotated[int | None, typer.Option(help="Port of the API and the portal. Default: API_PORT.")] = None,
) -> None:
    """Start the complete stack, replay two weeks of synthetic events, and show how one click changes a feed.

    Then the portal at / lets you pick a user, see their feed and interact with it, until Ctrl-C.

    Examples:

    millrace demo

    millrace demo --once | tail -1

    millrace demo --movielens ~/data/ml-100k --port 8080
    """
    settings = read_settings()
    if port is not None:
        settings = replace(settings, api_port=port)
    if movielens_folder is not None:
        settings = replace(settings, event_max_age_days=max(settings.event_max_age_days, _ANY_AGE_DAYS))
    request = DemoRequest(data=_dataset(settings, movielens_folder, users), once=once, as_json=as_json, keep=keep)
    code = until_stopped(lambda stop: _until(stop, _demo(settings, request, Screen())))
    raise typer.Exit(code)


def _dataset(settings: Settings, folder: Path | None, users: int | None) -> Dataset:
    now_ms = clock.now_ms()
    return plan.with_new_ids(_read(folder, users, now_ms), now_ms, rating_scale=settings.rating_scale)


def _read(folder: Path | None, users: int | None, now_ms: int) -> Dataset:
    if folder is None:
        return world.build(seed=SEED, now_ms=now_ms, users=users or world.USERS)
    try:
        data = movielens.read(folder)
    except DatasetError as error:
        raise OperatorError(str(error), "See https://grouplens.org/datasets/movielens/ for such data.") from error
    return data if users is None else plan.first_users(data, users)


async def _until(stop: asyncio.Event, demo: Coroutine[Any, Any, int]) -> int:
    """Run the demo until it ends or `stop` is set; in that case it stops the processes that it started."""
    running, stopping = asyncio.ensure_future(demo), asyncio.ensure_future(stop.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not running.done():
        running.cancel()
    try:
        return await running
    except asyncio.CancelledError:
        return _INTERRUPTED


async def _demo(settings: Settings, request: DemoRequest, screen: Screen) -> int:
    """Run the demo, print the proof, continue serving if requested, and return the exit code."""
    screen.show_bad_lines(request.data.bad_lines)
    proof = Proof(dataset=request.data.name, bad_lines=len(request.data.bad_lines), seconds=screen.seconds)
    try:
        with screen.show_stack_steps() as on_step:
            async with (
                with_fakes(settings) as settings_with_fakes,
                application(settings_with_fakes, on_step=on_step) as resolved_settings,
            ):
                proof.addresses, proof.fakes = _addresses(resolved_settings), fakes_in_use(resolved_settings)
                await _play(resolved_settings, request, screen, proof)
                _print_proof(request, screen, proof)
                if proof.ok and not request.once:
                    screen.say(f"\n[bold]{proof.addresses['page']}[/] shows the feeds. Press Ctrl-C to stop.")
                    await _until_cancelled()
    except OperatorError as error:
        proof.ok, proof.error = False, error.problem
        if request.once:
            print(proof.line(), flush=True)
        raise
    return 0 if proof.ok else 1


async def _play(settings: Settings, request: DemoRequest, screen: Screen, proof: Proof) -> None:
    try:
        async with open_play(settings, request.data, screen, proof) as play:
            await play.begin()
            if not request.keep:
                await play.load()
            user_id = plan.shown_user(request.data)
            if plan.has_city(request.data, user_id):
                await play.fetch(user_id)
            await play.show(user_id)
            if FIREBASE in proof.fakes:
                await play.push(user_id)
            await play.summarize()
    except _FAILURES as error:
        proof.error = f"{type(error).__name__}: {error}"
    else:
        proof.ok = True


def _print_proof(request: DemoRequest, screen: Screen, proof: Proof) -> None:
    screen.end(proof)
    if request.once or request.as_json:
        print(proof.line(), flush=True)


async def _until_cancelled() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


def _addresses(settings: Settings) -> dict[str, str]:
    servers = {spec.name: masked(getattr(settings, spec.name)) for spec in fields(Addresses)}
    return {"page": f"{api_url(settings)}/", "api": api_url(settings), **servers}
