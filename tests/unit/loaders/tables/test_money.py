"""Prices in the wild: each spelling means one amount, or is refused; never another amount."""

import random

import pytest
from babel import localedata
from babel.numbers import format_currency, format_decimal, get_currency_precision
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders.tables import currency, number
from loaders.tables.money import Price, PriceParser

LOCALES = sorted(localedata.locale_identifiers())
CURRENCIES = ("USD", "EUR", "GBP", "INR", "JPY", "BRL", "CHF", "SEK", "PLN", "KWD", "HUF", "IDR", "VND", "MXN", "CLP")
NBSP, THIN, NARROW, RLM = "\u00a0", "\u2009", "\u202f", "\u200f"


def price(text: str, *others: str, mark: str | None = None, code: str = "") -> Price | None:
    return PriceParser([[text, *others]], mark=mark, code=code).read(text)


@pytest.mark.parametrize(
    ("text", "amount", "code"),
    [
        ("499", 499, ""),
        ("12.99", 12.99, ""),
        ("12,99", 12.99, ""),
        ("0,125", 0.125, ""),
        ("0,500", 0.5, ""),
        (".99", 0.99, ""),
        ("12.", 12, ""),
        ("1,234,567", 1_234_567, ""),
        ("1.234.567", 1_234_567, ""),
        ("12,34,567", 1_234_567, ""),
        ("1 299,50", 1_299.5, ""),
        (f"1{NBSP}299,50", 1_299.5, ""),
        ("1'299.95", 1_299.95, ""),
        ("1’299", 1_299, ""),
        ("243.0", 243, ""),
        ("Rs.499", 499, "INR"),
        ("Rs 499", 499, "INR"),
        ("Rs. 1,299.00", 1_299, "INR"),
        ("Rs.1,099.00", 1_099, "INR"),
        ("Rs. 499.", 499, "INR"),
        ("₹1,23,456", 123_456, "INR"),
        ("₹499/-", 499, "INR"),
        ("₹ 1,299", 1_299, "INR"),
        ("INR 499", 499, "INR"),
        ("499 rupees", 499, "INR"),
        ("R$ 1.299,00", 1_299, "BRL"),
        ("R$1.299", 1_299, "BRL"),
        ("US$ 12.99", 12.99, "USD"),
        ("$131.99", 131.99, "USD"),
        ("$1,299", 1_299, "USD"),
        ("$.99", 0.99, "USD"),
        ("USD 5", 5, "USD"),
        ("5 usd", 5, "USD"),
        ("US$ 12.99 USD", 12.99, "USD"),
        ("A$5", 5, "AUD"),
        ("HK$ 5", 5, "HKD"),
        ("EUR 5", 5, "EUR"),
        ("1.299,00 €", 1_299, "EUR"),
        (f"1{THIN}299,50 €", 1_299.5, "EUR"),
        ("€5.-", 5, "EUR"),
        ("499,-€", 499, "EUR"),
        ("12€99", 12.99, "EUR"),
        ("5 euros", 5, "EUR"),
        ("£5·99", 5.99, "GBP"),
        ("£1,299", 1_299, "GBP"),
        ("129 zł", 129, "PLN"),
        ("1.299 zł", 1_299, "PLN"),
        ("1 299 kr", 1_299, ""),
        (f"1{NARROW}299 kr", 1_299, ""),
        ("kr. 5,00", 5, ""),
        ("1.299 kr", 1_299, ""),
        ("499,-", 499, ""),
        ("499:-", 499, ""),
        ("1.299,-", 1_299, ""),
        ("5,000/=", 5_000, ""),
        ("499,- Kč", 499, "CZK"),
        ("1 299 Ft", 1_299, "HUF"),
        ("CHF 1'299.–", 1_299, "CHF"),
        ("SFr. 5.50", 5.5, "CHF"),
        ("¥1,299", 1_299, "JPY"),
        ("１２９９円", 1_299, "JPY"),
        ("￥１，２９９", 1_299, "JPY"),
        ("₩1,299", 1_299, "KRW"),
        ("Rp 1.299.000", 1_299_000, "IDR"),
        ("1.299.000 ₫", 1_299_000, "VND"),
        ("RM 5.50", 5.5, "MYR"),
        ("R 499", 499, "ZAR"),
        ("S/ 5.50", 5.5, "PEN"),
        ("₺1.299,90", 1_299.9, "TRY"),
        ("1 299,00 ₽", 1_299, "RUB"),
        ("129 руб.", 129, "RUB"),
        ("129 грн", 129, "UAH"),
        ("٤٩٩", 499, ""),
        ("١٬٢٩٩٫٥٠", 1_299.5, ""),
        (f"{RLM}١٬٢٩٩٫٥٠{NBSP}ر.س.{RLM}", 1_299.5, "SAR"),
        ("₹१,२३,४५६", 123_456, "INR"),
        ("د.إ 5.00", 5, "AED"),
        ("1.299,00&nbsp;&euro;", 1_299, "EUR"),
        ("&#8377;499", 499, "INR"),
        ("USD1,299.99", 1_299.99, "USD"),
        ("$1299 CAD", 1_299, "CAD"),
        ("฿1,299.00", 1_299, "THB"),
    ],
)
def test_a_spelling_means_its_amount(text: str, amount: float, code: str) -> None:
    parsed_price = price(text)
    assert parsed_price is not None
    assert (parsed_price.amount, parsed_price.currency, parsed_price.to) == (amount, code, None)


