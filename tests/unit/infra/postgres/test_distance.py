"""Regions: nothing within the radius lies outside of them."""

import h3
from hypothesis import given
from hypothesis import strategies as st

from infra.postgres.distance import region, regions


@given(
    st.floats(-89, 89), st.floats(-180, 180), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.sampled_from((5, 50, 120))
)
def test_everything_within_a_radius_lies_in_the_regions(
    lat: float, lon: float, north: float, east: float, radius_km: float
) -> None:
    here, there = (lat, lon), (max(-89.9, min(89.9, lat + north)), (lon + east + 180) % 360 - 180)
    if h3.great_circle_distance(here, there) <= radius_km:
        assert region(there) in regions(here, radius_km)
