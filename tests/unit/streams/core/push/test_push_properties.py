"""Whatever happens, in any order: no push too many, none twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import DAY_MS, HOUR_MS
from infra.fcm import SendAnswer
from schemas.types import PushPreferences
from streams.core.push.delivery import Delivery
from streams.core.push.push_state import PushState
from streams.core.push.quiet_hours import quiet_interval
from tests.build import a_push_request
from tests.unit.streams.core.push.push_world import DELIVERED, GONE, NIGHT, NOON, PARAMS, World, a_user


def test_a_state_survives_its_table() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    data = msgspec.msgpack.encode(world.state)
    assert msgspec.msgpack.decode(data, type=PushState) == world.state


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(0, 9)),
        st.tuples(st.just("message"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.sampled_from([1_000, 60_000, HOUR_MS, 5 * HOUR_MS, 13 * HOUR_MS])),
        st.tuples(st.just("prefer"), st.sampled_from([NIGHT, PushPreferences(), PushPreferences(categories=["b"])])),
        st.tuples(
            st.just("answer"), st.sampled_from([DELIVERED, GONE, SendAnswer("later", "", 30.0), SendAnswer("refused")])
        ),
        st.tuples(st.just("device"), st.sampled_from(["phone", "tablet"])),
    ),
    max_size=40,
)


def play(world: World, steps: Iterable[tuple[str, Any]], *, twice: bool = False) -> None:
    world.ask(preferences=NIGHT)
    world.get_used()
    for number, (kind, value) in enumerate(steps):
        for _ in range(2 if twice else 1):
            if kind == "feed":
                feed = world.feed(**{f"{'ab'[value % 2]}_{value}": 30.0})
                if twice:
                    world.show(feed)
                break
            if kind == "message":
                world.ask(a_push_request(event_id=f"m{number}", kind="send", item_id=f"a_{value}", title="Hello"))
            elif kind == "wait":
                world.wait(value)
                break
            elif kind == "prefer":
                world.ask(a_push_request(event_id=f"p{number}", kind="preferences", token=None, preferences=value))
            elif kind == "answer":
                world.answers = {"phone": value}
            else:
                world.ask(a_push_request(event_id=f"d{number}", token=value))


@given(STEPS)
def test_whatever_happens_nothing_is_sent_twice_too_often_or_in_quiet_hours(steps: list[tuple[str, Any]]) -> None:
    world = World()
    quiet_at: list[bool] = []
    plain_answers = world._answers

    def answers(delivery: Delivery) -> dict[str, SendAnswer] | None:
        hours = world.state.preferences.quiet_hours
        quiet_at.append(hours is not None and quiet_interval(hours, world.now_ms).quiet)
        return plain_answers(delivery)

    world._answers = answers  # type: ignore[method-assign]
    play(world, steps)
    assert not any(quiet_at)
    assert all(ttl_s > 0 for ttl_s in world.ttls)
    assert max(Counter((token, about) for _, token, about in world.deliveries).values(), default=0) <= 1
    first = {about: at for at, _, about in reversed(world.deliveries)}
    times = sorted(first.values())
    assert all(late - early >= DAY_MS for early, late in zip(times, times[3:], strict=False))
    assert all(waiting.expires_at > world.now_ms for waiting in world.state.pending.values())
    world.wait(PARAMS.max_delay_ms)
    world.wait(PARAMS.max_delay_ms)
    assert world.state.pending == {}


@given(STEPS)
def test_what_comes_twice_counts_once(steps: list[tuple[str, Any]]) -> None:
    once, twice = World(), World()
    play(once, steps)
    play(twice, steps, twice=True)
    assert once.deliveries == twice.deliveries
    assert [(decision.notification_id, decision.status) for decision in once.decisions] == [
        (decision.notification_id, decision.status) for decision in twice.decisions
    ]


@pytest.mark.parametrize("kind", ["unknown", "release"])
def test_a_call_for_release_changes_nothing_by_itself(kind: Any) -> None:
    world = World()
    world.ask(kind=kind, token=None)
    assert (world.decisions, world.state.version) == ([], 0)
