"""Secure aggregations over HTTP: who may do what when, what is refused, and what is bounded."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest

from api.privacy.aggregation_message import MAX_THRESHOLD
from api.privacy.secure_aggregation import CREATION_LIMIT
from infra.privacy.aggregation_store import MAX_OPEN, AggregationTerms, MemoryAggregationStore
from millrace_client.secure_aggregation import Contributor, PublicKeys
from tests.unit.api.builder import NOW_MS, World
from tests.unit.api.security.test_auth import STRICT, a_token, bearer

NAMES = ("ann", "ben", "cleo")
VALUES = {"ann": [1, 2], "ben": [10, 20], "cleo": [100, 200]}


@dataclass
class Meeting:
    """Three clients, and the API that they talk to; its clock stands still."""

    http: httpx.AsyncClient
    aggregation_id: str = ""
    contributors: dict[str, Contributor] = field(default_factory=dict)

    async def begin(self, **terms: Any) -> httpx.Response:
        response = await self.http.post("/aggregations", json={"counters": 2, "threshold": 2, **terms})
        if response.status_code == 201:
            self.aggregation_id = response.json()["aggregation_id"]
            self.contributors = {
                name: Contributor(self.aggregation_id, name, values, threshold=2) for name, values in VALUES.items()
            }
        return response

    async def post(self, name: str, user_id: str, **content: Any) -> httpx.Response:
        body = msgspec.json.encode({"user_id": user_id, **content})
        headers = {"Content-Type": "application/json"}
        return await self.http.post(f"/aggregations/{self.aggregation_id}/{name}", content=body, headers=headers)

    async def get(self, name: str, user_id: str = "ann") -> httpx.Response:
        return await self.http.get(f"/aggregations/{self.aggregation_id}/{name}", params={"user_id": user_id})

    async def state(self) -> str:
        return str((await self.http.get(f"/aggregations/{self.aggregation_id}")).json()["state"])

    async def send_keys(self) -> None:
        for name, one in self.contributors.items():
            assert (await self.post("keys", name, **msgspec.to_builtins(one.public_keys()))).status_code == 202

    async def send_shares(self) -> None:
        keys = msgspec.convert((await self.get("keys")).json()["keys"], dict[str, PublicKeys])
        for name, one in self.contributors.items():
            assert (await self.post("shares", name, shares=one.encrypted_shares(keys))).status_code == 202

    async def send_values(self) -> None:
        for name, one in self.contributors.items():
            shares = msgspec.convert((await self.get("shares", name)).json()["shares"], dict[str, bytes])
            assert (await self.post("values", name, values=one.masked_values(shares))).status_code == 202

    async def send_reveals(self) -> None:
        survivors = (await self.get("survivors")).json()["survivors"]
        for name, one in self.contributors.items():
            content = msgspec.to_builtins(one.revealed_shares(survivors))
            assert (await self.post("reveals", name, **content)).status_code == 202


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def keys(**overrides: Any) -> Mapping[str, Any]:
    return {"mask": b"m" * 32, "share": b"s" * 32} | overrides


async def test_the_service_reads_the_sum_and_nothing_else_is_kept() -> None:
    store = MemoryAggregationStore()
    async with World(clients={"aggregations": store}).http() as http:
        meeting = Meeting(http)
        assert (await meeting.begin()).json()["max_clients"] == 3
        await meeting.send_keys()
        await meeting.send_shares()
        await meeting.send_values()
        assert refusal(await meeting.get("sum")) == (409, "wrong_round")
        await meeting.send_reveals()
        for _ in range(2):
            assert (await meeting.get("sum")).json() == {"sum": [111, 222], "clients": 3}
        assert await meeting.state() == "complete"
        assert refusal(await meeting.get("shares")) == (409, "wrong_round")
    assert [await store.messages(meeting.aggregation_id, number) for number in range(1, 5)] == [{}] * 4


async def test_masked_counters_are_no_counters() -> None:
    store = MemoryAggregationStore()
    async with World(clients={"aggregations": store}).http() as http:
        meeting = Meeting(http)
        await meeting.begin()
        await meeting.send_keys()
        await meeting.send_shares()
        await meeting.send_values()
    messages = await store.messages(meeting.aggregation_id, 3)
    assert messages.keys() == VALUES.keys()
    for name, content in messages.items():
        assert content != b"".join(value.to_bytes(8, "little") for value in VALUES[name])


@pytest.mark.parametrize(
    ("terms", "field_name"),
    [
        ({"counters": 0}, "counters"),
        ({"counters": 10_001}, "counters"),
        ({"threshold": 1}, "threshold"),
        ({"threshold": MAX_THRESHOLD + 1}, "threshold"),
        ({"max_clients": 4}, "max_clients"),
        ({"threshold": 3, "max_clients": 2}, "max_clients"),
        ({"round_s": 3_601}, "round_s"),
    ],
)
async def test_terms_out_of_bounds_are_refused(terms: dict[str, int], field_name: str) -> None:
    async with World().http() as http:
        response = await Meeting(http).begin(**terms)
    assert refusal(response) == (422, "invalid_value")
    assert response.json()["error"]["field"] == field_name


async def test_an_aggregation_that_is_unknown_or_no_longer_kept_is_not_found() -> None:
    async with World().http() as http:
        meeting = Meeting(http, "a1")
        responses = [
            await http.get("/aggregations/a1"),
            *[await meeting.get(name) for name in ("keys", "shares", "survivors", "sum")],
            await meeting.post("keys", "ann", **keys()),
            await meeting.post("values", "ann", values=[1]),
        ]
    assert {refusal(response) for response in responses} == {(404, "unknown_aggregation")}


async def test_a_message_or_a_look_in_another_round_is_refused() -> None:
    async with World().http() as http:
        meeting = Meeting(http)
        await meeting.begin()
        early = [
            *[await meeting.get(name) for name in ("keys", "shares", "survivors", "sum")],
            await meeting.post("shares", "ann", shares={}),
            await meeting.post("values", "ann", values=[1, 2]),
            await meeting.post("reveals", "ann", seeds={}, mask_keys={}),
        ]
        await meeting.send_keys()
        await meeting.send_shares()
        late = [await meeting.get("keys"), await meeting.post("shares", "dora", shares={})]
    assert {refusal(response) for response in early + late} == {(409, "wrong_round")}


async def test_a_repeated_message_changes_nothing_and_another_one_is_refused() -> None:
    async with World().http() as http:
        meeting = Meeting(http)
        await meeting.begin()
        assert [(await meeting.post("keys", "ann", **keys())).status_code for _ in range(2)] == [202, 202]
        assert refusal(await meeting.post("keys", "ann", **keys(mask=b"x" * 32))) == (409, "repeated_message")
        assert (await http.get(f"/aggregations/{meeting.aggregation_id}")).json()["clients"] == 1


async def test_there_are_no_more_clients_than_may_be() -> None:
    async with World().http() as http:
        meeting = Meeting(http)
        await meeting.begin()
        await meeting.send_keys()
        assert refusal(await meeting.post("keys", "dora", **keys())) == (409, "aggregation_full")


async def test_messages_that_do_not_fit_are_refused_and_may_be_sent_again() -> None:
    async with World().http() as http:
        meeting = Meeting(http)
        await meeting.begin()
        refusals = [
            await meeting.post("keys", "ann", **keys(mask=b"short")),
            await meeting.post("keys", "ann", **keys(mask=bytes(32))),
            await meeting.post("keys", "ann", **keys(mask=b"s" * 32)),
            await meeting.post("keys", "ann", mask="no Base64", share="!"),
            await meeting.post("keys", "", **keys()),
        ]
        await meeting.send_keys()
        refusals += [
            await meeting.post("shares", "ann", shares={"ben": b"c"}),
            await meeting.post("shares", "ann", shares={"ben": b"c", "cleo": b"c" * 257}),
            await meeting.post("shares", "ann", shares={"ben": b"c", "dora": b"c"}),
        ]
        await meeting.send_shares()
        refusals += [
            await meeting.post("values", "ann", values=values)
            for values in ([1], [1, 2, 3], [-1, 2], [1, 2**64], ["a", 2], [0] * 10_001)
        ]
        await meeting.send_values()
        refusals += [
            await meeting.post("reveals", "ann", seeds={"ann": b"s" * 66}, mask_keys={}),
            await meeting.post("reveals", "ann", seeds=dict.fromkeys(NAMES, b"s"), mask_keys={}),
            await meeting.post("reveals", "ann", seeds=dict.fromkeys(NAMES, b"s" * 66), mask_keys={"ann": b"k" * 66}),
        ]
        await meeting.send_reveals()
        assert (await meeting.get("sum")).json()["sum"] == [111, 222]
    assert {refusal(response) for response in refusals} == {(422, "invalid_value")}


async def test_a_body_has_a_bound() -> None:
    async with World().http() as http:
        meeting = Meeting(http)
        await meeting.begin()
        response = await meeting.post("keys", "ann", mask="A" * (600 << 10), share="")
    assert refusal(response) == (413, "body_too_large")


async def test_a_round_that_ends_with_too_few_clients_ends_the_aggregation() -> None:
    times = [NOW_MS]
    async with World(clients={"now_ms": lambda: times[-1]}).http() as http:
        meeting = Meeting(http)
        await meeting.begin(round_s=60)
        await meeting.post("keys", "ann", **keys())
        times.append(NOW_MS + 60_000)
        assert await meeting.state() == "failed"
        responses = [
            await meeting.post("keys", "ben", **keys()),
            await meeting.get("keys"),
            await meeting.get("sum"),
        ]
    assert {refusal(response) for response in responses} == {(410, "aggregation_failed")}


async def test_who_was_late_or_never_there_takes_no_part() -> None:
    times = [NOW_MS]
    async with World(clients={"now_ms": lambda: times[-1]}).http() as http:
        meeting = Meeting(http)
        await meeting.begin(round_s=60)
        del meeting.contributors["cleo"]
        await meeting.send_keys()
        times.append(NOW_MS + 60_000)
        assert await meeting.state() == "shares"
        responses = [await meeting.get("keys", "cleo"), await meeting.post("shares", "cleo", shares={"ann": b"c"})]
    assert {refusal(response) for response in responses} == {(403, "no_contributor")}


async def test_wrong_shares_end_the_aggregation_without_a_sum() -> None:
    times = [NOW_MS]
    async with World(clients={"now_ms": lambda: times[-1]}).http() as http:
        meeting = Meeting(http)
        await meeting.begin(round_s=60)
        await meeting.send_keys()
        await meeting.send_shares()
        del meeting.contributors["cleo"]
        await meeting.send_values()
        times.append(NOW_MS + 60_000)
        for name, one in meeting.contributors.items():
            reveals = one.revealed_shares(("ann", "ben"))
            wrong_keys = dict.fromkeys(reveals.mask_keys, bytes(65) + b"x")
            await meeting.post("reveals", name, seeds=reveals.seeds, mask_keys=wrong_keys)
        for _ in range(2):
            assert refusal(await meeting.get("sum")) == (410, "aggregation_failed")
        assert await meeting.state() == "failed"


async def test_aggregations_in_progress_and_new_ones_are_bounded() -> None:
    async with World().http() as http:
        meeting = Meeting(http)
        assert [(await meeting.begin()).status_code for _ in range(MAX_OPEN)] == [201] * MAX_OPEN
        response = await meeting.begin()
        assert refusal(response) == (429, "too_many_aggregations")
        assert int(response.headers["Retry-After"]) > 0
        limit = int(CREATION_LIMIT.partition("/")[0])
        codes = [refusal(await meeting.begin())[1] for _ in range(2 * limit)]
    assert codes[-1] == "too_many_requests"


async def test_a_token_takes_part_for_its_own_user_and_services_alone_begin_and_read_the_sum() -> None:
    ann, service = bearer(a_token("ann")), bearer(a_token("shop", scope="service"))
    store = MemoryAggregationStore()
    terms = AggregationTerms(counters=2, threshold=2, max_clients=3, round_ms=60_000)
    await store.create("a1", terms, NOW_MS)
    body = {"mask": b64encode(b"m" * 32).decode(), "share": b64encode(b"s" * 32).decode()}
    creation = {"counters": 2, "threshold": 2}
    async with World(clients={"aggregations": store}).http(**STRICT) as http:

        async def status(method: str, path: str, **request: Any) -> int:
            return (await http.request(method, f"/aggregations{path}", **request)).status_code

        assert await status("POST", "/a1/keys", json={"user_id": "ann", **body}) == 401
        assert await status("POST", "/a1/keys", json={"user_id": "ben", **body}, headers=ann) == 403
        assert await status("POST", "/a1/keys", json={"user_id": "ann", **body}, headers=ann) == 202
        assert await status("GET", "/a1/keys", params={"user_id": "ben"}, headers=ann) == 403
        assert [await status("POST", "", json=creation, headers=one) for one in (ann, service)] == [403, 201]
        assert [await status("GET", "/a1/sum", headers=one) for one in (ann, service)] == [403, 409]
