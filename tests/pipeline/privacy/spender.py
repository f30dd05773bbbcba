"""A process that spends from the privacy budget until nothing is left, and names each spending that was granted."""

from __future__ import annotations

import asyncio

from cli.kafka import open_kafka
from infra.address import resolve_addresses
from infra.privacy.privacy_budget import OverBudgetError
from infra.privacy.privacy_ledger import PrivacyLedger
from infra.settings import read_settings
from tests.unit.infra.privacy.test_privacy_budget import a_spending

EPSILON = 0.02
OVER = "over budget"


async def main() -> None:
    settings = resolve_addresses(read_settings())
    async with open_kafka(settings) as (registry, publisher):
        ledger, number = PrivacyLedger(settings, registry), 0
        while True:
            number += 1
            spending = a_spending(spending_id=f"{settings.worker_id}-{number}", epsilon=EPSILON, delta=1e-9)
            try:
                await ledger.spend(publisher, spending)
            except OverBudgetError:
                print(OVER, flush=True)
                return
            print(spending.spending_id, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
