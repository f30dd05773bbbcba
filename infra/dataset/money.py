"""Prices and counts as people write them: with signs of currencies, thousands separators, and either decimal mark."""

from __future__ import annotations

import re

_SIGNS = {"₹": "INR", "rs": "INR", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_CODE = re.compile(r"[A-Za-z]{3}")
_NUMBER = re.compile(r"\d[\d.,'’\u00a0\u202f ]*|\.\d+")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}", re.ASCII)


def read(text: str) -> tuple[float | None, str]:
    """Return an amount and its currency's code, nothing and an empty code where nothing is told.

    Where both marks are there the last one is the decimal one; a lone comma before three digits parts thousands, a lone
    point never does, since that is how machines write decimals.

    Raises:
        ValueError: it is no amount.
    """
    text = text.strip()
    if not text:
        return None, ""
    found = _NUMBER.search(text)
    sign = "" if found is None else (text[: found.start()] + text[found.end() :]).strip().rstrip(".").lower()
    code = _SIGNS.get(sign) or (sign.upper() if _CODE.fullmatch(sign) else "")
    if found is None or (sign and not code):
        raise ValueError(f"{text!r} is no amount of money")
    return number(found[0]), code


def number(text: str) -> float:
    """Return a number written with or without separators.

    Raises:
        ValueError: it is none.
    """
    bare = re.sub(r"[\s'’\u00a0\u202f]", "", text)
    if "," in bare and "." in bare:
        thousands, decimal = (",", ".") if bare.rfind(".") > bare.rfind(",") else (".", ",")
        bare = bare.replace(thousands, "").replace(decimal, ".")
    elif "," in bare:
        bare = bare.replace(",", "") if _THOUSANDS.fullmatch(bare) else bare.replace(",", ".")
    elif bare.count(".") > 1:
        bare = bare.replace(".", "")
    if not re.fullmatch(r"\d+\.?\d*|\.\d+", bare, re.ASCII):
        raise ValueError(f"{text!r} is no number")
    return float(bare)
