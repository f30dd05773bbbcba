"""Compilation of loops to machine code, for loops that numpy would need large temporary arrays for.

Numba compiles a loop when its module is first imported, and keeps the machine code beside the module or in the user's
cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(signatures: Sequence[str], **options: Any) -> Callable[[F], F]:
    """Return a decorator that compiles a function to run without the interpreter's lock.

    Args:
        signatures: Types of the result and the arguments, one of them for each variant.
        **options: Further options of the compiler.
    """

    def compile_loop(function: F) -> F:
        try:
            kernel: F = njit(list(signatures), nogil=True, cache=True, **options)(function)
        except RuntimeError:  # no folder for the machine code can be written
            kernel = njit(list(signatures), nogil=True, **options)(function)
        return kernel

    return compile_loop


def inlined(function: F) -> F:
    """Compile a function as a part of those that call it."""
    part: F = njit(inline="always")(function)
    return part
