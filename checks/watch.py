"""Unit tests of changed code, run again at every save: `python -m checks.watch [PYTEST ARGUMENT …]`, or `make watch`.

Tests mirror the tree: the tests of `streams/core/user/geofence.py` are in `tests/unit/streams/core/user`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Event

from watchfiles import PythonFilter, watch

ROOT = Path(__file__).parents[1]
UNIT = Path("tests", "unit")
_BUILT = ("build", "dist", "site")
"""Folders that builds write; hidden folders are left out too."""


def unit_tests(changes: Iterable[Path], root: Path = ROOT) -> list[Path]:
    """Return the tests to run for changed files, without those that another one covers.

    Args:
        changes: The changed files, relative to the root. A test stands for itself, and any other file for the folder
            of tests that mirrors its own, or the nearest one above.
        root: The root of the repository.

    Returns:
        Test files and folders of tests, relative to the root.
    """
    targets = {target for path in changes if (target := _target(path, root))}
    return sorted(target for target in targets if not targets.intersection(target.parents))


def run_on_change(run: Callable[[list[Path]], object], root: Path = ROOT, stop: Event | None = None) -> None:
    """Call `run` with the tests of the changed files at every save, until stopped.

    Args:
        run: Runs tests.
        root: The root of the repository.
        stop: Ends the watch once it is set; without it Ctrl+C does.
    """
    folders = [path for path in root.iterdir() if path.is_dir() and path.name[0] != "." and path.name not in _BUILT]
    for batch in watch(*folders, watch_filter=PythonFilter(), stop_event=stop, raise_interrupt=False):
        if tests := unit_tests((Path(path).relative_to(root) for _, path in batch), root):
            run(tests)


def _target(path: Path, root: Path) -> Path | None:
    if path.suffix != ".py":
        return None
    if path.is_relative_to(UNIT):
        is_test = path.name.startswith("test_")
        return next((place for place in (path if is_test else path.parent, UNIT) if (root / place).exists()), None)
    test_folders = (UNIT / folder for folder in path.parents if folder != Path())
    return next((place for place in test_folders if (root / place).is_dir()), None)


def _pytest(arguments: Sequence[str]) -> Callable[[list[Path]], object]:
    def run(tests: list[Path]) -> object:
        command = [sys.executable, "-m", "pytest", "-q", *map(str, tests), *arguments]
        sys.stdout.write(f"\n$ pytest {' '.join(command[3:])}\n")
        sys.stdout.flush()
        return subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - our own interpreter

    return run


if __name__ == "__main__":
    sys.stdout.write("Save a Python file: its unit tests run. Ctrl+C ends.\n")
    run_on_change(_pytest(sys.argv[1:]))
