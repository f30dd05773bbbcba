"""Which word is meant, and what stands for what."""

from hypothesis import given
from hypothesis import strategies as st

from infra.postgres.spelling import correction, distance
from infra.postgres.synonyms import terms, words

LETTERS = st.text("abc", max_size=6)


def test_the_nearest_and_most_used_word_is_meant() -> None:
    word_counts = [("headphones", 90), ("headphone", 20), ("telephones", 40)]
    assert correction("hedphones", word_counts) == "headphones"
    assert correction("haedphones", word_counts) == "headphones", "two letters swapped are one error"
    assert correction("megaphones", word_counts) is None, "three letters away is another word"
    assert correction("shose", [("shoes", 5), ("those", 9)]) == "those"
    assert correction("shirtt", []) is None


@given(LETTERS, LETTERS, LETTERS)
def test_a_distance_is_symmetric_and_nothing_only_to_itself(one: str, other: str, third: str) -> None:
    assert distance(one, other) == distance(other, one)
    assert (distance(one, other) == 0) == (one == other)
    assert distance(one, other) <= max(len(one), len(other))
    assert distance(one + third, other + third) <= distance(one, other)


def test_the_longest_known_phrase_is_one_term_with_what_stands_for_it() -> None:
    synonyms_by_phrase = dict(terms(words("Portable Charger for cell phones")))
    assert ("power", "bank") in synonyms_by_phrase["portable", "charger"]
    assert ("smartphone",) in synonyms_by_phrase["cell", "phones"]
    assert synonyms_by_phrase[("for",)] == []


def test_a_number_is_one_word_with_its_point() -> None:
    assert words("Split AC, 1.5 Ton.") == ["split", "ac", "1.5", "ton"]


def test_plurals_have_the_synonyms_of_their_singular() -> None:
    [(term, others)] = terms(["earbud"])
    assert term == ("earbud",)
    assert ("earphones",) in others
