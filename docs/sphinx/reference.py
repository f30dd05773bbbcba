"""The API reference: a Markdown page for each public package, made from the docstrings without importing the code."""

from __future__ import annotations

import re
from pathlib import Path

import griffe
import griffe2md

PACKAGES = ("millrace_client", "domain", "schemas", "models", "streams.core", "loaders", "evaluation")
"""The documented packages; a subpackage has a page of its own."""
ONLY = {"schemas": ("codec",)}
"""The public modules of packages that are public in part."""
_CONFIG: griffe2md.ConfigDict = {
    "summary": False,
    "show_root_full_path": True,
    "show_root_members_full_path": False,
    "show_object_full_path": False,
    "show_signature_annotations": True,
    "show_submodules": False,
    "inherited_members": False,
    "members_order": "source",
}
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(#[^)]*\)")
"""A link to a name on the same page; its text may hold brackets."""


def write(root: Path) -> None:
    """Write the pages into `docs/reference`, and leave those that have not changed.

    Args:
        root: The root of the repository.
    """
    loader = griffe.GriffeLoader(
        search_paths=[root, root / "client" / "src"],
        docstring_parser=griffe.Parser.google,
        docstring_options={"warnings": False},
    )
    pages = {}
    for name in PACKAGES:
        loader.load(name)
        pages |= _pages(loader.modules_collection[name])
    pages["index"] = _index(list(pages))
    folder = root / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _pages(package: griffe.Module) -> dict[str, str]:
    """Return the pages of a package and its subpackages by dotted name."""
    modules = sorted(package.modules.values(), key=lambda module: module.name)
    modules = [module for module in modules if module.name in ONLY.get(package.path, (module.name,))]
    parts = [f"# {package.path}", package.docstring.value if package.docstring else ""]
    parts += [_module(module) for module in modules if not module.is_init_module]
    pages = {package.path: "\n\n".join(parts) + "\n"}
    for module in modules:
        if module.is_init_module:
            pages |= _pages(module)
    return pages


def _module(module: griffe.Module) -> str:
    for name in [name for name, member in module.members.items() if member.is_alias]:
        module.del_member(name)  # imported names belong to other pages
    return _LINK.sub(r"\1", griffe2md.render_object_docs(module, {**griffe2md.default_config, **_CONFIG}))


def _index(names: list[str]) -> str:
    toctree = "\n".join(names)
    return (
        "# API reference\n\n"
        "The packages that other code may build on, from their docstrings. "
        "[Stability](../stability.md) says which of them keep their interface between versions.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n"
    )
