"""Regions: nothing within the radius lies outside of them."""

import h3
from hypothesis import given
from hypothesis import strategies as st

from infra.catalogue import REGION_RESOLUTION, region, regions


@given(
    st.floats(-89, 89), st.floats(-180, 180), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.sampled_from((5, 50, 120))
)
def test_everything_within_a_radius_lies_in_the_regions(
    lat: float, lon: float, north: float, east: float, radius_km: float
) -> None:
    here = h3.latlng_to_cell(lat, lon, 5)
    there = h3.latlng_to_cell(max(-89.9, min(89.9, lat + north)), (lon + east + 180) % 360 - 180, 9)
    if h3.great_circle_distance(h3.cell_to_latlng(here), h3.cell_to_latlng(there)) <= radius_km:
        assert region(there) in regions(here, radius_km)


def test_a_coarser_cell_has_a_region_too() -> None:
    coarse = h3.latlng_to_cell(40.7, -74.0, REGION_RESOLUTION - 2)
    assert h3.get_resolution(region(coarse)) == REGION_RESOLUTION
