"""A package installed beside the environment, for what finds packages by their metadata."""

import shutil
import subprocess
import sys
from pathlib import Path


def install(project: Path, folder: Path) -> Path:
    """Install a project without its dependencies into a new folder for PYTHONPATH, and return that folder."""
    source = shutil.copytree(project, folder / "source")  # building writes beside the sources
    target = folder / "site"
    flags = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", "install", *flags, "--target", target, source], check=True)
    return target
