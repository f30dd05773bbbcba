"""Write the parts of the documents that the code already holds: `python docs/generate.py [--check]`.

A part stands between `<!-- NAME -->` and `<!-- /NAME -->`; the rest of a document is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import api.app  # noqa: E402, F401 - it imports whatever may fail
from api.openapi.catalogue import catalogue  # noqa: E402
from infra.settings import Settings  # noqa: E402
from topics import TOPICS, Topic  # noqa: E402
from topics.topic import DAY_MS, FOREVER  # noqa: E402


def topics() -> str:
    """Return the table of the topics."""
    head = ["topic", "record", "key", "written by", "kept", "description"]
    return _table(head, ([t.name, t.record.__name__, t.key, t.owner, _kept(t), t.doc] for t in TOPICS))


def settings() -> str:
    """Return the table of the settings."""
    rows = (
        [f"`{f.metadata['env']}`", f"`{_text(f.default)}`" if f.default != "" else "", f.metadata["doc"]]
        for f in fields(Settings)
    )
    return _table(["variable", "default", "description"], rows)


def errors() -> str:
    """Return the table of the errors."""
    rows = ([f'<a id="{entry.code}"></a>`{entry.code}`', str(entry.status), entry.what] for entry in catalogue())
    return _table(["code", "status", "description"], rows)


def environment() -> str:
    """Return the settings as the lines of a .env file, each with its default and commented out."""
    return "\n".join(f"# {f.metadata['doc']}\n# {f.metadata['env']}={_text(f.default)}" for f in fields(Settings))


def decisions() -> str:
    """Return the list of the decisions, by number and title."""
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    titles = [path.read_text().splitlines()[0].removeprefix("# ").split(". ", 1) for path in records]
    rows = ([number, f"[{title}]({path.name})"] for path, (number, title) in zip(records, titles, strict=True))
    return _table(["number", "decision"], rows)


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "topics": ("docs/topics.md", topics),
    "settings": ("docs/settings.md", settings),
    "errors": ("docs/errors.md", errors),
    "decisions": ("docs/adr/README.md", decisions),
    "environment": (".env.example", environment),
}


def render(name: str) -> tuple[Path, str]:
    """Return a document's path and its text with the named part fresh."""
    file, part = PARTS[name]
    path = ROOT / file
    place = re.compile(rf"(<!-- {name} -->\n).*?((?:# )?<!-- /{name} -->)", re.DOTALL)
    text, found = place.subn(lambda match: f"{match[1]}{part()}\n{match[2]}", path.read_text())
    if found != 1:
        raise ValueError(f"{file} holds {found} places for {name}, not one")
    return path, text


def main() -> int:
    """Write the parts, or with --check only say whether they are fresh."""
    stale = []
    for name in PARTS:
        path, text = render(name)
        if path.read_text() == text:
            continue
        stale.append(path.name)
        if "--check" not in sys.argv:
            path.write_text(text)
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"stale: {', '.join(stale)}; run `make docs`\n")
        return 1
    return 0


def _kept(topic: Topic) -> str:
    if topic.retention_ms == FOREVER:
        return "newest per key"
    days = topic.retention_ms // DAY_MS
    age = f"{days} day{'' if days == 1 else 's'}"
    return f"newest per key, {age}" if topic.compacted else age


def _text(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
