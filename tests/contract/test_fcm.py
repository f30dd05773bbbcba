"""The sender against a double of FCM that speaks its protocol: what arrives, and what comes of every fault."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from email.utils import formatdate

import pytest

from infra import fcm
from infra.error import OperatorError
from infra.fakes.fake_fcm import FakeFcm, Fault
from infra.settings import Settings
from tests.build import a_notification

NOTIFICATION = a_notification()


@pytest.fixture(scope="module")
async def double() -> AsyncIterator[tuple[FakeFcm, str]]:
    double = FakeFcm(slow_s=1.0)
    async with double.serve() as url:
        yield double, url


@pytest.fixture
def google(double: tuple[FakeFcm, str]) -> FakeFcm:
    fake = double[0]
    fake.faults.clear()
    fake.deliveries.clear()
    fake.unregistered_tokens.clear()
    fake.attempts, fake.retry_after, fake.refuses_grants = 0, "1", False
    return fake


@pytest.fixture
async def sender(double: tuple[FakeFcm, str], google: FakeFcm) -> AsyncIterator[fcm.Fcm]:
    settings = Settings(
        fcm_service_account=google.service_account(double[1]),
        fcm_base_url=double[1],
        fcm_timeout_s=0.3,
        fcm_concurrency=1,
    )
    found_sender = fcm.connect(settings)
    assert found_sender is not None
    yield found_sender
    await found_sender.close()


async def send(sender: fcm.Fcm, token: str = "phone") -> fcm.SendAnswer:
    return await sender.send(NOTIFICATION, token, ttl_s=3_600)


async def test_a_push_arrives_with_its_link_and_an_id_to_drop_a_second_one_by(google: FakeFcm, sender: fcm.Fcm) -> None:
    assert await send(sender) == fcm.SendAnswer("delivered")
    [delivery] = google.deliveries
    message = delivery.message
    assert (delivery.token, delivery.notification_id) == ("phone", "n1")
    assert message["notification"] == {"title": "Title of i1", "body": "Trending now"}
    assert message["data"] == {"notification_id": "n1", "link": "/item/i1", "item_id": "i1", "category": "music"}
    assert message["android"] == {"collapse_key": "n1", "ttl": "3600s", "notification": {"tag": "n1"}}
    assert message["apns"]["headers"]["apns-collapse-id"] == "n1"
    assert int(message["apns"]["headers"]["apns-expiration"]) == pytest.approx(time.time() + 3_600, abs=60)
    assert message["webpush"]["headers"] == {"Topic": "n1", "TTL": "3600"}


async def test_long_texts_are_cut_to_what_fcm_takes(google: FakeFcm, sender: fcm.Fcm) -> None:
    long = a_notification(title="日" * 1_024, body="本" * 4_096)
    assert (await sender.send(long, "phone", ttl_s=60)).kind == "delivered"
    assert len(google.deliveries[0].message["notification"]["body"]) == 400


async def test_one_access_token_serves_many_pushes(google: FakeFcm, sender: fcm.Fcm) -> None:
    token_count = len(google.access_tokens)
    for token in ("phone", "tablet", "laptop"):
        assert (await send(sender, token)).kind == "delivered"
    assert len(google.access_tokens) - token_count == 1


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("unauthorized", "later", "401"),
        ("forbidden", "refused", "SENDER_ID_MISMATCH"),
        ("unregistered", "gone", "UNREGISTERED"),
        ("not_found", "refused", "404"),
        ("invalid", "refused", "INVALID_ARGUMENT"),
        ("quota", "later", "QUOTA_EXCEEDED"),
        ("unavailable", "later", "UNAVAILABLE"),
        ("internal", "later", "INTERNAL"),
        ("garbage", "later", "502"),
        ("slow", "later", "Timeout"),
        ("lost", "later", "Timeout"),
    ],
)
async def test_each_fault_is_distinguished(
    google: FakeFcm, sender: fcm.Fcm, fault: Fault, kind: str, text: str
) -> None:
    google.faults.extend([fault] * 2)  # the second is for the one attempt with a new access token
    answer = await send(sender)
    assert answer.kind == kind
    assert text in answer.reason
    assert google.attempts == (2 if fault == "unauthorized" else 1), (
        "whether there is another attempt is not ours to say"
    )
    google.faults.clear()
    assert (await send(sender)).kind == "delivered"


@pytest.mark.parametrize("fault", ["quota", "unavailable"])
async def test_the_pause_that_is_asked_for_is_handed_on(google: FakeFcm, sender: fcm.Fcm, fault: Fault) -> None:
    google.retry_after = "17"
    google.faults.append(fault)
    assert (await send(sender)).pause_s == 17.0
    google.retry_after = formatdate(time.time() + 90, usegmt=True)
    google.faults.append(fault)
    assert (await send(sender)).pause_s == pytest.approx(90, abs=5)


async def test_over_quota_is_a_minute_where_no_pause_is_asked_for(google: FakeFcm, sender: fcm.Fcm) -> None:
    google.retry_after = ""
    google.faults.extend(["quota", "unavailable"])
    assert [(await send(sender)).pause_s for _ in range(2)] == [60.0, 0.0]


async def test_a_revoked_access_token_is_renewed_unnoticed(google: FakeFcm, sender: fcm.Fcm) -> None:
    assert (await send(sender)).kind == "delivered"
    google.revoke()
    assert (await send(sender)).kind == "delivered"
    assert google.attempts == 3  # the second message was refused once, for its access token


async def test_an_account_that_gets_no_access_token_is_tried_later_and_says_why(
    google: FakeFcm, sender: fcm.Fcm
) -> None:
    google.refuses_grants = True
    answer = await send(sender)
    assert (answer.kind, google.attempts) == ("later", 0)
    assert "invalid_grant" in answer.reason


async def test_a_key_that_is_not_the_accounts_gets_no_access_token(
    double: tuple[FakeFcm, str], google: FakeFcm
) -> None:
    forged_settings = Settings(fcm_service_account=FakeFcm().service_account(double[1]), fcm_base_url=double[1])
    sender = fcm.connect(forged_settings)
    assert sender is not None
    assert "invalid_grant" in (await send(sender)).reason
    await sender.close()


async def test_a_server_that_is_not_there_is_tried_later(double: tuple[FakeFcm, str], google: FakeFcm) -> None:
    nowhere = Settings(fcm_service_account=google.service_account(double[1]), fcm_base_url="http://127.0.0.1:1")
    sender = fcm.connect(nowhere)
    assert sender is not None
    assert (await send(sender)).kind == "later"
    await sender.close()


@pytest.mark.parametrize(
    "key", ["{", "[]", "{}", '{"client_email": "secret-mail", "token_uri": "x", "private_key": "y"}']
)
def test_a_key_that_cannot_be_used_is_refused_with_what_to_do_and_is_not_shown(key: str) -> None:
    with pytest.raises(OperatorError, match="Firebase console") as exc_info:
        fcm.connect(Settings(fcm_service_account=key))
    assert "secret-mail" not in str(exc_info.value)


def test_a_key_without_a_project_is_refused(google: FakeFcm) -> None:
    key = google.service_account("http://127.0.0.1").replace("project_id", "projekt")
    with pytest.raises(OperatorError, match="FCM_SERVICE_ACCOUNT"):
        fcm.connect(Settings(fcm_service_account=key))


def test_without_a_key_there_is_no_sender_and_the_key_is_never_shown() -> None:
    assert fcm.connect(Settings()) is None
    assert "hush" not in repr(replace(Settings(), fcm_service_account="hush"))
