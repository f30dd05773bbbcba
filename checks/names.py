"""Names and docstrings: one name for one concept, nouns for variables, arguments described.

    python -m checks.names [PATH …]

Rules, over the product code, the third over the tests as well:

1. No two classes have one name. The client is a distribution of its own, with types of its own.
2. No two modules of one top-level package have one file name.
3. No variable, parameter or attribute is a bare participle (`changed`, `found`, `stored`): a name is a noun. Compounds
   such as `found_items` and `is_changed` are fine. Names of wire formats stay: those of the generated record types, and
   lines that end with `# wire`. Attributes count in the class that they belong to: where it sets them on `self`.
4. Public functions of `models`, `streams.core.ranking`, `infra.redis.stores` and `client` with more than one argument
   describe their arguments in a section `Args:`. So do public classes whose constructor has several arguments or
   options, in the class or in its `__init__`; errors need none.
5. A section `Args:` names parameters of its function, or of its class's `__init__`, and nothing else.
6. No docstring, of an attribute or a constant either, begins with a clause in place of a noun ("What …", "How long …").
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("api", "bench", "checks", "cli", "client", "domain", "evaluation", "examples", "infra"),
    *("loaders", "models", "portal"),
    *("schemas", "streams", "topics"),
)
OWN = {"client"}
"""Packages whose classes may share names with those of others."""
TESTS = "tests"
REGULAR = re.compile(r"[a-z]{2,}ed")
IRREGULAR = re.compile(
    r"""
    (un|over|re|mis)?
    (begun|bent|bitten|blown|born|borne|bought|broken|brought|built|burnt|caught|chosen|dealt|done|drawn|driven|drunk
    |dug|eaten|fallen|fed|fled|flown|forbidden|forgiven|forgotten|fought|found|frozen|given|gone|gotten|grown|heard|held
    |hidden|kept|known|laid|learnt|led|left|lent|lost|made|meant|met|paid|proven|ridden|risen|said|seen|sent|shaken
    |shown|slept|sold|sought|spent|spoken|stolen|stood|struck|stuck|sung|swept|sworn|taken|taught|thought|thrown|told
    |torn|understood|withdrawn|woken|won|worn|written)
    """,
    re.VERBOSE,
)
"""Participles without -ed, less those that are nouns or verbs as well: bound, cut, hit, put, read, run, set, split."""
NOUNS = frozenset(["bed", "embed", "exceed", "expected", "feed", "hundred", "need", "red", "seed", "speed", "unknown"])
"""Words that are no participles, or nouns as well; and `expected`, the usual name in tests for a right answer."""
CLAUSE = re.compile(
    r"(Return|Yield|Say|Tell|Read|Write|Give|Take|Note|Set|Show|Print) (what|who|whom|whose|whoever|whatever)\b"
    r"|(What|Who|Whom|Whose|Whoever|Whatever|How long|How many|How much|How well)\b"
)
"""The beginning of a docstring that is a clause in place of a noun or a verb."""
_ARGS = re.compile(r"^Args:\n((?:    .*\n?|\n)+)", re.MULTILINE)
_ARG = re.compile(r"^    (\w+):", re.MULTILINE)
DESCRIBED = ("models", "streams/core/ranking", "infra/redis/stores", "client")
FEW = 1
"""Arguments that a one-line docstring is enough for."""


def main() -> int:
    """Write each breach as PATH:LINE: TEXT; return 1 if there is any."""
    selected_paths = [Path(one).resolve() for one in sys.argv[1:]] or [ROOT / package for package in (*PACKAGES, TESTS)]
    breaches = sorted(
        (path.relative_to(ROOT).as_posix(), line, text)
        for path, line, text in _breaches()
        if any(path.is_relative_to(root) for root in selected_paths)
    )
    for path, line, text in breaches:
        sys.stdout.write(f"{path}:{line}: {text}\n")
    return 1 if breaches else 0


def _breaches() -> Iterator[tuple[Path, int, str]]:
    classes: dict[str, list[tuple[Path, int]]] = defaultdict(list)
    for package in PACKAGES:
        files: dict[str, list[Path]] = defaultdict(list)
        for path in sorted((ROOT / package).rglob("*.py")):
            files[path.name].append(path)
            tree = ast.parse(path.read_text())
            if package not in OWN:
                for node in ast.walk(tree):
                    if isinstance(node, ast.ClassDef):
                        classes[node.name].append((path, node.lineno))
            yield from _in_module(path, tree, path.read_text().splitlines())
        for name, paths in files.items():
            if len(paths) > 1 and name != "__init__.py":
                for path in paths:
                    yield path, 1, f"{package} has {len(paths)} modules called {name}"
    for name, definitions in classes.items():
        if len(definitions) > 1:
            for path, line in definitions:
                yield path, line, f"{len(definitions)} classes are called {name}"
    for path in sorted((ROOT / TESTS).rglob("*.py")):
        yield from _participles(path, ast.parse(path.read_text()), path.read_text().splitlines())


def _in_module(path: Path, tree: ast.Module, lines: list[str]) -> Iterator[tuple[Path, int, str]]:
    yield from _participles(path, tree, lines)
    for line, docstring in _docstrings(tree):
        if CLAUSE.match(docstring):
            yield path, line, f"a docstring begins with {docstring.split()[0]!r}: begin with a noun or a verb"
    for line, name in _stale_arguments(tree):
        yield path, line, f"{name} is described, but is no argument"
    if path.relative_to(ROOT).as_posix().startswith(DESCRIBED):
        for line, name, count in _undescribed(tree):
            yield path, line, f"{name} takes {count} arguments and describes none"


def _participles(path: Path, tree: ast.Module, lines: list[str]) -> Iterator[tuple[Path, int, str]]:
    for line, name in _bindings(tree):
        is_wire = path.name == "types.py" or lines[line - 1].endswith("# wire")
        if _is_participle(name.lstrip("_")) and not is_wire:
            yield path, line, f"{name} is a bare participle: name the thing"


def _is_participle(word: str) -> bool:
    return word not in NOUNS and any(form.fullmatch(word) for form in (REGULAR, IRREGULAR))


def _bindings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each variable, parameter and attribute that is bound."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Attribute(value=ast.Name("self"), ctx=ast.Store()):
                yield node.end_lineno or node.lineno, node.attr
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring, those of attributes and constants included."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text.strip()


def _stale_arguments(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each argument that a docstring describes and its function does not take."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            section = _ARGS.search(ast.get_docstring(node) or "")
            if section is not None:
                names = _parameters(node)
                yield from ((node.lineno, name) for name in _ARG.findall(section[1]) if name not in names)


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """Return the parameters of a function, or of a class: those of its `__init__`, or its fields."""
    if not isinstance(node, ast.ClassDef):
        arguments = node.args
        variable = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        return {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *variable)}
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _parameters(statement)
    fields = (one.target for one in node.body if isinstance(one, ast.AnnAssign))
    return {field.id for field in fields if isinstance(field, ast.Name)}


def _count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([one for one in arguments if one.arg not in ("self", "cls")])


def _undescribed(tree: ast.Module) -> Iterator[tuple[int, str, int]]:
    """Yield line, name and number of arguments of each public function and class that should describe them."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        function = _constructor(node) if isinstance(node, ast.ClassDef) else node
        if function is None or any("Args:" in (ast.get_docstring(one) or "") for one in (node, function)):
            continue
        has_options = function is not node and bool(function.args.kwonlyargs)
        if not _is_overload(function) and (_count(function) > FEW or has_options):
            yield function.lineno, node.name, _count(function)


def _constructor(node: ast.ClassDef) -> ast.FunctionDef | None:
    """Return the constructor of a class; None without one, and for errors."""
    functions = (one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__")
    return None if node.name.endswith("Error") else next(functions, None)


def _is_overload(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id in ("overload", "override") for one in node.decorator_list)


if __name__ == "__main__":
    sys.exit(main())
