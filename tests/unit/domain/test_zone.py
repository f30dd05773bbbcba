"""Time zones by name, and whose holds where a name says nothing."""

from __future__ import annotations

import pytest

from domain.zone import zone_of


@pytest.mark.parametrize(
    ("name", "default", "zone"),
    [
        ("Europe/Lisbon", "Asia/Tokyo", "Europe/Lisbon"),
        ("", "Asia/Tokyo", "Asia/Tokyo"),
        ("", "UTC", "UTC"),
        ("Nowhere/At_All", "Asia/Tokyo", "UTC"),
        ("../etc/passwd", "Asia/Tokyo", "UTC"),
        ("localtime", "Asia/Tokyo", "UTC"),
    ],
)
def test_what_a_user_says_holds_then_the_default_then_utc(name: str, default: str, zone: str) -> None:
    assert zone_of(name, default).key == zone
