"""What of a text is compared, and that many lines are compared as single ones are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.plain import plain, plain_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café  Müller", "cafe muller"),
        ("Rock 'n’ Roll!", "rock n roll"),
        ("SÃO-PAULO_2", "sao paulo 2"),
        ("東京 ジャズ", "東京 シャス"),
        ("Straße", "strasse"),
        ("İzmir", "izmir"),
        ("", ""),
        (" \t!?", ""),
    ],
)
def test_case_accents_and_punctuation_do_not_count(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.lists(st.text(st.characters(exclude_characters="\n"), max_size=20), min_size=1, max_size=5))
def test_lines_are_compared_as_texts_are(lines: list[str]) -> None:
    assert plain_lines("\n".join(lines)) == [plain(line) for line in lines]


@given(st.text(max_size=30))
def test_what_was_made_plain_stays_as_it_is(text: str) -> None:
    assert plain(plain(text)) == plain(text)
