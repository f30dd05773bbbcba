from hypothesis import given
from hypothesis import strategies as st

from streams.core.push.delay_queue import DelayQueue

KEYS = st.sampled_from("abcd")


def test_what_is_due_is_taken_once_longest_due_first() -> None:
    agenda = DelayQueue()
    for key, due_at in (("late", 30), ("early", 10), ("later", 40)):
        agenda.put(key, due_at)
    assert agenda.take(9) == []
    assert agenda.take(30) == ["early", "late"]
    assert (agenda.take(30), len(agenda)) == ([], 1)


def test_a_key_is_due_when_it_was_said_last() -> None:
    agenda = DelayQueue()
    agenda.put("moved", 10)
    agenda.put("moved", 20)
    agenda.put("off", 10)
    agenda.put("off", None)
    assert agenda.take(19) == []
    assert agenda.take(20) == ["moved"]


@given(st.lists(st.tuples(KEYS, st.none() | st.integers(0, 9))), st.integers(0, 9))
def test_it_holds_what_a_dict_would(puts: list[tuple[str, int | None]], now: int) -> None:
    agenda, plain = DelayQueue(), dict[str, int]()
    for key, due_at in puts:
        agenda.put(key, due_at)
        plain.pop(key, None)
        if due_at is not None:
            plain[key] = due_at
    entries = agenda.take(now)
    assert sorted(entries) == sorted(key for key, due_at in plain.items() if due_at <= now)
    assert len(agenda) == len(plain) - len(entries)
