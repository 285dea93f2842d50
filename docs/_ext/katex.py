"""Mathematics by the KaTeX that lies in ``_static/katex``: nothing is fetched, neither by the build
nor by a reader.

Every formula becomes an element that holds its LaTeX source; ``render.js`` replaces it by the
picture of it. With JavaScript turned off the source stays readable.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line."""
    tex = translator.encode(node.astext()).strip()
    translator.body.append(f'<span class="math notranslate">{tex}</span>')
    raise nodes.SkipNode


def display(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own; several lines become KaTeX's ``aligned``."""
    tex = node.astext().strip()
    if (r"\\" in tex or "&" in tex) and r"\begin{" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    number = ""
    if node["number"]:
        number = f'<span class="eqno">({get_node_equation_number(translator, node)})</span>'
    body = translator.encode(tex.replace("{align}", "{aligned}").replace("{align*}", "{aligned}"))
    translator.body.append(
        f'<div class="math-block">{number}<div class="math display notranslate">{body}</div></div>'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer and its files."""
    app.add_html_math_renderer("katex", (inline, None), (display, None))
    app.add_css_file("katex/katex.min.css")
    app.add_js_file("katex/katex.min.js", defer="defer")
    app.add_js_file("render.js", defer="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
