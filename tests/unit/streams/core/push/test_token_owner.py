"""Whose a push token is: the newest registration's, in every order of what happens in different partitions."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.types import PushRequest, PushToken
from streams.core.position import Position
from streams.core.push.candidates import fold_request
from streams.core.push.push_state import PushState, registration
from streams.core.push.token_owner import TokenState, fold_registration
from tests.build import T0_MS, a_push_request
from tests.params import PUSH_PARAMS

PARAMS = PUSH_PARAMS


@dataclass
class World:
    """Users and tokens in partitions of their own, and a broker that stamps what it takes."""

    users: dict[str, PushState] = field(default_factory=dict)
    tokens: dict[str, TokenState] = field(default_factory=dict)
    requests: dict[str, list[tuple[PushRequest, int]]] = field(default_factory=dict)
    registrations: dict[str, list[PushToken]] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    clock: int = T0_MS

    def ask(self, user_id: str, kind: str, token: str = "phone", occurred_at: int | None = None) -> None:
        self.clock += 1
        at_ms = self.clock if occurred_at is None else occurred_at
        self._append(a_push_request(user_id=user_id, kind=kind, token=token, occurred_at=at_ms))

    def step(self, name: str, *, back: int = 0) -> bool:
        """Work on the next record of a user's or of a token's partition; a crash may have some come again."""
        log = self.requests.get(name, self.registrations.get(name, []))
        at = self.read[name] = max(self.read.get(name, 0) - back, 0)
        if at >= len(log):
            return False
        self.read[name] += 1
        record = log[at]
        if isinstance(record, PushToken):
            revocation = fold_registration(self.tokens.setdefault(name, TokenState(name)), record)
            if revocation is not None:
                self._append(revocation)
        else:
            request, appended_at = record
            state = self.users.setdefault(name, PushState(name))
            version = state.version
            fold_request(state, request, Position(0, at, appended_at), item=None, params=PARAMS, now_ms=self.clock)
            if request.kind == "register" and state.version != version:
                self.registrations.setdefault(f"token {request.token}", []).append(
                    registration(state, str(request.token))
                )
        return True

    def finish(self) -> None:
        while any(self.step(name) for name in (*self.requests, *self.registrations)):
            pass

    def owners(self, token: str = "phone") -> list[str]:
        return [user_id for user_id, state in self.users.items() if token in state.devices]

    def _append(self, request: PushRequest) -> None:
        self.clock += 1
        self.requests.setdefault(request.user_id, []).append((request, self.clock))


def test_a_token_is_taken_from_who_had_it_before() -> None:
    world = World()
    world.ask("kim", "register")
    world.ask("kim", "register", "tablet")
    world.finish()
    world.ask("lee", "register")
    world.finish()
    assert world.owners() == ["lee"]
    assert world.owners("tablet") == ["kim"]


def test_a_token_goes_back_and_forth() -> None:
    world = World()
    for user_id in ("kim", "lee", "kim", "kim", "lee", "kim"):
        world.ask(user_id, "register")
    world.finish()
    assert world.owners() == ["kim"]


def test_the_former_owner_cannot_take_it_off_the_new_one() -> None:
    world = World()
    world.ask("kim", "register")
    world.ask("lee", "register")
    world.ask("kim", "unregister")
    world.finish()
    assert world.owners() == ["lee"]


def test_when_the_new_owner_takes_it_off_it_is_nobodys() -> None:
    world = World()
    for user_id, kind in (("kim", "register"), ("lee", "register"), ("lee", "unregister")):
        world.ask(user_id, kind)
    world.finish()
    assert world.owners() == []


def test_a_registration_that_comes_late_does_not_take_it_from_a_newer_one() -> None:
    world = World()
    world.ask("lee", "register", occurred_at=T0_MS - 5)
    world.finish()
    world.ask("kim", "register", occurred_at=T0_MS - 9)
    world.finish()
    assert world.owners() == ["lee"]


def test_a_clock_that_is_ahead_does_not_keep_a_token() -> None:
    world = World()
    world.ask("kim", "register", occurred_at=T0_MS + 300_000)
    world.ask("lee", "register")
    world.finish()
    assert world.owners() == ["lee"]


def test_of_registrations_of_one_time_the_one_that_the_broker_took_later_holds() -> None:
    world = World()
    world.ask("lee", "register", occurred_at=T0_MS)
    world.ask("kim", "register", occurred_at=T0_MS)
    world.finish()
    assert world.owners() == ["kim"]


def test_an_old_revocation_does_not_take_off_a_newer_registration() -> None:
    state = PushState("kim")
    ask = a_push_request(user_id="kim", occurred_at=T0_MS, token="phone")
    fold_request(state, ask, Position(0, 0, T0_MS), item=None, params=PARAMS, now_ms=T0_MS)
    again = replace(ask, event_id="again", occurred_at=T0_MS + 9)
    fold_request(state, again, Position(0, 1, T0_MS + 9), item=None, params=PARAMS, now_ms=T0_MS)
    for offset, (appended_at, rest) in enumerate([(T0_MS, ["phone"]), (T0_MS + 9, [])], start=2):
        revoke = a_push_request(
            user_id="kim", kind="revoke", token="phone", occurred_at=T0_MS + 20, appended_at=appended_at
        )
        fold_request(state, revoke, Position(0, offset, T0_MS + 30), item=None, params=PARAMS, now_ms=T0_MS)
        assert list(state.devices) == rest


_ASKS = st.lists(
    st.tuples(st.sampled_from(["kim", "lee", "mo"]), st.sampled_from(["register"] * 4 + ["unregister"])), max_size=8
)


@given(_ASKS, st.randoms(use_true_random=False))
def test_in_every_interleaving_the_newest_registration_holds(asks: list[tuple[str, str]], rng: random.Random) -> None:
    world = World()
    for user_id, kind in asks:
        world.ask(user_id, kind)
        for _ in range(rng.randrange(4)):
            names = [*world.requests, *world.registrations]
            world.step(rng.choice(names), back=rng.choice([0, 0, 0, 1, 2]))
    for _ in range(rng.randrange(30)):
        names = [*world.requests, *world.registrations]
        if names:
            world.step(rng.choice(names), back=rng.choice([0, 0, 1, 3]))
    world.finish()
    newest = next((user_id for user_id, kind in reversed(asks) if kind == "register"), None)
    last = next((kind for user_id, kind in reversed(asks) if user_id == newest), None)
    assert world.owners() == ([newest] if newest and last == "register" else [])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2), (0, 0, 2, 1, 1, 0)])
def test_registrations_may_reach_the_tokens_partition_in_any_order(order: tuple[int, ...]) -> None:
    state, messages = TokenState("phone"), []
    registrations = [
        PushToken(token="phone", user_id=user_id, registered_at=n, appended_at=n)
        for n, user_id in enumerate(("kim", "lee", "kim"))
    ]
    for number in order:
        messages.append(fold_registration(state, registrations[number]))
    assert state.owner == registrations[2]
    revocations = {(one.user_id, one.appended_at) for one in messages if one is not None}
    assert ("lee", 1) in revocations
    assert ("kim", 2) not in revocations
