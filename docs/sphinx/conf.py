"""The documentation site: `make docs` builds it from the documents of the repository, as they are.

The documents stay plain Markdown whose links work on the git host. This folder holds the parts that the site
alone needs: the navigation, the API reference and the drawing of diagrams.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import diagram  # noqa: E402
import reference  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Millrace"
author = "the Millrace authors"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "client/*.md",
    "docs/**.md",
    "examples/*.md",
]
exclude_patterns = [".*", "**/.*", "tests"]

myst_enable_extensions = ["html_image"]
myst_heading_anchors = 6
myst_fence_as_directive = ["mermaid"]
suppress_warnings = ["myst.header"]  # the reference's headings follow the nesting of classes, which may skip a level

html_theme = "furo"
html_title = "Millrace"
html_static_path = ["static"]
html_favicon = "../../portal/icon.svg"
html_css_files = ["site.css"]
html_extra_path = ["index.html"]
html_show_sphinx = False
html_copy_source = False
html_use_index = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

NAVIGATION = {
    "Guides": [
        "client/README",
        "docs/analysts",
        "docs/importing",
        "docs/models",
        "docs/experiments",
        "docs/compat",
        "docs/performance",
        "docs/sizing",
        "docs/privacy",
        "docs/debugging",
        "examples/README",
    ],
    "Reference": [
        "docs/settings",
        "docs/errors",
        "docs/topics",
        "docs/glossary",
        "docs/stability",
        "docs/reference/index",
    ],
    "Design": ["docs/architecture", "docs/adr/README", "docs/quality", "docs/requirements", "docs/field-reports"],
    "Project": ["CHANGELOG", "client/CHANGELOG", "CONTRIBUTING", "SECURITY"],
}
"""The pages in the order of the side bar, by caption."""


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the API reference, register the hooks of the site, and allow for parallel builds."""
    reference.write(ROOT)
    app.add_directive("mermaid", diagram.Mermaid)
    app.connect("source-read", _navigation)
    app.connect("html-page-context", _breakable_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _navigation(_app: Sphinx, name: str, content: list[str]) -> None:
    """Append the tables of contents that make up the side bar; the git host would show them as code."""
    if name == root_doc:
        content[0] += "".join(_toctree(pages, caption) for caption, pages in NAVIGATION.items())
    elif name == "docs/adr/README":
        content[0] += _toctree(sorted(path.stem for path in (ROOT / "docs" / "adr").glob("0*.md")))


def _breakable_names(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _tree: object) -> None:
    """Let paths and long names in code break after their separators, so that tables fit a phone."""
    names = re.compile(r'(?<=<span class="pre">)[^<]+')
    context["body"] = names.sub(
        lambda name: re.sub(r"(?<=\w)([/_:,])(?=\S)", r"\1<wbr>", name[0]), context.get("body", "")
    )


def _toctree(pages: list[str], caption: str = "") -> str:
    options = f":caption: {caption}\n" if caption else ""
    return f"\n\n```{{toctree}}\n:hidden:\n{options}\n" + "\n".join(pages) + "\n```\n"
