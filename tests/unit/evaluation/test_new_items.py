"""Evaluation of new items: a stream whose topics decide who likes what, and one in which they do not."""

from __future__ import annotations

import random

import pytest

from evaluation.new_items import measure
from evaluation.protocols.stream import Stream
from tests.build import an_item
from tests.unit.evaluation.builder import Line, a_stream

TOPICS, ITEM_COUNT, USERS, VISITS = 3, 120, 120, 15


def stream(*, is_telling: bool) -> Stream:
    draw = random.Random(2)
    items = [
        an_item(f"i{number}", title="", category="", topics=[f"t{number % TOPICS if is_telling else 0}"])
        for number in range(ITEM_COUNT)
    ]
    lines: list[Line] = [
        (f"u{user}", f"i{user % TOPICS + TOPICS * number}", None, 1_000 + 100 * visit + user)
        for user in range(USERS)
        for visit, number in enumerate(draw.sample(range(ITEM_COUNT // TOPICS), VISITS))
    ]
    return a_stream(*sorted(lines, key=lambda line: line[3]), items=items)


def test_new_items_are_ordered_by_topics_that_decide() -> None:
    report = measure(stream(is_telling=True), seed=0)
    assert report.held_out_items == ITEM_COUNT // 5
    assert report.choices > USERS
    assert report.trust[0] > 0.2
    assert report.by_mapped > 0.8


def test_texts_that_tell_nothing_order_nothing() -> None:
    report = measure(stream(is_telling=False), seed=0)
    assert report.trust[0] < 0.1
    assert report.by_mapped == pytest.approx(0.5, abs=0.1)
