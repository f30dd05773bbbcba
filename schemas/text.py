"""Unicode text: validation of ids and labels, their canonical form, and folding for search.

An id (of a user, an item, a request …) is compared byte for byte and never changed, so it must already be in canonical
form. A label (a category, a topic, a city …) is text for people and is converted to that form. The canonical form is
Unicode's normalization form C (https://www.unicode.org/reports/tr15/) without white space at the ends. It allows
letters of all scripts, no-break and ideographic spaces, joiners, soft hyphens and emoji.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from schemas.types import (
    Candidate,
    Content,
    FetchRequest,
    Interaction,
    Item,
    Profile,
    ProfileUpdate,
    PushRequest,
    Trigger,
)

R = TypeVar("R")


def _is_sign(char: str) -> bool:
    return unicodedata.category(char) == "So" or unicodedata.decomposition(char).startswith("<fraction>")


_EDGES = "".join(map(chr, (*range(9, 14), *range(28, 33), *range(0x2000, 0x200C), 0x85, 0xA0, 0x1680, 0x2028, 0x2029)))
_EDGES += "\u202f\u205f\u2060\u3000\ufeff"
"""White space, and the invisible U+FEFF, U+200B and U+2060."""
_BREAKS = re.compile("[\t-\r\x1c-\x1f]+")
"""Control characters that are white space."""
_WINDOWS = {code: char for code in range(0x80, 0xA0) if (char := bytes([code]).decode("cp1252", errors="ignore"))}
"""Replacements of control characters above 127, from Windows-1252 misread as Latin-1; HTML does the same."""
_OVERRIDES = "\u202d\u202e"
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, bidirectional embeddings, overrides and isolates, halves of surrogate pairs."""
_REFUSED_IN_LINE = re.compile(f"[\x00-\x1f\x7f-\x9f{_OVERRIDES}\ud800-\udfff]")
_OPENS, _CLOSES = (
    {"\u202a": "\u202c", "\u202b": "\u202c", **dict.fromkeys("\u2066\u2067\u2068", "\u2069")},
    "\u202c\u2069",
)
_UNSEEN = frozenset(("Cf", "Zs", "Mn", "Me"))
_ACCENTS = re.compile("[\u0300-\u036f]")
"""Marks of Latin, Greek and Cyrillic letters; marks of other scripts distinguish letters."""
_APART = re.compile(
    f"[{''.join(c for c in map(chr, range(0xA0, 0x3400)) if unicodedata.decomposition(c) and _is_sign(c))}]"
)
"""Signs that decompose into letters and digits but are not part of the word before them, such as ™ and ½."""
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff\ufe0e\ufe0f]")


def label(text: str) -> str:
    """Return a label in canonical form."""
    if text.isascii():
        return text.strip()
    return unicodedata.normalize("NFC", text.translate(_WINDOWS)).strip(_EDGES)


def line(text: str) -> str:
    """Return a title or another line in canonical form; tabs and line breaks become spaces."""
    return label(_BREAKS.sub(" ", text))


def cleaned(text: str) -> str:
    """Return a third-party text as a line without rejected characters; empty without visible characters."""
    text = line(_REFUSED.sub(" ", text))
    return text if _is_visible(text) else ""


def id_problem(text: str) -> str | None:
    """Return the problem of a text as an id or a label, phrased to follow its name; None for a valid one."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return None
    match = _REFUSED.search(text)
    if match:
        return _must_not_hold(match[0])
    if text != text.strip(_EDGES):
        return "must not begin or end with white space"
    if not _is_visible(text):
        return "must hold something that can be seen"
    if not unicodedata.is_normalized("NFC", text):
        return "must be in Unicode normalization form C"
    return None


def line_problem(text: str) -> str | None:
    """Return the problem of a text as a title or another line, phrased as in `id_problem`."""
    if text.isascii() and text.isprintable():
        return None
    match = _REFUSED_IN_LINE.search(text)
    return _must_not_hold(match[0]) if match else _unbalanced(text)


def fold(text: str) -> str:
    """Return a text without case, width, accents and invisible characters, for comparison in searches."""
    if text.isascii():
        return text.casefold()
    apart = _APART.sub(r" \g<0> ", text)
    bare = _INVISIBLE.sub("", _ACCENTS.sub("", unicodedata.normalize("NFKD", apart)))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", bare).casefold())


def canonical(record: R) -> R:
    """Return a record with its labels and lines in canonical form; the same object where nothing changes."""
    forms = _FORMS.get(type(record))
    if forms is None:
        return record
    changes = {
        name: normal_form
        for name, form in forms.items()
        if (value := getattr(record, name)) and (normal_form := form(value)) != value
    }
    return msgspec.structs.replace(record, **changes) if changes else record  # type: ignore[type-var]


def canonical_json(data: bytes) -> bytes:
    """Return JSON with all texts in normalization form C, so that ids compare equal.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: the data is not JSON.
    """
    if data.isascii() and b"\\u" not in data:
        return data
    return msgspec.json.encode(_composed(msgspec.json.decode(data)))


def _composed(value: Any) -> Any:
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case list():
            return [_composed(one) for one in value]
        case dict():
            return {_composed(key): _composed(one) for key, one in value.items()}
        case _:
            return value


def _is_visible(text: str) -> bool:
    return any(unicodedata.category(char) not in _UNSEEN for char in text)


def _must_not_hold(char: str) -> str:
    if char in "\u2028\u2029":
        kind = "line separators"
    elif "\ud800" <= char <= "\udfff":
        kind = "halves of surrogate pairs"
    elif unicodedata.category(char) == "Cc":
        kind = "control characters"
    else:
        kind = "bidirectional controls"
    return f"must not hold {kind} (U+{ord(char):04X})"


def _unbalanced(text: str) -> str | None:
    """Return the problem of unbalanced bidirectional controls, which would reorder the text around the line."""
    due: list[str] = []
    for char in text:
        if char in _OPENS:
            due.append(_OPENS[char])
        elif char in _CLOSES and (not due or due.pop() != char):
            return f"closes a bidirectional control that it does not open (U+{ord(char):04X})"
    return "does not close a bidirectional control that it opens" if due else None


def _each(form: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [form(value) for value in values]


def _labels(values: list[str]) -> list[str]:
    """Return labels in canonical form, without those of white space alone."""
    return [text for value in values if (text := label(value)) or not value]


def _preferences(preferences: Any) -> Any:
    if not preferences.categories:
        return preferences
    return msgspec.structs.replace(preferences, categories=_labels(preferences.categories))


_STATED: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("segment", "city"), label),
    **dict.fromkeys(("categories", "topics", "muted"), _labels),
}
_FORMS: dict[type, Mapping[str, Callable[[Any], Any]]] = {
    Interaction: {"query": line},
    Profile: _STATED,
    ProfileUpdate: _STATED,
    Item: {
        **dict.fromkeys(("category", "source", "city", "kind", "brand"), label),
        "topics": _labels,
        "title": line,
    },
    Candidate: {"category": label, "source": label, "topics": _labels, "title": line},
    Trigger: {"described": _each(canonical), "reason": line},
    PushRequest: {"category": label, "title": line, "preferences": _preferences},
    FetchRequest: {"category": label, "city": label, "words": _labels},
    Content: {"category": label, "city": label},
}
