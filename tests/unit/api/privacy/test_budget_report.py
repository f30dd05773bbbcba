"""The privacy budget over HTTP: for admins."""

from __future__ import annotations

from aiokafka.errors import KafkaConnectionError

from domain.timestamp import DAY_MS
from infra.privacy.privacy_budget import PrivacyBudget
from tests.unit.api.builder import NOW_MS, World
from tests.unit.api.security.test_auth import STRICT, a_token, bearer
from tests.unit.infra.privacy.test_privacy_budget import a_spending


class Ledger:
    """Holds one spending of today; answers only for today."""

    def __init__(self, *, is_away: bool = False) -> None:
        self._is_away = is_away

    async def read(self, now_ms: int) -> PrivacyBudget:
        if self._is_away:
            raise KafkaConnectionError
        budget = PrivacyBudget(day=now_ms // DAY_MS, epsilon=1.0, delta=1e-5)
        budget.fold(a_spending(epsilon=0.25))
        return budget


async def test_the_budget_shows_what_is_spent_and_left() -> None:
    async with World(clients={"privacy_budget": Ledger()}).http(admin_token="a" * 32) as http:
        answer = await http.get("/privacy/budget", headers={"Authorization": f"Bearer {'a' * 32}"})
    body = answer.json()
    assert answer.status_code == 200
    assert (body["epsilon_spent"], body["epsilon_left"], body["refusals"]) == (0.25, 0.75, 0)
    assert body["resets_at"] == (NOW_MS // DAY_MS + 1) * DAY_MS
    assert [spending["release"] for spending in body["spendings"]] == ["interactions by item_id"]


async def test_only_admins_read_it() -> None:
    async with World(clients={"privacy_budget": Ledger()}).http(**STRICT) as http:
        assert (await http.get("/privacy/budget")).status_code in (401, 403)
        assert (await http.get("/privacy/budget", headers=bearer(a_token(sub="alex")))).status_code == 403


async def test_without_brokers_it_is_unavailable() -> None:
    async with World(clients={"privacy_budget": Ledger(is_away=True)}).http(admin_token="a" * 32) as http:
        answer = await http.get("/privacy/budget", headers={"Authorization": f"Bearer {'a' * 32}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "broker_away")
