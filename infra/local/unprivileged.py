"""Unprivileged users for programs that refuse to run as root, as in a container."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

_USERS = ("postgres", "nobody")
_ENTER, _GROUP_ENTERS = 0o001, 0o010
_READ_AND_ENTER = 0o005


def user(data: Path) -> str:
    """Return the user to run as: the owner of the data, or the first existing one of a few standard users."""
    if data.exists():
        return pwd.getpwuid(data.stat().st_uid).pw_name
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in names)


def give(folder: Path, name: str) -> None:
    """Make a user the owner of a folder, and let its group enter the parent folder."""
    entry = pwd.getpwnam(name)
    os.chown(folder, entry.pw_uid, entry.pw_gid)
    os.chown(folder.parent, -1, entry.pw_gid)
    folder.parent.chmod(folder.parent.stat().st_mode | _GROUP_ENTERS)
    _let_reach(folder.parent)


def give_file(file: Path, name: str) -> None:
    """Make a user the owner of a file."""
    entry = pwd.getpwnam(name)
    os.chown(file, entry.pw_uid, entry.pw_gid)


def let_run(program: Path) -> None:
    """Let all users reach, read and run an installed program."""
    _let_reach(program)
    if program.stat().st_mode & _READ_AND_ENTER == _READ_AND_ENTER:
        return
    for path in (program, *program.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | (_READ_AND_ENTER if mode & 0o100 else 0o004))


def _let_reach(path: Path) -> None:
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & _ENTER:
            folder.chmod(mode | _ENTER)
