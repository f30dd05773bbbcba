import doctest

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain import cell
from domain.cell import is_cell
from schemas import record_limit
from schemas.codec import DecodeError
from tests.build import LISBON, NEW_YORK, T0_MS, a_ping


def test_the_examples_hold() -> None:
    assert doctest.testmod(cell).failed == 0


@pytest.mark.parametrize("text", [LISBON, NEW_YORK, NEW_YORK.upper(), "872a1072bffffff"])
def test_cells(text: str) -> None:
    assert is_cell(text)


@given(st.none() | st.text() | st.text("0123456789abcdefABCDEFx-+_ ", max_size=40))
@example("a" * 1_024)
@example("-1")
@example(" 872a1072bffffff")
@example("872a1072bffffff\n")
@example("0x872a1072bffffff")
def test_anything_else_is_none_and_raises_nothing(text: str | None) -> None:
    assert is_cell(text) in (True, False)


@pytest.mark.parametrize("text", ["a" * 100, "-1", "f" * 17, "", "nowhere", " 872a1072bffffff"])
def test_a_ping_from_no_cell_is_refused(text: str) -> None:
    ping = replace(a_ping(), cell=text)
    with pytest.raises(DecodeError, match="must be an H3 cell"):
        record_limit.check(ping, now_ms=T0_MS)