@pytest.mark.parametrize(
    ("text", "low", "high", "code"),
    [
        ("10-15", 10, 15, ""),
        ("$10 - $15", 10, 15, "USD"),
        ("€10–€15", 10, 15, "EUR"),
        ("10 – 15 €", 10, 15, "EUR"),
        ("5.999,00-6.499,00 €", 5_999, 6_499, "EUR"),
        ("499,- - 599,-", 499, 599, ""),
        ("10 to 15", 10, 15, ""),
        ("US$ 1,299.00 ~ 1,399.00", 1_299, 1_399, "USD"),
    ],
)
def test_a_range_is_its_two_ends(text: str, low: float, high: float, code: str) -> None:
    assert price(text) == Price(amount=low, to=high, currency=code, sign="$" if text.startswith("$") else "")


@pytest.mark.parametrize(
    "text",
    [
        "free", "Get", "₹", "-5", "(5.00)", "5.00-", "−5", "1e5", "5 apples", "abc 5", "12,34,5", "1,2345,67", "1..2",
        "2 for 10", "3 pcs 5 €", "from $5", "1,299.00 INR/kg", "5 €/month", "$1.5M", "10K", "5 L", "5 kg", "5%", "+5",
        "5 x 10", "10-15-20", "15-10", "2019-10-01", "€5 $", "$5 - €6", "Rs .99", "0 299", "1,299,00", "5²", "½",
        "1 2", "499 R", "5 top", "9" * 101,
    ],
)  # fmt: skip
def test_what_is_not_a_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|negative|two currencies"):
        price(text)


@pytest.mark.parametrize(
    "text", ["1.299", "1,299", "1.299 €", "1,299 €", "$1.299", "1,299 zł", "BHD 1.299", "Rs.1.099", "1.299 CHF"]
)
def test_what_may_be_two_amounts_is_refused_when_nothing_decides(text: str) -> None:
    with pytest.raises(number.AmbiguousNumberError, match=r"may be 1\d99 or 1\.\d99"):
        price(text)


@pytest.mark.parametrize(
    ("text", "others", "amount"),
    [
        ("1.299 €", ["12,99 €"], 1_299),
        ("1.299 €", ["12.99 €"], 1.299),
        ("1.299", ["0.5", "7"], 1.299),
        ("1,299", ["1,234,567"], 1_299),
        ("1,299", ["0,125"], 1.299),
        ("1.299 €", ["1.299,00 €", "5 €"], 1_299),
        ("$1.299", ["$1.2"], 1.299),
        ("1,299", ["12.5"] * 200 + ["12,5"], 1_299),
    ],
)
def test_the_column_decides(text: str, others: list[str], amount: float) -> None:
    parsed_price = price(text, *others)
    assert parsed_price is not None
    assert parsed_price.amount == amount


@pytest.mark.parametrize("others", [["12,99", "12.99"], ["$12.99"], ["7"], []])
def test_a_column_that_contradicts_itself_or_is_of_another_currency_decides_nothing(others: list[str]) -> None:
    with pytest.raises(number.AmbiguousNumberError):
        price("1.299 €", *others)


