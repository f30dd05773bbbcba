"""One file per outside contract, mapped to the same topics and read models."""

from collections.abc import Callable, Sequence

from starlette.routing import BaseRoute

from api.context import Context

SURFACES: tuple[Callable[[Context], Sequence[BaseRoute]], ...] = ()
"""What each contract adds to the app: a function from the context to routes."""
