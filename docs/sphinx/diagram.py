"""Mermaid diagrams, drawn as SVG while the site is built: pages need no script and no network."""

from __future__ import annotations

import mermaidx
from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class Mermaid(SphinxDirective):
    """A fenced block of the language `mermaid`."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the drawing, in a frame that scrolls where the screen is narrow."""
        svg = mermaidx.render("\n".join(self.content)).svg()
        return [nodes.raw("", f'<div class="diagram">{svg}</div>', format="html")]
