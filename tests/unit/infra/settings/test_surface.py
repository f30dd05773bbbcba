"""Surfaces are named with the kinds that they show."""

from __future__ import annotations

import pytest

from infra.settings.surface import parse_surfaces


def test_the_rest_is_what_no_surface_names() -> None:
    surfaces = parse_surfaces("content=*|page, shop=product|bundle, video=video|page")
    kinds_by_surface = {
        name: [kind for kind in ("", "event", "page", "bundle", "video") if one.shows(kind)]
        for name, one in surfaces.items()
    }
    assert kinds_by_surface == {"content": ["", "event", "page"], "shop": ["bundle"], "video": ["page", "video"]}


@pytest.mark.parametrize(
    "text",
    [
        "shop",
        "shop=",
        "=product",
        "all=*",
        "Shop=product",
        "shop=product,shop=bundle",
        "shop=product||bundle",
        ",".join(f"s{number}=k" for number in range(17)),
    ],
)
def test_what_is_no_list_of_surfaces_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"surface|kind"):
        parse_surfaces(text)
