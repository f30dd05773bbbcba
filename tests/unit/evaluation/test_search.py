"""Judging a search: what was meant, and how high it stands."""

import pytest

from evaluation.search import TOP, Expectation, expectations, judge

EARBUDS = Expectation("earbuds", "earphones", "ear(phone|bud)", ["Headphones"])


def test_what_is_meant_keeps_both_rules() -> None:
    assert EARBUDS.is_met("JBL Earphones", ["All", "Headphones"])
    assert not EARBUDS.is_met("JBL Earphones", ["Cases"])
    assert not EARBUDS.is_met("JBL Speaker", ["Headphones"])


def test_an_answer_is_judged_by_its_first_ten() -> None:
    best = judge(EARBUDS, 2, [True, True, False])
    assert (best.hit, best.precision, best.ndcg) == (1.0, 0.2, 1.0)
    late = judge(EARBUDS, 2, [False] * 9 + [True])
    assert (late.hit, late.precision) == (1.0, 0.1)
    assert late.ndcg == pytest.approx(0.177, abs=1e-3)
    never = judge(EARBUDS, 5, [False] * TOP + [True])
    assert (never.hit, never.precision, never.ndcg) == (0.0, 0.0, 0.0)
    assert judge(EARBUDS, 0, []).ndcg == 0.0


def test_there_are_twenty_queries_each_with_what_is_expected() -> None:
    queries = expectations()
    assert len({one.query for one in queries}) == 20
    assert all(one.expects and one.filed for one in queries)
    assert not any(one.is_met("", one.filed) for one in queries)
