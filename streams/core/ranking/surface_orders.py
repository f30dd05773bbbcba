"""The orders of surfaces: a feed holds, for each surface, its best items of the kinds that the surface shows.

A surface that shows all kinds of the catalogue, or none, needs no orders of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.blend.blender import Blender, Context
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import Kinds
from streams.core.ranking.ordering import Candidates, Ordering, orderings
from streams.core.ranking.stages.llm_blend import LlmRatings


def shown_kinds(catalog: CatalogSnapshot, params: RankParams) -> Mapping[str, Kinds]:
    """Return the kinds that each surface shows, for surfaces that show some kinds of the catalog but not all.

    Args:
        catalog: The catalog snapshot.
        params: Supplies the surfaces.
    """
    names = catalog.columns.listing.listed_kinds
    kinds_by_surface = {
        surface: tuple(number for number, kind in names.items() if shows(kind))
        for surface, shows in params.surfaces.items()
    }
    return {surface: kinds for surface, kinds in kinds_by_surface.items() if 0 < len(kinds) < len(names)}


def surface_orders(
    candidates: Candidates,
    contexts: Sequence[tuple[int, Context]],
    blender: Blender,
    *,
    catalog: CatalogSnapshot,
    params: RankParams,
    llm: LlmRatings | None,
) -> list[Ordering]:
    """Return the orders of each surface, which choose among the candidates of its kinds, without exploration.

    Args:
        candidates: The candidates of all kinds.
        contexts: The context of each order, with the time since the last event from which it is shown, in ms.
        blender: The shared weights.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        llm: The language model's scores for the user, if there are any.
    """
    orders = list[Ordering]()
    for name, kinds in shown_kinds(catalog, params).items():
        members = np.flatnonzero(catalog.columns.listing.are_of(kinds, candidates.items))
        own = orderings(
            candidates.subset(members),
            contexts,
            blender,
            catalog=catalog,
            params=params.without_exploration(),
            llm=llm,
        )
        orders += [replace(one, surface=name, selection=members[one.selection]) for one in own]
    return orders
