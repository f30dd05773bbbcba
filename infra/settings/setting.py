"""Declaration of settings: default, documentation and constraint as a dataclass field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition on a value."""

    test: Callable[[Any], bool]
    text: str
    """The condition in words, as it follows "must be" in an error."""


ANY = Constraint(lambda value: True, "anything")
POSITIVE = Constraint(lambda value: value > 0, "positive")
NOT_NEGATIVE = Constraint(lambda value: value >= 0, "0 or more")
PORT = Constraint(lambda port: 0 < port < 65536, "a port")
SHARE = Constraint(lambda share: 0 < share <= 1, "in (0, 1]")


BOOLEANS = {
    **{"true": True, "1": True, "yes": True, "on": True},
    **{"false": False, "0": False, "no": False, "off": False},
}
"""Booleans by their names in an environment."""


def between(low: float, high: float) -> Constraint:
    """Return the constraint to a range that includes both ends."""
    return Constraint(lambda value: low <= value <= high, f"from {low:g} to {high:g}")


def one_of(*names: str) -> Constraint:
    """Return the constraint to some names, of which there are two or more."""
    return Constraint(lambda name: name in names, f"{', '.join(names[:-1])} or {names[-1]}")


def setting(default: Any, doc: str, constraint: Constraint = ANY, *, is_secret: bool = False) -> Any:
    """Return the field of a setting; its variable is the field's name in upper case.

    Args:
        default: The default, whose type is that of the setting: bool, int, float, str or Path.
        doc: A line of documentation, with units.
        constraint: The condition on values that are set; the default need not meet it.
        is_secret: Whether the value is masked wherever settings are shown.
    """
    return field(default=default, repr=not is_secret, metadata={"doc": doc, "constraint": constraint})


def secret(doc: str, constraint: Constraint = ANY) -> Any:
    """Return the field of a secret, empty by default.

    Args:
        doc: A line of documentation.
        constraint: The condition on values that are set.
    """
    return setting("", doc, constraint, is_secret=True)


def variable(spec: Field[Any]) -> str:
    """Return the environment variable of a setting."""
    return spec.name.upper()


def comma_separated(text: str) -> list[str]:
    """Return the entries of `name, name`."""
    return [part.strip() for part in text.split(",") if part.strip()]


def masked(url: str) -> str:
    """Return a URL with its password masked."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url
