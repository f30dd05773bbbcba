"""Taking text apart that is written without spaces, so that any part of it is found."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.postgres.segment import any_word, document, pairs, plain, query, runs, spaced
from streams.roles.shop import similarity_fit


@pytest.mark.parametrize(
    ("text", "bare", "names"),
    [
        ("Red Shoes", "red shoes", []),
        ("赤い自転車の歌", " ", ["赤い自転車の歌"]),
        ("iPhone用ケース 15", "iphone  15", ["用ケース"]),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width", []),
        ("ｶﾞｲﾄﾞﾌﾞｯｸ", " ", ["ガイドブック"]),
        ("서울에서 맛집", "   ", ["서울에서", "맛집"]),
        ("รองเท้าวิ่ง", " ", ["รองเท้าวิ่ง"]),
        ("Café CAFÉ Cafe\u0301", "cafe cafe cafe", []),
        ("Straße", "strasse", []),
        ("soft\u00adhyphen می\u200cخواهم", "softhyphen میخواهم", []),
        ("Ёлка Ελλάδα हिन्दी עברית", "елка ελλαδα हिन्दी עברית", []),
        ("𠮷野家 々", "   "[:2], ["𠮷野家", "々"]),
        ("", "", []),
    ],
)
def test_text_with_and_without_spaces_is_distinguished(text: str, bare: str, names: list[str]) -> None:
    assert plain(text).split() == bare.split()
    assert runs(text) == names


def test_a_run_is_its_pairs() -> None:
    assert pairs("自転車") == ["自転", "転車"]
    assert pairs("車") == ["車"]
    assert query("自転車") == "'自転' <-> '転車'"
    assert query("車") == "'車':*"
    assert spaced("赤い本 Book").split() == ["赤い", "い本", "book"]


def test_a_document_notes_where_pairs_stand_and_no_phrase_goes_from_run_to_run() -> None:
    assert document([("自転車", "A"), ("転車 x 自転", "C")]) == "'自転':1A,8C '転車':2A,5C '車':3A,6C '転':9C"
    assert document([("no run at all", "A")]) == ""
    longest = document([("字" * 20_000, "A")])
    assert max(map(int, re.findall(r"(\d+)A", longest))) == 16_383


@given(st.text(max_size=40), st.text(max_size=10))
def test_nothing_in_a_text_is_an_operator(text: str, more: str) -> None:
    api_document = document([(text, "A"), (more, "B")])
    assert re.fullmatch(r"('[^'\\]+':\d+[AB](,\d+[AB])*( |$))*", api_document)
    for run in runs(text):
        assert re.fullmatch(r"'[^'\\]+'(:\*|( <-> '[^'\\]+')*)", query(run))


@given(st.text(alphabet="本自転車赤いのカタ", min_size=1, max_size=12), st.data())
def test_every_part_of_a_run_is_found_within_it(run: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(run) - 1))
    part = run[start : data.draw(st.integers(start + 1, len(run)))]
    places: dict[str, set[int]] = {}
    for lexeme, positions in re.findall(r"'([^']+)':([\dA,]+)", document([(run, "A")])):
        places[lexeme] = {int(place[:-1]) for place in positions.split(",")}
    if len(part) == 1:
        assert any(lexeme.startswith(part) for lexeme in places)
    else:
        first, *others = (places[pair] for pair in pairs(part))
        assert any(all(at + step in there for step, there in enumerate(others, 1)) for at in first)


def test_words_are_bound_and_those_that_say_nothing_are_left_out() -> None:
    values: list[str] = []

    def bind(value: str) -> str:
        values.append(value)
        return f"${len(values)}"

    result = any_word(["night jazz", "!", "本", "iPhone用ケース"], bind)
    assert result == (
        "(plainto_tsquery('english', $1) || $2::text::tsquery || plainto_tsquery('english', $3) && $4::text::tsquery)"
    )
    assert values == ["night jazz", "'本':*", "iphone", "'用ケ' <-> 'ケー' <-> 'ース'"]
    assert any_word(["'); DROP TABLE items; --"], bind) == "(plainto_tsquery('english', $5))"
    assert any_word(["!", ""], bind) is None
    assert any_word([], bind) is None


def test_products_of_scripts_without_spaces_are_alike_by_what_they_share() -> None:
    names = ["赤い自転車", "青い自転車", "子供用自転車", "料理の本棚", "旅行の本棚", "歴史の本棚"]
    model = similarity_fit.fit_model(
        names, [similarity_fit.text_of({"title": name, "topics": []}) for name in names], features=100
    )
    for name, (others, _) in zip(names, model.neighbours, strict=True):
        assert others[0][-2:] == name[-2:]
