import os
import subprocess
import sys
from pathlib import Path

import pytest

_LOWER = (
    "from pathlib import Path; from infra import process_priority; process_priority.lower(7, autogroup=Path({path!r}))"
)
_SAY = "; import os; print(os.nice(0))"


def lowered(path: Path, *, leads: bool) -> int:
    """Return the niceness of a process that was made so."""
    code = _LOWER.format(path=str(path)) + _SAY
    process = subprocess.run([sys.executable, "-c", code], start_new_session=leads, stdout=subprocess.PIPE, check=True)
    return int(process.stdout)


@pytest.mark.parametrize(("leads", "text"), [(True, "7"), (False, "0")])
def test_a_process_is_nice_and_so_is_its_session_where_it_leads_one(tmp_path: Path, leads: bool, text: str) -> None:
    group = tmp_path / "autogroup"
    group.write_text("0")
    assert lowered(group, leads=leads) == os.nice(0) + 7
    assert group.read_text() == text


def test_where_there_are_no_such_groups_the_process_is_nice_all_the_same(tmp_path: Path) -> None:
    assert lowered(tmp_path / "nowhere" / "autogroup", leads=True) == os.nice(0) + 7
