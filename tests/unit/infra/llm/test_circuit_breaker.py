"""The circuit breaker: when it opens, whom it lets through, when it closes."""

from infra.llm.circuit_breaker import CircuitBreaker


def a_breaker() -> CircuitBreaker:
    return CircuitBreaker(failures=3, cooldown_s=10.0)


def opened(*, at_s: float) -> CircuitBreaker:
    breaker = a_breaker()
    for _ in range(3):
        breaker.record_failure(at_s)
    return breaker


def test_it_opens_after_failures_in_a_row() -> None:
    breaker = a_breaker()
    breaker.record_failure(0.0)
    breaker.record_failure(0.0)
    assert breaker.allows(0.0)
    breaker.record_failure(0.0)
    assert breaker.is_open(0.0)
    assert not breaker.allows(9.9)


def test_a_success_in_between_starts_the_count_anew() -> None:
    breaker = a_breaker()
    for _ in range(5):
        breaker.record_failure(0.0)
        breaker.record_failure(0.0)
        breaker.record_success()
    assert breaker.allows(0.0)


def test_one_call_a_cooldown_tries_whether_all_is_well() -> None:
    breaker = opened(at_s=0.0)
    assert [breaker.allows(at_s) for at_s in (10.0, 10.0, 19.9, 20.0)] == [True, False, False, True]


def test_the_trial_closes_it_or_leaves_it_open() -> None:
    breaker = opened(at_s=0.0)
    assert breaker.allows(10.0)
    breaker.record_failure(12.0)
    assert [breaker.allows(at_s) for at_s in (20.0, 22.0)] == [False, True]
    breaker.record_success()
    assert not breaker.is_open(22.0)
    assert [breaker.allows(22.0), breaker.allows(22.0)] == [True, True]


def test_failures_of_calls_that_were_under_way_keep_it_open() -> None:
    breaker = opened(at_s=0.0)
    breaker.record_failure(5.0)
    assert not breaker.allows(14.9)
    assert breaker.allows(15.0)


def test_a_pause_that_was_asked_for_is_kept_whatever_comes_in_meanwhile() -> None:
    breaker = a_breaker()
    breaker.record_failure(0.0, retry_after_s=5.0)
    breaker.record_success()  # of a call that was under way
    assert breaker.is_open(4.9)
    assert [breaker.allows(at_s) for at_s in (4.9, 5.0, 5.0)] == [False, True, True]


def test_a_pause_is_bounded() -> None:
    breaker = a_breaker()
    breaker.record_failure(0.0, retry_after_s=1e9)
    assert [breaker.allows(at_s) for at_s in (3_599.0, 3_600.0)] == [False, True]
