"""Demographic groups of users who state no segment: from the age, gender and country in their profiles."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping

_AGES = (18, 25, 35, 45, 55, 65)
"""Lower bounds of the age groups, except the first one."""
_NAMES = (("age_group", "age_range"), ("gender", "sex"), ("country", "country_code"))
"""Names of the attributes of a group, in its order."""
_CHARS = 32


def demographic_group(attributes: Mapping[str, str]) -> str:
    """Return the group of a user, such as `25-34|f|pt`; empty where a profile states nothing of it.

    Args:
        attributes: The attributes of the profile. An `age` in years counts where it states no age group.

    >>> demographic_group({"age": "31", "gender": "F", "country": "PT"}), demographic_group({"country": "PT"})
    ('25-34|f|pt', 'pt')
    """
    by_name = {name.casefold(): value.strip().casefold()[:_CHARS] for name, value in attributes.items()}
    parts = [next((value for name in names if (value := by_name.get(name))), "") for names in _NAMES]
    parts[0] = parts[0] or _age_group(by_name.get("age", ""))
    return "|".join(part for part in parts if part)


def _age_group(text: str) -> str:
    """Return the age group of an age; empty for a text that is no age."""
    try:
        age = float(text)
    except ValueError:
        return ""
    if not 0 < age < math.inf:
        return ""
    number = bisect_right(_AGES, age)
    return f"{_AGES[-1]}+" if number == len(_AGES) else f"{(0, *_AGES)[number]}-{_AGES[number] - 1}"
