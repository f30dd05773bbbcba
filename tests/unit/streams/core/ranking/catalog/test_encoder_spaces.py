"""Vectors and versions of a network on their way into the catalog snapshot of a worker."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec import structs

from infra.settings import Settings
from models.encoders.encoder_kind import EncoderParametersError
from models.encoders.user_encoder import EncoderExport
from schemas.types import EncoderVector, EncoderVersion, RecentItem
from streams.core.item.encoder_record import encoder_of, encoder_vectors, packed_parameters
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import build_candidates
from streams.core.ranking.stages.features import FEATURES
from streams.runtime.core_params import rank_params
from streams.runtime.state.global_tables import new_catalog
from tests.build import T0_MS, an_item, features

ITEMS = 6
MEAN = "dot-product"


def an_export(sign: float = 1.0, count: int = ITEMS) -> EncoderExport:
    """Return a network whose even and odd items have opposite vectors; a user is like the items that were liked."""
    vectors = np.zeros((count, 3), np.float32)
    vectors[:, 0] = sign * np.where(np.arange(count) % 2, -1.0, 1.0)
    return EncoderExport(MEAN, {"dim": np.array(2)}, [f"i{n}" for n in range(count)], vectors)


def a_version(name: str = "v1", *, model: str = MEAN, status: str = "serving", count: int = ITEMS) -> EncoderVersion:
    return EncoderVersion(
        model=model,
        version=name,
        created_at=T0_MS,
        watermark=T0_MS,
        status=status,
        items=count,
        parameters=packed_parameters({"dim": np.array(2)}),
    )


def vectors(name: str = "v1", sign: float = 1.0, count: int = ITEMS) -> list[EncoderVector]:
    return list(encoder_vectors(an_export(sign, count), name))


def a_catalog(encoder: str = MEAN) -> CatalogSnapshot:
    catalog = new_catalog(Settings(encoder=encoder))
    for number in range(ITEMS):
        catalog.apply_item(an_item(f"i{number}", created_at=T0_MS - 1))
    catalog.refresh()
    return catalog


def encoded(catalog: CatalogSnapshot) -> dict[str, float]:
    """Return the ranking feature of a user who likes an even item."""
    user = features(user_id="u1", recent=[RecentItem(item_id="i0", weight=1.0, at=T0_MS)], seen=["i0"], event_count=1)
    candidates = build_candidates(user, catalog, rank_params(Settings()), at_ms=T0_MS)
    matrix = candidates.features
    values = sum(rows.T @ block for rows, block in matrix.blocks)[list(FEATURES).index("encoded")]
    return {catalog.items.names[item]: float(value) for item, value in zip(candidates.items, values, strict=True)}


def test_a_version_serves_once_all_its_vectors_have_come_in_any_order() -> None:
    for version_at in (0, 3, ITEMS):
        catalog = a_catalog()
        records: list[EncoderVector | EncoderVersion] = list(vectors())
        records.insert(version_at, a_version())
        for number, record in enumerate(records):
            assert catalog.encoder.items is None, f"before record {number}"
            if isinstance(record, EncoderVector):
                catalog.apply_encoder_vector(record)
            else:
                catalog.encoder.take_version(record)
        assert catalog.encoder.version == "v1"
        values = encoded(catalog)
        assert {values["i2"], values["i4"]} == {0.25}
        assert {values["i1"], values["i3"], values["i5"]} == {-0.25}


def test_without_a_version_the_feature_is_zero() -> None:
    assert set(encoded(a_catalog()).values()) == {0.0}


def test_an_event_on_another_item_changes_the_feature_at_once() -> None:
    catalog = a_catalog()
    for record in vectors():
        catalog.apply_encoder_vector(record)
    catalog.encoder.take_version(a_version())
    user = features(
        user_id="u1",
        recent=[RecentItem(item_id="i1", weight=1.0, at=T0_MS + 1), RecentItem(item_id="i3", weight=1.0, at=T0_MS)],
        event_count=2,
    )
    candidates = build_candidates(user, catalog, rank_params(Settings()), at_ms=T0_MS + 1)
    assert candidates.query.vector is not None
    assert candidates.query.vector[0] == -1.0


def test_the_vectors_of_a_new_version_do_not_touch_those_in_service() -> None:
    catalog = a_catalog()
    for record in vectors():
        catalog.apply_encoder_vector(record)
    catalog.encoder.take_version(a_version())
    first = catalog.encoder.items
    for record in vectors("v2", sign=-1.0)[:-1]:
        catalog.apply_encoder_vector(record)
    catalog.encoder.take_version(a_version("v2"))
    assert catalog.encoder.items is first
    assert catalog.encoder.version == "v1"
    catalog.apply_encoder_vector(vectors("v2", sign=-1.0)[-1])
    assert catalog.encoder.version == "v2"
    assert catalog.encoder.items is not first


def test_refused_versions_and_other_networks_are_ignored() -> None:
    for catalog, version in (
        (a_catalog(), a_version(status="refused")),
        (a_catalog("sequence"), a_version()),
        (a_catalog("none"), a_version()),
    ):
        for record in vectors():
            catalog.apply_encoder_vector(record)
        catalog.encoder.take_version(version)
        assert catalog.encoder.items is None


def test_only_the_newest_spaces_are_collected() -> None:
    catalog = a_catalog()
    for name in ("v1", "v3", "v2", "v1", "v4"):
        catalog.apply_encoder_vector(vectors(name)[0])
    assert sorted(catalog.encoder._spaces) == [f"{MEAN}/v3", f"{MEAN}/v4"]


def test_vectors_of_two_lengths_in_one_space_are_refused() -> None:
    catalog = a_catalog()
    one, other, *_ = vectors()
    catalog.apply_encoder_vector(one)
    with pytest.raises(ValueError, match="could not broadcast"):
        catalog.apply_encoder_vector(structs.replace(other, vector=other.vector + other.vector))


def test_unusable_parameters_are_refused_by_name_and_the_version_in_service_stays() -> None:
    catalog = a_catalog()
    for record in vectors():
        catalog.apply_encoder_vector(record)
    catalog.encoder.take_version(a_version())
    for parameters in (b"", b"no safetensors", packed_parameters({"length": np.array(3)})):
        with pytest.raises(EncoderParametersError, match=f"the parameters of {MEAN} cannot be used"):
            catalog.encoder.take_version(structs.replace(a_version("v2"), parameters=parameters))
    assert catalog.encoder.version == "v1"


def test_parameters_go_through_a_record_unchanged() -> None:
    encoder = encoder_of(a_version())
    assert (encoder.dim, encoder.width) == (2, 3)


def test_items_that_came_after_the_version_score_zero() -> None:
    catalog = a_catalog()
    for record in vectors():
        catalog.apply_encoder_vector(record)
    catalog.encoder.take_version(a_version())
    catalog.apply_item(an_item("late", created_at=T0_MS - 1))
    catalog.refresh()
    values = encoded(catalog)
    assert values["late"] == 0.0
    assert values["i2"] == 0.25
