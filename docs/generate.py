"""Writer of the generated sections of documents and of the page: `python docs/generate.py [--check]`.

A section lies between `<!-- NAME -->` and `<!-- /NAME -->`; the rest of a file is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import api.app  # noqa: E402, F401 - it imports whatever may fail
from api.openapi.error_codes import error_codes  # noqa: E402
from domain.timestamp import DAY_MS  # noqa: E402
from infra.settings import RENAMED, SECTIONS, title, variable  # noqa: E402
from infra.settings.sections.server_settings import LocalStackSettings  # noqa: E402
from streams.core.ranking.stages.features import ALL_GROUPS, FEATURES, ContributionGroup  # noqa: E402
from topics import TOPICS, Topic  # noqa: E402
from topics.topic import FOREVER  # noqa: E402

HOST_ONLY = {variable(spec) for spec in fields(LocalStackSettings)} | {"WORKER_ID"}
"""Settings that containers do not get: those of the local stack, and the name that workers of a service would share."""


def topics() -> str:
    """Return the table of the topics."""
    head = ["topic", "record", "key", "written by", "retention", "content"]
    return _table(head, ([t.name, t.record.__name__, t.key, t.owner, _kept(t), t.doc] for t in TOPICS))


def settings() -> str:
    """Return the tables of the settings, one for each section."""

    def rows(section: type[Any]) -> Iterator[list[str]]:
        for spec in fields(section):
            default = "" if spec.default == "" else f"`{_text(spec.default)}`"
            yield [f"`{variable(spec)}`", default, spec.metadata["doc"]]

    head = ["variable", "default", "description"]
    return "\n\n".join(f"## {title(section)}\n\n{_table(head, rows(section))}" for section in SECTIONS)


def errors() -> str:
    """Return the table of the errors."""
    codes = error_codes()
    rows = ([f'<a id="{entry.code}"></a>`{entry.code}`', str(entry.status), entry.description] for entry in codes)
    return _table(["code", "status", "meaning"], rows)


def environment() -> str:
    """Return the settings as the lines of a .env file, each with its default and commented out."""
    return "\n\n".join(
        f"# --- {title(section)} ---\n"
        + "\n".join(f"# {spec.metadata['doc']}\n# {variable(spec)}={_text(spec.default)}" for spec in fields(section))
        for section in SECTIONS
    )


def compose() -> str:
    """Return the settings that Docker Compose hands on to the containers, with former names, which they refuse."""
    groups = {
        title(section): [name for spec in fields(section) if (name := variable(spec)) not in HOST_ONLY]
        for section in SECTIONS
    }
    groups["Former names: the application refuses to start with them, and says the new ones."] = list(RENAMED)
    return "\n".join(
        "\n".join([f"  # {heading}", *(f"  {name}:" for name in names)]) for heading, names in groups.items() if names
    )


def decisions() -> str:
    """Return the list of the decisions, by number and title."""
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    titles = [path.read_text().splitlines()[0].removeprefix("# ").split(". ", 1) for path in records]
    rows = ([number, f"[{title}]({path.name})"] for path, (number, title) in zip(records, titles, strict=True))
    return _table(["number", "decision"], rows)


def feature_groups() -> str:
    """Return the table of the feature groups."""

    def names(group: ContributionGroup) -> str:
        return ", ".join(f"`{feature.name}`" for feature in FEATURES.values() if feature.group is group)

    rows = ([f"`{group.name}`", group.label, group.description, names(group)] for group in ALL_GROUPS)
    return _table(["group", "label", "meaning", "features"], rows)


def ranking_features() -> str:
    """Return the names of the ranking features as the lines of a Python tuple."""
    return "\n".join(f'        "{name}",' for name in sorted(FEATURES))


def page_groups() -> str:
    """Return the feature groups as the lines of a JavaScript object: label and description by name."""
    return "\n".join(f'  {group.name}: ["{group.label}", "{group.description}"],' for group in ALL_GROUPS)


GENERATED: dict[str, tuple[str, Callable[[], str]]] = {
    "topics": ("docs/topics.md", topics),
    "settings": ("docs/settings.md", settings),
    "errors": ("docs/errors.md", errors),
    "decisions": ("docs/adr/README.md", decisions),
    "feature_groups": ("docs/models.md", feature_groups),
    "page_groups": ("portal/card.js", page_groups),
    "ranking_features": ("domain/ranking_features.py", ranking_features),
    "environment": (".env.example", environment),
    "compose": ("docker-compose.yml", compose),
}


def render(name: str) -> tuple[Path, str]:
    """Return a document's path and its text with the named section regenerated."""
    file, content = GENERATED[name]
    path = ROOT / file
    section = re.compile(rf"(<!-- {name} -->\n).*?((?: *# | *// )?<!-- /{name} -->)", re.DOTALL)
    text, count = section.subn(lambda match: f"{match[1]}{content()}\n{match[2]}", path.read_text())
    if count != 1:
        raise ValueError(f"{file} has {count} sections {name} instead of one")
    return path, text


def main() -> int:
    """Write the sections, or with --check only report outdated ones."""
    stale = []
    for name in GENERATED:
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
    return f"newest per key, {age}" if topic.is_compacted else age


def _text(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
