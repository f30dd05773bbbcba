"""Currencies of prices: ISO codes, CLDR data through Babel, and spellings of shops."""

from __future__ import annotations

from functools import cache

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.languages import get_official_languages
from babel.numbers import get_currency_precision

_SPELLINGS = {
    "AED": "dhs د.إ درهم", "AMD": "֏", "AUD": "a$ au$ aud$", "AZN": "₼", "BDT": "৳ tk taka", "BGN": "лв lv leva",
    "BOB": "bs", "BRL": "r$ reais real", "CAD": "ca$ cad$ can$", "CHF": "fr sfr franken", "CLP": "clp$ cl$",
    "CNY": "cn¥ rmb 元 人民币 yuan", "COP": "col$ cop$", "CRC": "₡", "CZK": "kč kc", "DKK": "dkr", "DOP": "rd$",
    "EGP": "ج.م e£ eg£", "EUR": "€ euro euros", "GBP": "gb£ uk£", "GEL": "₾", "GHS": "₵ gh₵ gh¢", "HKD": "hk$",
    "HRK": "kn", "HUF": "ft", "IDR": "rp", "ILS": "₪ nis ש\"ח", "INR": "₹ ₨ inr.", "IQD": "د.ع", "ISK": "ikr",
    "JMD": "j$", "JOD": "د.أ", "JPY": "jp¥ 円 yen", "KES": "ksh kshs", "KHR": "៛", "KRW": "₩ 원 won", "KWD": "د.ك",
    "KZT": "₸", "LAK": "₭", "MAD": "د.م", "MKD": "ден", "MNT": "₮", "MXN": "mx$ mex$", "MYR": "rm", "NGN": "₦",
    "NOK": "nkr", "NZD": "nz$", "OMR": "ر.ع", "PEN": "s/ s/.", "PHP": "₱", "PLN": "zł zl złoty złotych", "PYG": "₲",
    "QAR": "ر.ق", "RON": "lei leu", "RSD": "din дин", "RUB": "₽ руб р рублей", "SAR": "ر.س ريال", "SEK": "skr",
    "SGD": "s$ sg$", "THB": "฿ บาท baht", "TND": "د.ت", "TRY": "₺ tl", "TTD": "tt$", "TWD": "nt$ 新台幣", "TZS": "tsh",
    "UAH": "₴ грн", "UGX": "ush", "USD": "us$ usd$ $us", "UYU": "$u", "VND": "₫ đ vnđ", "BHD": "د.ب",
}  # fmt: skip
_SHARED = {
    "$": ("USD", "CAD", "AUD", "MXN", "ARS", "CLP", "COP"),
    "dollar": ("USD", "CAD", "AUD"),
    "dollars": ("USD", "CAD", "AUD"),
    "£": ("GBP", "EGP"),
    "pound": ("GBP", "EGP"),
    "pounds": ("GBP", "EGP"),
    "¥": ("JPY", "CNY"),
    "rs": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "re": ("INR", "PKR"),
    "rupee": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "rupees": ("INR", "PKR", "LKR", "NPR", "MUR"),
    "रु": ("INR", "NPR"),
    "kr": ("", "SEK", "NOK", "DKK", "ISK"),
    "c$": ("CAD", "NIO"),
    "﷼": ("", "SAR", "IRR", "YER", "OMR", "QAR"),
    "dh": ("", "AED", "MAD"),
}
"""Signs of several currencies: the first is the default; an empty first entry means no default."""
_LOWER = frozenset(("usd", "eur", "gbp", "inr", "jpy", "cny", "chf", "cad", "aud", "nzd", "sek", "nok", "dkk", "pln"))
"""Codes accepted in lower case; others are words, such as all, top and try."""


@cache
def codes_of(sign: str) -> tuple[str, ...]:
    """Return the codes of the possible currencies of a sign or word, the default first; empty when unknown.

    >>> codes_of("₹"), codes_of("kr."), codes_of("CHF"), codes_of("kg")
    (('INR',), ('', 'SEK', 'NOK', 'DKK', 'ISK'), ('CHF',), ())
    """
    sign = sign.strip()
    bare = sign.rstrip(". ")
    if is_code(bare) or bare in _LOWER:
        return (bare.upper(),)
    key = bare.replace(" ", "").casefold()
    if key in _SHARED:
        return _SHARED[key]
    code = _codes().get(key) or _codes().get(sign.casefold())
    return (code,) if code else ()


def is_code(code: str) -> bool:
    """Return whether a text is the ISO code of a currency."""
    return code in get_global("all_currencies")


@cache
def digits_of(code: str) -> int:
    """Return the number of decimals of prices in a currency."""
    return get_currency_precision(code)


@cache
def home_mark(code: str) -> str | None:
    """Return the decimal mark in a currency's country; None where several are in use, as for the euro."""
    marks = set()
    for language in get_official_languages(code[:2], de_facto=True):
        try:
            marks.add(Locale.parse(f"{language}_{code[:2]}").number_symbols["latn"]["decimal"])
        except (UnknownLocaleError, ValueError, KeyError):
            continue
    return marks.pop() if len(marks) == 1 else None


@cache
def _codes() -> dict[str, str]:
    return {sign: code for code, signs in _SPELLINGS.items() for sign in signs.split()}
