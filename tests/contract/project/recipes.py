"""Recipes of CONTRIBUTING.md as data: files to write, changes to apply, commands to run.

A block of code belongs to the last path in bold before it. A plain block is a new file; a `diff` block holds changes,
parted by `@@`, each with the lines around it; `sh` blocks are commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_RECIPE = re.compile(r"^### (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"\*\*`(?P<path>[^`]+)`\*\*|^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class NewFile:
    """A file that the recipe creates."""

    path: str
    text: str

    def apply(self, root: Path) -> None:
        path = root / self.path
        assert not path.exists(), f"{self.path} exists already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text)


@dataclass(frozen=True)
class Change:
    """A change of one place in a file."""

    path: str
    lines: tuple[str, ...]

    def apply(self, root: Path) -> None:
        path = root / self.path
        text = path.read_text()
        old, new = ("".join(f"{line[1:]}\n" for line in self.lines if line[:1] != sign) for sign in ("+", "-"))
        assert text.startswith(old) + text.count(f"\n{old}") == 1, f"{self.path} does not hold these lines once:\n{old}"
        path.write_text(f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:])


@dataclass(frozen=True)
class Recipe:
    """One recipe, its steps in order."""

    name: str
    steps: tuple[NewFile | Change, ...]
    commands: tuple[str, ...]

    @property
    def paths(self) -> list[str]:
        """Return the files that it writes by hand."""
        return list(dict.fromkeys(step.path for step in self.steps))


def read(document: str) -> dict[str, Recipe]:
    """Return the recipes of a document by name."""
    section = document.partition("\n## Recipes\n")[2].partition("\n## ")[0]
    _, *parts = _RECIPE.split(section)
    return {name: _recipe(name, text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _recipe(name: str, text: str) -> Recipe:
    steps: list[NewFile | Change] = []
    commands: list[str] = []
    path = ""
    for block in _BLOCK.finditer(text):
        match block.groupdict():
            case {"path": str(name)}:
                path = name
            case {"language": "sh", "code": code}:
                commands += code.splitlines()
            case {"language": "diff", "code": code}:
                steps += _changes(path, code)
            case {"code": code}:
                steps.append(NewFile(path, code))
    return Recipe(name, tuple(steps), tuple(commands))


def _changes(path: str, code: str) -> Iterator[Change]:
    for lines in code.split("\n@@\n"):
        yield Change(path, tuple(lines.splitlines()))
