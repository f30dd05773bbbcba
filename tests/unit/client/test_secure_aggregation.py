"""Secure aggregation: both sides together, clients that drop out, servers that lie, messages that are changed."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping
from itertools import combinations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.privacy import secure_sum
from infra.privacy.secure_sum import MODULUS, IncompleteSumError, RoundError, SecureSum
from millrace_client import secure_aggregation
from millrace_client.secure_aggregation import MAX_VALUE, AggregationError, Contributor, PublicKeys

Messages = Mapping[str, bytes]


def over_the_wire(message: msgspec.Struct, kind: type) -> object:
    """Return a message as the other side reads it: the sides share no type, only JSON."""
    return msgspec.json.decode(msgspec.json.encode(message), type=kind)


class Meeting:
    """Clients and a server that follow the protocol, but for the clients that drop out."""

    def __init__(self, values: Mapping[str, list[int]], *, threshold: int) -> None:
        self.values = values
        self.server = SecureSum("test", length=len(next(iter(values.values()))), threshold=threshold)
        self.clients = {name: Contributor("test", name, own, threshold=threshold) for name, own in values.items()}

    def send_keys(self) -> Mapping[str, PublicKeys]:
        for name, client in self.clients.items():
            self.server.add_keys(name, over_the_wire(client.public_keys(), secure_sum.PublicKeys))  # type: ignore[arg-type]
        return {name: over_the_wire(keys, PublicKeys) for name, keys in self.server.keys().items()}  # type: ignore[misc]

    def send_shares(self, *, without: Collection[str] = ()) -> dict[str, Messages]:
        keys = self.send_keys()
        senders = [name for name in self.clients if name not in without]
        for name in senders:
            self.server.add_shares(name, self.clients[name].encrypted_shares(keys))
        return {name: self.server.shares_for(name) for name in senders}

    def send_values(self, shares: Mapping[str, Messages], *, without: Collection[str] = ()) -> list[str]:
        for name in shares.keys() - set(without):
            self.server.add_masked(name, self.clients[name].masked_values(shares[name]))
        return self.server.survivors()

    def reveal(self, survivors: Collection[str], *, without: Collection[str] = ()) -> None:
        for name in set(survivors) - set(without):
            shares = over_the_wire(self.clients[name].revealed_shares(survivors), secure_sum.RevealedShares)
            self.server.add_revealed(name, shares)  # type: ignore[arg-type]

    def sum_of(self, names: Iterable[str]) -> list[int]:
        return [sum(column) for column in zip(*(self.values[name] for name in names), strict=True)]


def some_values(count: int, *, length: int = 3, seed: int = 7) -> dict[str, list[int]]:
    source = random.Random(seed)
    return {f"c{number:03}": [source.randint(0, MAX_VALUE) for _ in range(length)] for number in range(count)}


def test_the_sum_of_a_hundred_clients_is_exact_though_thirty_drop_out() -> None:
    meeting = Meeting(some_values(100, length=20), threshold=67)
    names = list(meeting.clients)
    random.Random(3).shuffle(names)
    no_shares, no_values, no_reveal = names[:10], names[10:20], names[20:30]
    shares = meeting.send_shares(without=no_shares)
    survivors = meeting.send_values(shares, without=no_values)
    meeting.reveal(survivors, without=no_reveal)
    assert sorted(survivors) == sorted(names[20:])
    assert meeting.server.total() == meeting.sum_of(names[20:])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_sum_is_exact_whoever_drops_out_when(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 7))
    threshold = count // 2 + 1
    meeting = Meeting(some_values(count, seed=count), threshold=threshold)
    rounds = data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    last_rounds = dict(zip(meeting.clients, rounds, strict=True))
    """The round before which each client drops out; 4 for none."""

    def total() -> list[int]:
        shares = meeting.send_shares(without=[name for name, last in last_rounds.items() if last == 1])
        survivors = meeting.send_values(shares, without=[name for name, last in last_rounds.items() if last == 2])
        meeting.reveal(survivors, without=[name for name, last in last_rounds.items() if last == 3])
        return meeting.server.total()

    if rounds.count(4) < threshold:
        with pytest.raises((IncompleteSumError, RoundError)):
            total()
    else:
        assert total() == meeting.sum_of(name for name, last in last_rounds.items() if last > 2)


def test_what_the_server_sees_of_a_client_does_not_depend_on_its_counters() -> None:
    """Bits of masked counters are even, for counters of 0; and no partial sum of them is the sum of the counters."""
    meeting = Meeting({f"c{number}": [0] * 2_000 for number in range(5)}, threshold=3)
    shares = meeting.send_shares()
    views = {name: meeting.clients[name].masked_values(shares[name]) for name in meeting.clients}
    for size in (1, 2, 3, 4, 5):  # the masks of their own hide even the sum of all
        for names in combinations(views, size):
            column_sums = [sum(column) % MODULUS for column in zip(*(views[name] for name in names), strict=True)]
            assert 0.49 < sum(number.bit_count() for number in column_sums) / (64 * 2_000) < 0.51


def test_fewer_shares_than_the_threshold_give_another_secret() -> None:
    secret = bytes(range(32))
    shares = secure_aggregation._split(secret, 5, 3)
    names = [f"c{number}" for number in range(5)]
    aggregation = SecureSum("test", length=1, threshold=3)
    for name in names:
        aggregation.add_keys(name, secure_sum.PublicKeys(b"m" * 32, b"s" * 32))
    for triple in combinations(range(5), 3):
        assert aggregation._secret({names[number]: shares[number] for number in triple}) == secret
    for pair in combinations(range(5), 2):
        with pytest.raises(RoundError, match="no secret"):
            aggregation._secret({names[number]: shares[number] for number in pair})


def test_a_client_never_reveals_both_secrets_of_another() -> None:
    meeting = Meeting(some_values(5), threshold=3)
    survivors = meeting.send_values(meeting.send_shares(), without=["c004"])
    client = meeting.clients["c000"]
    shares = client.revealed_shares(survivors)
    assert shares.seeds.keys() == set(survivors)
    assert shares.mask_keys.keys() == {"c004"}
    with pytest.raises(AggregationError, match="round 4"):
        client.revealed_shares([*survivors, "c004"])


@pytest.mark.parametrize("survivors", [["c000", "c001"], ["c001", "c002", "c003"], ["c000", "c001", "c002", "c999"]])
def test_a_client_refuses_survivors_that_are_too_few_or_unknown(survivors: list[str]) -> None:
    meeting = Meeting(some_values(5), threshold=3)
    meeting.send_values(meeting.send_shares())
    with pytest.raises(AggregationError, match="survivors"):
        meeting.clients["c000"].revealed_shares(survivors)


def test_a_client_refuses_a_threshold_of_half_of_the_clients_and_keys_that_are_not_as_sent() -> None:
    clients = [Contributor("test", f"c{number}", [1], threshold=2) for number in range(4)]
    keys = {f"c{number}": client.public_keys() for number, client in enumerate(clients)}
    with pytest.raises(AggregationError, match="threshold"):
        clients[0].encrypted_shares(keys)
    del keys["c3"]
    with pytest.raises(AggregationError, match="not those"):
        clients[1].encrypted_shares(keys | {"c1": keys["c0"]})
    with pytest.raises(AggregationError, match="key that is none"):
        clients[2].encrypted_shares(keys | {"c0": PublicKeys(bytes(32), bytes([1] + [0] * 31))})


def test_shares_that_are_changed_or_sent_to_another_are_refused() -> None:
    shares = (meeting := Meeting(some_values(3), threshold=2)).send_shares()
    with pytest.raises(AggregationError, match="changed"):
        meeting.clients["c000"].masked_values(shares["c000"] | {"c001": shares["c000"]["c001"][:-1] + b"x"})
    with pytest.raises(AggregationError, match="changed"):
        meeting.clients["c001"].masked_values({"c000": shares["c002"]["c000"]})
    with pytest.raises(AggregationError, match="no other client"):
        meeting.clients["c002"].masked_values({"c009": b""})


def test_counters_that_could_overflow_the_sum_are_refused() -> None:
    for value in (-1, MAX_VALUE + 1):
        with pytest.raises(ValueError, match="counters"):
            Contributor("test", "c0", [value], threshold=2)


def test_the_server_takes_a_message_once_in_its_round_and_of_clients_of_the_round_before() -> None:
    meeting = Meeting(some_values(3), threshold=2)
    server = meeting.server
    with pytest.raises(RoundError, match="round 1"):
        server.add_masked("c000", [1, 2, 3])
    keys = meeting.send_keys()
    with pytest.raises(RoundError, match="round 2"):
        server.add_keys("c009", secure_sum.PublicKeys(b"m" * 32, b"s" * 32))
    shares = meeting.clients["c000"].encrypted_shares(keys)
    with pytest.raises(RoundError, match="each other client"):
        server.add_shares("c000", {"c001": shares["c001"]})
    server.add_shares("c000", shares)
    for name in ("c000", "c009"):
        with pytest.raises(RoundError, match=name):
            server.add_shares(name, shares)
    with pytest.raises(IncompleteSumError, match="1 clients are left; 2"):
        server.shares_for("c000")


def test_an_aggregation_has_fewer_clients_than_twice_its_threshold() -> None:
    server = SecureSum("test", length=1, threshold=2)
    for number in range(3):
        server.add_keys(f"c{number}", secure_sum.PublicKeys(b"m" * 32, b"s" * 32))
    with pytest.raises(RoundError, match="fewer than 4"):
        server.add_keys("c3", secure_sum.PublicKeys(b"m" * 32, b"s" * 32))


def test_wrong_shares_of_a_key_end_the_aggregation_without_a_sum() -> None:
    meeting = Meeting(some_values(3), threshold=2)
    survivors = meeting.send_values(meeting.send_shares(), without=["c002"])
    for name in survivors:
        shares = meeting.clients[name].revealed_shares(survivors)
        wrong_keys = dict.fromkeys(shares.mask_keys, bytes(65) + b"x")
        meeting.server.add_revealed(name, secure_sum.RevealedShares(shares.seeds, wrong_keys))
    with pytest.raises(RoundError, match="key of c002"):
        meeting.server.total()
