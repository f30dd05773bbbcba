"""What ids, labels and lines may hold, and the one form in which they are compared."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import types
from schemas.limit import OutOfRangeError
from schemas.record_limit import check
from schemas.text import canonical, canonical_json, cleaned, fold, id_problem, label, line, line_problem
from tests.build import T0_MS, a_profile, a_push_request, a_trigger, an_interaction, an_item
from tests.unit.schemas.strategy import records

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
WELCOME = [
    "Maison\u00a0& Jardin",
    "本\u3000雑誌",
    "می\u200cخواهم",
    "क्\u200dष",
    "Donau\u00addampfschiff",
    FAMILY,
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "❤\ufe0f",
    "שלום עולם",
    "مرحبا\u200f بالعالم",
    "日本語",
    "Ελλάδα",
    "O\u2019Neill \u2013 \u00a7 1\u202f000",
    "\U0001fae8",  # newer than some tables of characters
    "\ue000",  # of private use
    "ไทย\u200bไทย",
    "a/b?c#d%e:f",
    "'; DROP TABLE items; --",
    "~x",
    "-",
]
REFUSED = {
    "a\x00b": "control characters (U+0000)",
    "a\nb": "control characters (U+000A)",
    "a\tb": "control characters (U+0009)",
    "a\x1bb": "control characters (U+001B)",
    "a\x7fb": "control characters (U+007F)",
    "a\x81b": "control characters (U+0081)",
    "a\x9db": "control characters (U+009D)",
    "a\u2028b": "line separators (U+2028)",
    "a\u2029b": "line separators (U+2029)",
    "a\u202eb": "bidirectional controls (U+202E)",
    "a\u202ab\u202c": "bidirectional controls (U+202A)",
    "\u2067a\u2069": "bidirectional controls (U+2067)",
    "a\ud800b": "halves of surrogate pairs (U+D800)",
    "\udfff": "halves of surrogate pairs (U+DFFF)",
}


@pytest.mark.parametrize("text", WELCOME, ids=ascii)
def test_text_of_the_world_is_taken_as_it_is(text: str) -> None:
    assert (id_problem(text), line_problem(text), label(text), line(text)) == (None, None, text, text)
    event = an_interaction(user_id=text.replace("~", "") or "x", item_id=text, context={text: text}, query=text)
    item = an_item(text, category=text, title=text, topics=[text], city=text, brand=text)
    profile = a_profile(user_id="u1", categories=[text], topics=[text], muted=[text], segment=text, city=text)
    for record in (event, item, profile):
        check(record, now_ms=2 * T0_MS)
        assert canonical(record) is record


@pytest.mark.parametrize(("text", "problem"), REFUSED.items(), ids=ascii)
def test_what_cannot_be_meant_is_refused_by_its_name(text: str, problem: str) -> None:
    assert id_problem(text) == f"must not hold {problem}"
    for record in (an_interaction(user_id=text), a_profile(muted=[text]), an_item(text), an_item(topics=[text])):
        with pytest.raises(OutOfRangeError, match=r"must not hold"):
            check(canonical(record), now_ms=2 * T0_MS)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\x85b", r"must not hold control characters \(U\+0085\)"),
        ("a\x99", r"must not hold control characters \(U\+0099\)"),
        (" a", "must not begin or end with white space"),
        ("a\u00a0", "must not begin or end with white space"),
        ("\u3000a", "must not begin or end with white space"),
        ("\ufeffa", "must not begin or end with white space"),
        ("a\u200b", "must not begin or end with white space"),
        ("cafe\u0301", "must be in Unicode normalization form C"),
        ("\u212b", "must be in Unicode normalization form C"),
        ("\u200d", "must hold something that can be seen"),
        ("\u00ad\u00ad", "must hold something that can be seen"),
        ("\u0301", "must hold something that can be seen"),
    ],
)
def test_an_id_must_be_in_its_one_form(text: str, problem: str) -> None:
    assert re.fullmatch(problem, id_problem(text) or "")
    with pytest.raises(OutOfRangeError, match=problem):
        check(canonical(an_interaction(item_id=text)), now_ms=2 * T0_MS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  music ", "music"),
        ("\u00a0本\u3000", "本"),
        ("\ufeffmusic\r\n", "music"),
        ("Beast\x99", "Beast™"),
        ("Cafe\u0301", "Café"),
        ("ᄒ\u1161\u11ab", "한"),
        ("a  b", "a  b"),
    ],
)
def test_a_label_is_brought_into_its_one_form(text: str, expected: str) -> None:
    assert label(text) == expected
    profile = a_profile(categories=[text], topics=[text], muted=[text], segment=text, city=text)
    clean_text = canonical(profile)
    assert (clean_text.categories, clean_text.topics, clean_text.muted) == ([expected], [expected], [expected])
    assert (clean_text.segment, clean_text.city) == (expected, expected)
    item = canonical(an_item(category=text, topics=[text], brand=text, city=text, kind=text))
    assert (item.category, item.topics, item.brand, item.city, item.kind) == (expected, [expected], *[expected] * 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" A\tlamp\r\nof glass\x0b ", "A lamp of glass"),
        ("A\u2028B", "A\u2028B"),
        ("ASAP\x99 Charge\x85", "ASAP™ Charge…"),
        ("\x93Quoted\x94", "“Quoted”"),
        ("Cafe\u0301", "Café"),
    ],
)
def test_a_title_stays_on_one_line(text: str, expected: str) -> None:
    assert line(text) == expected
    assert canonical(an_item(title=text)).title == expected
    assert canonical(a_push_request(kind="send", title=text)).title == expected
    candidate = types.Candidate(item_id="i1", title=text)
    assert canonical(a_trigger(described=[candidate])).described[0].title == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\u2067שלום\u2069 world", None),
        ("\u202bשלום\u202c world", None),
        ("\u2066\u2067a\u2069\u2069", None),
        ("مرحبا\u200f\u061c", None),
        ("evil\u202egpj.exe", "must not hold bidirectional controls (U+202E)"),
        ("evil\u202dgpj\u202c", "must not hold bidirectional controls (U+202D)"),
        ("\u2067open", "does not close a bidirectional control that it opens"),
        ("close\u2069", "closes a bidirectional control that it does not open (U+2069)"),
        ("\u2067a\u202c", "closes a bidirectional control that it does not open (U+202C)"),
        ("bell\x07", "must not hold control characters (U+0007)"),
        ("half\ud800", "must not hold halves of surrogate pairs (U+D800)"),
    ],
)
def test_a_title_may_be_written_from_the_right_but_not_turn_what_stands_beside_it(
    text: str, problem: str | None
) -> None:
    assert line_problem(text) == problem
    for record in (an_item(title=text), a_push_request(kind="send", title=text)):
        if problem is None:
            check(canonical(record), now_ms=2 * T0_MS)
        else:
            with pytest.raises(OutOfRangeError) as exc_info:
                check(canonical(record), now_ms=2 * T0_MS)
            assert exc_info.value.field == "title"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café", "cafe"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ｆｕｌｌ　Ｗｉｄｔｈ", "full width"),
        ("ﬁn", "fin"),
        ("ASAP™ 1½ m² H₂O 5㎏", "asap tm  1 1\u20442  m2 h2o 5 kg "),
        ("ガ", "ガ"),
        ("ｶﾞ", "ガ"),
        ("हिन्दी", "हिन्दी"),
        ("İstanbul", "istanbul"),
        ("Σίσυφος", "σισυφοσ"),
        ("soft\u00adhyphen", "softhyphen"),
    ],
)
def test_what_reads_alike_folds_to_one_text(text: str, expected: str) -> None:
    assert fold(text) == unicodedata.normalize("NFKC", expected)
    assert fold(unicodedata.normalize("NFD", text)) == fold(text)


ANYTHING = st.text(alphabet=st.characters(), max_size=30)


@given(ANYTHING)
def test_forms_are_stable_and_what_is_cleaned_can_be_kept(text: str) -> None:
    assert label(label(text)) == label(text)
    assert line(line(text)) == line(text)
    clean_text = cleaned(text)
    assert line_problem(clean_text) is None
    if clean_text and any(unicodedata.category(char)[0] not in "CZM" for char in clean_text):
        assert id_problem(clean_text) is None
    assert fold(fold(text)) == fold(text)


@given(st.one_of(records(types.Item), records(types.Profile), records(types.Trigger), records(types.PushRequest)))
def test_a_record_in_its_one_form_stays_as_it_is(record: Any) -> None:
    once = canonical(record)
    assert canonical(once) == once
    ids = ("event_id", "user_id", "item_id", "token", "candidates")
    assert all(getattr(once, name) == getattr(record, name) for name in ids if hasattr(record, name))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("aé\u0301ñ本", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.booleans())
def test_json_in_form_c_means_the_same(value: Any, is_escaped: bool) -> None:
    data = json.dumps(value, ensure_ascii=is_escaped).encode()
    body = msgspec.json.decode(canonical_json(data))
    assert body == msgspec.json.decode(unicodedata.normalize("NFC", json.dumps(value, ensure_ascii=False)))