def test_what_the_caller_knows_decides() -> None:
    assert price("1.299", mark=",") == Price(amount=1_299)
    assert price("1.299", mark=".") == Price(amount=1.299)
    assert price("5 kr", code="DKK") == Price(amount=5, currency="DKK")
    assert price("$5", code="MXN") == Price(amount=5, currency="MXN")
    assert price("5 €", code="MXN") == Price(amount=5, currency="EUR"), "a sign of one currency is not overruled"
    assert price("5", code="SEK") == Price(amount=5, currency="SEK")


@pytest.mark.parametrize(("text", "sign"), [("$5", "$"), ("5 kr.", "kr"), ("¥500", "¥"), ("Rs. 5", "Rs"), ("€5", "")])
def test_a_sign_of_several_currencies_is_named(text: str, sign: str) -> None:
    parsed_price = price(text)
    assert parsed_price is not None
    assert parsed_price.sign == sign


@pytest.mark.parametrize("text", ["", " ", "-", "--", "—", "?", "NULL", "NaN", "N/A", "None", "#N/A"])
def test_a_missing_price_is_none(text: str) -> None:
    assert price(text) is None


def formatted(draw: random.Random, locale: str, code: str) -> tuple[str, float]:
    digits = get_currency_precision(code)
    amount = round(draw.choice((1, 10, 1_000, 2_000, 1e6, 1e7)) * draw.random(), draw.choice((0, digits)))
    return format_currency(amount, code, locale=locale), amount


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(LOCALES), st.sampled_from(CURRENCIES), st.randoms(use_true_random=False))
def test_a_formatted_price_is_read_as_itself_or_refused(locale: str, code: str, draw: random.Random) -> None:
    cells = [formatted(draw, locale, code) for _ in range(draw.randint(1, 8))]
    prices = PriceParser([[text for text, _ in cells]])
    for text, amount in cells:
        try:
            parsed_price = prices.read(text)
        except ValueError:
            continue
        assert parsed_price is not None
        assert parsed_price.amount == pytest.approx(amount, rel=1e-12), (locale, text)
        if parsed_price.currency and not parsed_price.sign:
            assert parsed_price.currency == code, (locale, text)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(LOCALES),
    st.lists(st.sampled_from((0.5, 1.0, 1.299, 12.99, 499.0, 1299.0, 1299.5, 1e6)), min_size=1),
)
def test_a_column_of_formatted_numbers_is_read_as_itself_or_refused(locale: str, amounts: list[float]) -> None:
    texts = [format_decimal(amount, locale=locale) for amount in amounts]
    prices = PriceParser([texts])
    for text, amount in zip(texts, amounts, strict=True):
        try:
            parsed_price = prices.read(text)
        except ValueError:
            continue
        assert parsed_price is not None
        assert parsed_price.amount == pytest.approx(amount, rel=1e-12), (locale, text)


def test_common_locales_are_read_and_not_refused() -> None:
    for locale in (
        "en_US",
        "en_IN",
        "de_DE",
        "de_CH",
        "fr_FR",
        "es_ES",
        "pt_BR",
        "pl_PL",
        "sv_SE",
        "ja_JP",
        "ar_EG",
        "hi_IN",
    ):
        code = {"en_IN": "INR", "hi_IN": "INR", "ja_JP": "JPY", "pt_BR": "BRL", "pl_PL": "PLN"}.get(locale, "EUR")
        texts = [format_currency(amount, code, locale=locale) for amount in (1_299, 12, 0.5 if code != "JPY" else 1)]
        prices = PriceParser([texts])
        assert [parsed_price and parsed_price.currency for parsed_price in map(prices.read, texts)] == [code] * 3, (
            locale
        )


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_price_missing_or_refused(text: str) -> None:
    try:
        parsed_price = price(text)
    except ValueError:
        return
    assert parsed_price is None or parsed_price.amount >= 0


def test_the_home_mark_of_a_currency_is_known_where_there_is_one() -> None:
    assert (currency.home_mark("USD"), currency.home_mark("BRL"), currency.home_mark("EUR")) == (".", ",", None)
