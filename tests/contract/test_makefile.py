"""`make clean` on a copy: what was installed, made and stored is gone, and nothing else."""

import shutil
import subprocess
from pathlib import Path

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def test_all_data_of_the_local_stack_can_be_removed(tmp_path: Path) -> None:
    shutil.copy(MAKEFILE, tmp_path)
    for name in (".millrace/postgresql/data", ".millrace/redis/dump.rdb", ".venv/bin/python", "api/__pycache__/a.pyc"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "api" / "app.py").touch()
    (tmp_path / ".env").touch()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".env", "Makefile", "api/app.py"]
