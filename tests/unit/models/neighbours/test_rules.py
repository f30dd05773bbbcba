"""Association rules with known answers, and nearest vectors."""

import numpy as np
import pytest

from models.neighbours.nearest import nearest
from models.neighbours.rules import PER_ITEM, mine
from models.text.tfidf import TfIdf


def test_what_goes_together_more_than_by_chance_is_a_rule_both_ways() -> None:
    baskets = [["bread", "butter"]] * 3 + [["bread", "jam"]] + [["tea", "milk"]] * 4
    rules = {(rule.item, rule.other): rule for rule in mine(baskets)}
    assert set(rules) == {("bread", "butter"), ("butter", "bread"), ("tea", "milk"), ("milk", "tea")}
    butter = rules["bread", "butter"]
    assert (butter.support, butter.confidence, butter.lift) == (3 / 8, 3 / 4, 2.0)


def test_what_is_in_every_basket_goes_with_nothing_in_particular() -> None:
    assert mine([["bag", "bread"], ["bag", "bread"], ["bag", "tea"], ["bag", "tea"]]) == []


def test_repeats_and_single_things_are_no_baskets() -> None:
    assert mine([]) == []
    assert mine([["a"], ["b", "b"]]) == []
    assert mine([["a", "b"]]) == [], "one basket is no rule"


def test_an_item_keeps_its_most_confident_rules() -> None:
    others = [f"o{number:03}" for number in range(PER_ITEM + 5)]
    baskets = [["x", *others]] * 3 + [["x", others[-1]]] + [["y", "z"]] * 400
    rules = [rule for rule in mine(baskets, min_support=2) if rule.item == "x"]
    assert len(rules) == PER_ITEM
    assert (rules[0].other, rules[0].confidence, rules[1].confidence) == (others[-1], 1.0, 0.75)


def test_the_nearest_come_first_without_itself_or_strangers() -> None:
    vectors = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [-1, 0]], np.float32)
    matches = [(numbers.tolist(), products.round(2).tolist()) for numbers, products in nearest(vectors, 2)]
    assert matches[0] == ([1, 2], pytest.approx([0.8, 0.6]))
    assert matches[3] == ([], [])
    assert [numbers.tolist() for numbers, _ in nearest(vectors[:1], 5)] == [[]]


def test_a_text_is_the_sum_of_what_its_words_mean() -> None:
    encoder = TfIdf(dimensions=4)
    encoder.fit(["red shoes", "blue shoes", "red hat", "green tea", "black tea"])
    words, meanings = encoder.word_vectors()
    meaning = meanings[words.index("red")] + meanings[words.index("tea")]
    assert np.allclose(meaning / np.linalg.norm(meaning), encoder.encode(["red tea"])[0], atol=1e-5)
