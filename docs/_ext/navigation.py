"""The navigation on the left of each page, made from the titles of all pages alone.

Furo asks for a tree of titles. For each page anew, Sphinx copies all headings and objects of all
pages and then drops everything but the titles: more than half of the time of a build. Here they are
dropped once, before the first page is written; the tree is the same.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx


def titles(contents: nodes.Element) -> nodes.Element:
    """Return a copy of the contents of a page with its title and the pages below it alone."""
    copy: nodes.Element = contents.deepcopy()
    for item in copy.children:
        if isinstance(item, nodes.Element) and len(item) > 1:
            below = list(item.findall(addnodes.toctree))
            item[1:] = [nodes.bullet_list("", *below)] if below else []
    return copy


class Navigation:
    """The contents of all pages, titles alone."""

    def __init__(self) -> None:
        self.contents: dict[str, Any] = {}

    def begin(self, app: Sphinx, builder: Any) -> None:
        """Drop all but the titles, when all pages have been read."""
        self.contents = {name: titles(toc) for name, toc in app.env.tocs.items()}

    def shorten(
        self, app: Sphinx, name: str, template: str, context: dict[str, Any], tree: Any
    ) -> None:
        """Let a page's template ask for trees of titles that are made from these."""
        if "toctree" not in context:
            return
        whole = context["toctree"]

        def toctree(**options: Any) -> str:
            if not options.get("titles_only"):
                return str(whole(**options))
            contents, app.env.tocs = app.env.tocs, self.contents
            try:
                return str(whole(**options))
            finally:
                app.env.tocs = contents

        context["toctree"] = toctree


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect both to the build; before furo, whose priority is 500."""
    navigation = Navigation()
    app.connect("write-started", navigation.begin)
    app.connect("html-page-context", navigation.shorten, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
