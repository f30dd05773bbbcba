"""The tests that a change runs, and the watch over real files."""

import threading
from pathlib import Path

import pytest

from checks.watch import run_on_change, unit_tests

ATTEMPTS = 400
"""Saves, 50 ms apart, after which a watch that noticed none has failed."""


@pytest.mark.parametrize(
    ("changes", "tests"),
    [
        (["streams/core/user/geofence.py"], ["tests/unit/streams/core/user"]),
        (["infra/docker/nothing/here.py"], ["tests/unit/infra"]),
        (["tests/unit/checks/test_watch.py"], ["tests/unit/checks/test_watch.py"]),
        (["tests/unit/conftest.py"], ["tests/unit"]),
        (["topics/topic.py", "checks/watch.py"], ["tests/unit/checks", "tests/unit/topics"]),
        (["streams/core/params.py", "streams/core/user/geofence.py"], ["tests/unit/streams/core"]),
        (["tests/unit/topics/test_topic.py", "topics/topic.py"], ["tests/unit/topics"]),
        (["README.md", "portal/card.js", "docs/generate.py", "tests/build.py"], []),
    ],
)
def test_a_change_runs_the_tests_that_mirror_it(changes: list[str], tests: list[str]) -> None:
    assert unit_tests(map(Path, changes)) == [Path(path) for path in tests]


def test_a_deleted_test_runs_no_missing_file() -> None:
    assert unit_tests([Path("tests/unit/checks/test_gone.py")]) == [Path("tests/unit")]


def test_a_save_runs_the_tests_of_the_saved_file(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    for folder in ("topics", "tests/unit/topics", "site"):
        (root / folder).mkdir(parents=True)
    runs: list[list[Path]] = []
    stop, end = threading.Event(), threading.Event()

    def run(tests: list[Path]) -> None:
        runs.append(tests)
        stop.set()

    def save_until_noticed() -> None:
        for number in range(ATTEMPTS):
            (root / "site" / "page.py").write_text(str(number))
            (root / "topics" / "topic.py").write_text(f"NUMBER = {number}\n")
            if end.wait(0.05):
                return
        stop.set()

    saving = threading.Thread(target=save_until_noticed)
    saving.start()
    try:
        run_on_change(run, root, stop)
    finally:
        end.set()
        saving.join()
    assert runs[:1] == [[Path("tests/unit/topics")]]
