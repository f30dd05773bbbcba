"""Values of a statement, numbered as they are bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Bind = Callable[[Any], str]
"""Takes a value and returns its placeholder in a statement."""


class Parameters:
    """The values of one statement, in the order of their placeholders.

    >>> parameters = Parameters("first")
    >>> f"a = {parameters.bind('second')}", parameters.values
    ('a = $2', ['first', 'second'])

    Args:
        values: The values of the placeholders that the statement has already.
    """

    def __init__(self, *values: Any) -> None:
        self.values = list(values)

    def bind(self, value: Any) -> str:
        """Add a value and return its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"
