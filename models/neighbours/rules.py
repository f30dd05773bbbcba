"""Association rules between pairs of items of a basket (FP-Growth; Han, Pei and Yin, SIGMOD 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

MIN_CONFIDENCE = 0.02
PER_ITEM = 60


class AssociationRule(NamedTuple):
    """A rule item → other: support, confidence, and lift, which is 1 for independent items."""

    item: str
    other: str
    support: float
    confidence: float
    lift: float


def mine(baskets: Sequence[Sequence[str]], *, min_support: int = 2) -> list[AssociationRule]:
    """Return the rules between pairs with a lift above 1, by item, the most confident first, at most `PER_ITEM` each.

    Args:
        baskets: The items of each basket; repeats count once.
        min_support: Smallest number of baskets with both items.

    >>> rules = mine([["tea", "cup"], ["tea", "cup", "jam"], ["tea", "jam"], ["tea", "jam"], ["ink", "pen"]])
    >>> [(rule.other, round(rule.confidence, 2), round(rule.lift, 2)) for rule in rules if rule.item == "tea"]
    [('jam', 0.75, 1.25), ('cup', 0.5, 1.25)]
    """
    # Imported here: mlxtend brings pandas, which nothing else needs.
    import pandas as pd
    from mlxtend.frequent_patterns import association_rules, fpgrowth

    distinct_baskets = [sorted(set(basket)) for basket in baskets if len(set(basket)) > 1]
    if len(distinct_baskets) < min_support:
        return []
    names = sorted({item for basket in distinct_baskets for item in basket})
    numbers = {name: number for number, name in enumerate(names)}
    columns = [numbers[item] for basket in distinct_baskets for item in basket]
    ends = np.cumsum([0, *map(len, distinct_baskets)])
    table = sparse.csr_matrix((np.ones(len(columns), bool), columns, ends), shape=(len(distinct_baskets), len(names)))
    frame = pd.DataFrame.sparse.from_spmatrix(table)
    frequent = fpgrowth(frame, min_support=(min_support - 0.5) / len(distinct_baskets), max_len=2)
    if not (frequent["itemsets"].map(len) > 1).any():
        return []
    metrics = ["support", "confidence", "lift"]
    rule_frame = association_rules(frequent, metric="confidence", min_threshold=MIN_CONFIDENCE, return_metrics=metrics)
    columns_of = rule_frame[["antecedents", "consequents", *metrics]]
    rules = [
        AssociationRule(
            names[next(iter(one))], names[next(iter(other))], float(support), float(confidence), float(lift)
        )
        for one, other, support, confidence, lift in columns_of.itertuples(index=False)
        if lift > 1
    ]
    rules.sort(key=lambda rule: (rule.item, -rule.confidence, -rule.lift, rule.other))
    return [rule for index, rule in enumerate(rules) if index < PER_ITEM or rules[index - PER_ITEM].item != rule.item]
