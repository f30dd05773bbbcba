import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from infra.settings import RENAMED, SECTIONS, Settings, read_settings, seconds_by_name, specifications, title, variable

ROOT = Path(__file__).parents[3]
SETTINGS = {variable(spec): spec.default for spec in specifications()}
COMPOSE_ONLY = {"POSTGRES_PASSWORD"}
NOT_IN_CONTAINERS = {
    *{"MILLRACE_CACHE", "KAFKA_PORT", "SCHEMA_REGISTRY_PORT", "REDIS_PORT", "DATABASE_PORT"},  # the local stack's
    "WATCHDOG_TIMEOUT_S",  # as well: containers have restart policies
    "WORKER_ID",  # workers of one service share their settings; each has a volume of its own
}


def example() -> dict[str, str]:
    """Return every variable of .env.example, commented out or not."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(matches.groups() for line in lines if (matches := re.fullmatch(r"(?:# )?([A-Z][A-Z0-9_]*)=(.*)", line)))


def test_the_example_names_every_setting_and_nothing_else() -> None:
    assert set(example()) == set(SETTINGS) | COMPOSE_ONLY


def test_the_example_shows_the_defaults() -> None:
    assert read_settings({name: value for name, value in example().items() if name in SETTINGS}) == Settings()


def test_music_and_movies_are_cached_for_half_an_hour() -> None:
    kept_s = seconds_by_name(Settings().fetch_categories)
    assert (kept_s["music"], kept_s["movies"]) == (1_800, 1_800)


def test_the_example_holds_no_password() -> None:
    assert {example()[name] for name in COMPOSE_ONLY} == {""}


def test_compose_hands_every_setting_to_the_application() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    application = {name: one for name, one in compose["services"].items() if one["image"] == "millrace"}
    assert "api" in application
    for name, service in application.items():
        assert set(service["environment"]) == set(SETTINGS) - NOT_IN_CONTAINERS | set(RENAMED), name


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("docs/settings.md", r"## (.+)|\| `([A-Z_]+)` .*"),
        (".env.example", r"# --- (.+) ---|# ([A-Z_]+)=.*"),
        ("docker-compose.yml", r"  # (.+)|  ([A-Z_]+):"),
    ],
)
def test_documents_and_compose_group_the_settings_by_section(file: str, line: str) -> None:
    hidden_names = NOT_IN_CONTAINERS if file == "docker-compose.yml" else set()
    groups = {title(section): [variable(spec) for spec in fields(section)] for section in SECTIONS}
    items = {heading: [name for name in names if name not in hidden_names] for heading, names in groups.items()}
    expected = [word for heading, names in items.items() if names for word in (heading, *names)]
    words = ["".join(matches) for matches in re.findall(rf"^(?:{line})$", (ROOT / file).read_text(), re.MULTILINE)]
    assert [word for word in words if word in expected] == expected


def test_a_section_is_a_module_and_settings_have_one_section() -> None:
    assert [variable(spec) for spec in specifications()] == list(SETTINGS)
    assert len(SETTINGS) == len(fields(Settings))
    modules = {path.stem for path in (ROOT / "infra" / "settings" / "sections").glob("*_settings.py")}
    assert {section.__module__.rpartition(".")[2] for section in SECTIONS} == modules


def test_a_former_name_leads_to_a_setting_and_is_none_itself() -> None:
    assert set(RENAMED.values()) <= set(SETTINGS)
    assert not set(RENAMED) & set(SETTINGS)


def test_compose_publishes_the_ports_of_the_local_stack() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    ports = dict(re.findall(r"127\.0\.0\.1:\$\{(\w+_PORT):-(\d+)\}:", text))
    assert ports == {name: str(SETTINGS[name]) for name in SETTINGS if name.endswith("_PORT")}


def test_what_compose_interpolates_is_a_setting_or_its_own() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) <= set(SETTINGS) | COMPOSE_ONLY


def test_what_compose_sets_can_be_read() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    items = {name: str(value) for name, value in compose["services"]["api"]["environment"].items() if value is not None}
    assert read_settings(items).api_port == 8000


def test_no_other_module_reads_the_environment() -> None:
    packages = ("schemas", "topics", "models", "infra", "streams", "api", "cli", "bench")
    sources = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    readers = [path for path in sources if re.search(r"os\.environ\b(?!\.copy)|os\.getenv", path.read_text())]
    assert [str(path.relative_to(ROOT)) for path in readers] == ["infra/settings/environment.py"]


def attributes_of_settings(path: Path, owner: str) -> Iterator[str]:
    """Yield the attributes that a module reads of objects whose name ends in `owner`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith(owner):
            yield node.attr


def test_every_setting_is_read_outside_of_the_settings() -> None:
    packages = ("models", "infra", "loaders", "streams", "api", "portal", "evaluation", "cli")
    sources = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    section_files = [path for path in sources if path.is_relative_to(ROOT / "infra" / "settings")]
    readers = [path for path in sources if path not in section_files]
    names = {name for path in readers for name in attributes_of_settings(path, "settings")}
    properties = {
        node.name: node
        for path in section_files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and [ast.unparse(one) for one in node.decorator_list] == ["property"]
    }
    unread = list(names & set(properties))
    while unread:  # a setting may be read through a property, or a property of a property
        own = {one.attr for one in ast.walk(properties[unread.pop()]) if isinstance(one, ast.Attribute)}
        unread += (own & set(properties)) - names
        names |= own
    assert {spec.name for spec in specifications()} - names == set()
