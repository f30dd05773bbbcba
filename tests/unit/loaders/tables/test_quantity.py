"""Counts, ratings and shares in the wild: read by the evidence of their column, or refused."""

import pytest
from babel import localedata
from babel.numbers import format_decimal, format_percent
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders.tables import quantity

LOCALES = sorted(localedata.locale_identifiers())


def value(values: quantity.Values, text: str) -> float | None:
    result = values[text]
    if isinstance(result, ValueError):
        raise result
    return result


@pytest.mark.parametrize(
    ("texts", "counts"),
    [
        (["115"], [115]),
        (["2,255"], [2_255]),
        (["1.234"], [1_234]),
        (["1.500"], [1_500]),
        (["1,23,456"], [123_456]),
        (["1 234"], [1_234]),
        (["1.000", "1.234"], [1_000, 1_234]),
        (["1.000", "15.0"], [1, 15]),
        (["1,000", "1,234,567"], [1_000, 1_234_567]),
        (["(1,234)", "1,234 ratings", "12 reviews"], [1_234, 1_234, 12]),
        (["2.3K", "10k", "1.5M"], [2_300, 10_000, 1_500_000]),
        (["١٬٢٣٤"], [1_234]),
        (["0"], [0]),
        (["", "-", "NULL", "NaN", "?"], [None] * 5),
    ],
)
def test_counts(texts: list[str], counts: list[float | None]) -> None:
    values = quantity.counts(texts)
    assert [value(values, text) for text in texts] == counts


@pytest.mark.parametrize(
    "texts", [["1.5"], ["Get"], ["FREE Delivery"], ["-3"], ["10+"], ["1.000"], ["0.500"], ["1.500", "0.5"], ["1.234K"]]
)
def test_what_counts_nothing_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"is not a whole number|may be"):
        value(quantity.counts(texts), texts[0])


@pytest.mark.parametrize(
    ("texts", "scale", "ratings"),
    [
        (["4.5", "4,5", "0", "5"], 5, [0.9, 0.9, 0, 1]),
        (["9", "10", "4"], 10, [0.9, 1, 0.4]),
        (["4.5/5", "9/10", "90%", "90 %", "45/50"], 5, [0.9] * 5),
        (["4.5 out of 5 stars", "4,5 von 5 Sternen", "4,5 sur 5", "4.5 stars", "4.5 ★"], 5, [0.9] * 5),
        (["★★★★☆", "★★★★★", "⭐⭐⭐"], 5, [0.8, 1, 0.6]),
        (["4.125"], 5, [0.825]),
        (["4,125"], 5, [0.825]),
        (["80"], 100, [0.8]),
        (["", "N/A"], 5, [None, None]),
    ],
)
def test_ratings(texts: list[str], scale: float, ratings: list[float | None]) -> None:
    values = quantity.ratings(texts, scale=scale)
    assert [value(values, text) for text in texts] == pytest.approx(ratings)


@pytest.mark.parametrize("text", ["Get", "5.1", "-1", "6/5", "110%", "4/0", "4.5.6", "NaN stars"])
def test_what_is_no_rating_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rating from 0 to 5"):
        value(quantity.ratings([text, "4", "3"], scale=5), text)


def test_ratings_of_a_longer_scale_are_refused_as_a_whole() -> None:
    with pytest.raises(ValueError, match=r"2 of 4 ratings, such as '9', are above 5"):
        quantity.ratings(["9", "8", "5", "4"], scale=5)
    assert value(quantity.ratings(["9/10", "8/10", "4"], scale=5), "4") == 0.8


@pytest.mark.parametrize(
    ("texts", "shares"),
    [
        (["0.804", "0", "1"], [0.804, 0, 1]),
        (["80.4%", "80,4 %", "-80%", "80% off", "(80%)", "٨٠٪"], [0.804, 0.804, 0.8, 0.8, 0.8, 0.8]),
        (["80", "25", "1"], [0.8, 0.25, 0.01]),
        (["0,125"], [0.125]),
        (["0.500"], [0.5]),
    ],
)
def test_shares(texts: list[str], shares: list[float]) -> None:
    values = quantity.shares(texts)
    assert [value(values, text) for text in texts] == pytest.approx(shares)


@pytest.mark.parametrize("text", ["150%", "half", "101", "50/100"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        value(quantity.shares([text]), text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(LOCALES), st.lists(st.integers(0, 10**9), min_size=1, max_size=6))
def test_formatted_counts_are_read_as_themselves_or_refused(locale: str, counts: list[int]) -> None:
    texts = [format_decimal(count, locale=locale) for count in counts]
    values = quantity.counts(texts)
    for text, count in zip(texts, counts, strict=True):
        assert isinstance(values[text], ValueError) or values[text] == count, (locale, text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(LOCALES), st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_formatted_ratings_are_read_as_themselves_or_refused(locale: str, tenths: list[int]) -> None:
    texts = [format_decimal(number / 10, locale=locale) for number in tenths]
    values = quantity.ratings(texts, scale=5)
    for text, number in zip(texts, tenths, strict=True):
        assert isinstance(values[text], ValueError) or values[text] == pytest.approx(number / 50), (locale, text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(LOCALES), st.lists(st.integers(0, 100), min_size=1, max_size=6))
def test_formatted_shares_are_read_as_themselves_or_refused(locale: str, percents: list[int]) -> None:
    texts = [format_percent(percent / 100, locale=locale) for percent in percents]
    values = quantity.shares(texts)
    for text, percent in zip(texts, percents, strict=True):
        assert isinstance(values[text], ValueError) or values[text] == pytest.approx(percent / 100), (locale, text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_a_value_missing_or_refused(texts: list[str]) -> None:
    for values in (quantity.counts(texts), quantity.shares(texts)):
        assert all(result is None or isinstance(result, ValueError) or result >= 0 for result in values.values())
