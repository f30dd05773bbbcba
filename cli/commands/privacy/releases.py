"""`millrace privacy`: private releases of counts, and the budget that they spend from."""

from __future__ import annotations

import asyncio
import getpass
import os
from typing import Annotated

import msgspec
import typer
import uuid_utils
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from cli.bar import read_bar
from cli.console import new_console
from cli.kafka import open_kafka
from cli.run import run
from cli.time import From, Until, parse_bound
from domain.timestamp import utc_time
from infra import clock
from infra.address import resolve_addresses
from infra.analytics.relation import TimeSpan
from infra.analytics.sources import Sources, topic_named
from infra.error import OperatorError
from infra.kafka.readers.record_window import OnReadProgress
from infra.kafka.registry import open_registry
from infra.privacy.privacy_budget import BudgetReport, PrivacyGuarantee, report
from infra.privacy.privacy_ledger import LEDGER, PrivacyLedger
from infra.settings import Settings, read_settings
from schemas.types import PrivacySpending

releases = typer.Typer(
    no_args_is_help=True,
    help="Release counts of users under differential privacy, and show the budget of the day.\n\n"
    "Example: millrace privacy release interactions --by item_id --from 7d",
)

_READ_S = 60.0


class PrivateRelease(msgspec.Struct, frozen=True, kw_only=True):
    """Noisy numbers of users by group, and what they were spent for. Groups with few users are left out."""

    name: str
    epsilon: float
    delta: float
    groups_per_user: int
    threshold: int
    """Noisy number of users below which a group is left out."""
    spending_id: str
    users: dict[str, int]


class ReleasePlan(msgspec.Struct, frozen=True):
    """The counts to release."""

    name: str
    column: str
    span: TimeSpan
    guarantee: PrivacyGuarantee


@releases.command()
def release(
    name: Annotated[str, typer.Argument(help="A topic or a table of the archive with user_id.", metavar="NAME")],
    column: Annotated[str, typer.Option("--by", help="The column whose values are the groups.")],
    epsilon: Annotated[float, typer.Option(min=1e-6, help="Epsilon of this release.")] = 0.1,
    groups: Annotated[int, typer.Option(min=1, max=1_000, help="Groups that a user counts in, at most.")] = 1,
    since: From = None,
    until: Until = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Release the number of users by group, with noise that hides whether any one user is among them.

    The release spends from the budget of the day, PRIVACY_EPSILON and, in the same proportion, PRIVACY_DELTA, before
    anything is shown. Ends with exit code 1, and shows nothing, if too little is left. Groups whose noisy number of
    users is below PRIVACY_K, or so low that they might consist of one user, are left out.

    Examples:

    millrace privacy release interactions --by item_id --from 7d

    millrace privacy release profiles --by segment --epsilon 0.5 --json
    """
    settings = resolve_addresses(read_settings())
    delta = settings.privacy_delta * min(1.0, epsilon / settings.privacy_epsilon)
    guarantee = PrivacyGuarantee(epsilon=epsilon, delta=delta, groups_per_user=groups)
    plan = ReleasePlan(name, column, TimeSpan(parse_bound(since), parse_bound(until)), guarantee)
    with read_bar(f"counting {name}") as on_progress:
        result = run(_release(settings, plan, on_progress=on_progress))
    if as_json:
        print(msgspec.json.encode(result).decode())
        return
    table = Table(column, "users (noisy)")
    for group, users in result.users.items():
        table.add_row(group, f"{users:,}")
    console = new_console()
    console.print(table)
    console.print(
        f"{len(result.users):,} groups with {result.threshold:,} users or more; epsilon {result.epsilon:g},"
        f" delta {result.delta:.2g} spent"
    )


@releases.command()
def budget(
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Show today's privacy budget (UTC), with the releases that spent from it.

    Example: millrace privacy budget --json
    """
    today = run(_budget(resolve_addresses(read_settings())))
    if as_json:
        print(msgspec.json.encode(today).decode())
        return
    table = Table("at", "release", "by", "epsilon", "delta", "mechanism")
    for spending in today.spendings:
        at = f"{utc_time(spending.occurred_at):%H:%M:%S}"
        amounts = f"{spending.epsilon:g}", f"{spending.delta:.2g}"
        table.add_row(at, spending.release, spending.principal, *amounts, spending.mechanism)
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"{today.day}: epsilon {today.epsilon_spent:g} of {today.epsilon:g} spent, {today.epsilon_left:g} left;"
        f" delta {today.delta_spent:.2g} of {today.delta:.2g} spent; {today.refusals} refused"
    )


async def _release(settings: Settings, plan: ReleasePlan, *, on_progress: OnReadProgress) -> PrivateRelease:
    """Count, spend, and only then add the noise: a process that dies in between has released nothing."""
    from infra.privacy import private_counts, user_counts  # they need packages of the extra

    guarantee = plan.guarantee
    async with Sources(settings, on_progress=on_progress) as sources:
        topic = topic_named(plan.name)
        if topic is None:
            relation = await sources.archive(plan.name, span=plan.span)
        else:
            relation = await sources.topic(topic, span=plan.span)
        counts = await user_counts.user_counts(relation, plan.column, groups_per_user=guarantee.groups_per_user)
    spending = PrivacySpending(
        ledger=LEDGER,
        spending_id=str(uuid_utils.uuid7()),
        principal=_principal(),
        release=f"{plan.name} by {plan.column}",
        mechanism=private_counts.MECHANISM,
        epsilon=guarantee.epsilon,
        delta=guarantee.delta,
        budget_epsilon=settings.privacy_epsilon,
        budget_delta=settings.privacy_delta,
        occurred_at=clock.now_ms(),
    )
    async with open_kafka(settings) as (registry, publisher):
        await PrivacyLedger(settings, registry).spend(publisher, spending)
    return PrivateRelease(
        name=spending.release,
        epsilon=guarantee.epsilon,
        delta=guarantee.delta,
        groups_per_user=guarantee.groups_per_user,
        threshold=max(private_counts.threshold(guarantee), settings.privacy_k),
        spending_id=spending.spending_id,
        users=private_counts.private_counts(counts, guarantee, min_users=settings.privacy_k),
    )


async def _budget(settings: Settings) -> BudgetReport:
    try:
        async with open_registry(settings.schema_registry_url) as registry:
            async with asyncio.timeout(_READ_S):
                return report(await PrivacyLedger(settings, registry).read(clock.now_ms()))
    except (KafkaError, TimeoutError) as error:
        servers = settings.kafka_bootstrap_servers
        raise OperatorError(f"Kafka at {servers} does not answer: {error}", "Start it, then try again.") from error


def _principal() -> str:
    """Return the name of the account that runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
