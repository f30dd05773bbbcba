"""Sizes: folders and files that a reader can survey.

    python -m checks.sizes

1. A folder has at most 15 modules side by side, `__init__.py` not counted.
2. A source file has at most 500 lines, unless its first line says that it is generated.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from checks.names import PACKAGES, ROOT

MODULES = 15
"""Modules of one folder."""
LINES = 500
"""Lines of one file."""
FOLDERS = (*PACKAGES, "docs", "tests")
SUFFIXES = {".py", ".js", ".css", ".html", ".sql", ".lua"}
GENERATED = "do not edit"
"""Words in the first line of a file that a program writes."""


def main() -> int:
    """Write each breach as PATH: TEXT; return 1 if there is any."""
    found_breaches = sorted(breaches(ROOT))
    for path, text in found_breaches:
        sys.stdout.write(f"{path}: {text}\n")
    return 1 if found_breaches else 0


def breaches(root: Path) -> Iterator[tuple[str, str]]:
    """Yield path and text of each breach.

    Args:
        root: The root of the tree.
    """
    modules: Counter[Path] = Counter()
    for path in _sources(root):
        relative = path.relative_to(root)
        if path.suffix == ".py" and path.name != "__init__.py":
            modules[relative.parent] += 1
        lines = path.read_text().splitlines()
        if len(lines) > LINES and GENERATED not in lines[0]:
            yield relative.as_posix(), f"{len(lines)} lines, where {LINES} are the most: cut it by concept"
    for folder, count in modules.items():
        if count > MODULES:
            yield folder.as_posix(), f"{count} modules, where {MODULES} are the most: group them by concept"


def _sources(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (path for path in (root / folder).rglob("*") if path.suffix in SUFFIXES and path.is_file())


if __name__ == "__main__":
    sys.exit(main())
