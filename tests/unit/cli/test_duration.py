import pytest

from cli.duration import parse_duration
from infra.error import OperatorError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30min", 1_800), ("5m", 300), ("1.5h", 5_400), (" 7 d ", 604_800)]
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1w", "yesterday", "1h30"])
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(OperatorError, match="30min"):
        parse_duration(text)
