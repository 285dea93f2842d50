"""Settings of the site, which `python docs/build.py` builds; see also README.md in this folder."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

PACKAGE = "minigan"
"""What ``pip install`` is given in the first cell of each notebook where minigan is missing: once
the repository has an address, "git+https://..." runs them in Colab as they are.
"""

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE), str(ROOT)]

import docutils.nodes  # noqa: E402
import make_beside  # noqa: E402
import make_commands  # noqa: E402
import myst_nb.sphinx_  # noqa: E402
import sphinx.domains.python  # noqa: E402

import minigan  # noqa: E402


def collect_tutorials() -> None:
    """Copy the tutorials to where Sphinx looks for them; an unchanged file keeps its date."""
    target = HERE / "tutorials"
    target.mkdir(exist_ok=True)
    for path in sorted((ROOT / "tutorials").glob("*.md")):
        if path.name == "README.md":
            continue
        copy = target / path.name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)
    for copy in target.glob("[0-9]*.md"):
        if not (ROOT / "tutorials" / copy.name).exists():
            copy.unlink()


collect_tutorials()


def collect_benchmarks() -> None:
    """Write the page that lists what was measured: speed, the GPU, quality."""
    elsewhere = {"README", "index", "notebooks", "gallery", "layout", "benchmarks", "from-nothing"}
    found = {page.stem for page in HERE.glob("*.md")} - elsewhere
    pages = [name for name in ("performance", "gpu") if name in found]
    pages += sorted(found - set(pages))
    text = "# Benchmarks\n\nHow fast it is and how good the samples are: measured, with the commands.\n\n"
    text += "\n".join(["```{toctree}", ":maxdepth: 2", "", *pages, "```", ""])
    path = HERE / "benchmarks.md"
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


collect_benchmarks()
make_commands.write_pages()
make_beside.write_pages()

project = "minigan"
author = "The minigan developers"
project_copyright = author
release = version = minigan.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "katex",
    "navigation",
]
exclude_patterns = ["_build", "README.md", "locale", "_static", "_notebooks"]
templates_path = ["_templates"]
language = os.environ.get("MINIGAN_DOCS_LANGUAGE", "en")
locale_dirs = ["locale"]
gettext_compact = False
# A translation is looked up by its text; with line numbers, every edit would change every catalogue.
gettext_location = False

# ---------------------------------------------------------------- mathematics, prose

html_math_renderer = "katex"
myst_enable_extensions = [
    "dollarmath",
    "amsmath",
    "colon_fence",
    "deflist",
    "attrs_block",
    "html_image",
]
myst_heading_anchors = 3
myst_links_external_new_tab = False

# ---------------------------------------------------------------- notebooks

nb_execution_mode = os.environ.get("MINIGAN_DOCS_EXECUTION", "cache")
nb_execution_cache_path = os.environ.get("MINIGAN_DOCS_CACHE", str(HERE / "_build" / "cache"))
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 240
nb_execution_excludepatterns = [p for p in os.environ.get("MINIGAN_DOCS_SKIP", "").split(",") if p]
nb_merge_streams = True
# The SVGs are for the archive of figures; those with thousands of points would be slow in a page.
nb_mime_priority_overrides = [("*", "image/svg+xml", None)]

# ---------------------------------------------------------------- reference

# Without Numba, compiled functions are documented as they are in the source.
autodoc_mock_imports = ["numba", "llvmlite"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_preprocess_types = False
default_role = "py:obj"
add_module_names = False
toc_object_entries_show_parents = "hide"

# ---------------------------------------------------------------- looks

html_theme = "furo"
html_title = "minigan"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/language.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_context = {"both_languages": bool(os.environ.get("MINIGAN_DOCS_BOTH"))}
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072B2", "color-brand-content": "#00639c"},
    "dark_css_variables": {"color-brand-primary": "#56B4E9", "color-brand-content": "#7cc4ee"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


# ---------------------------------------------------------------- signs in docstrings

LITERAL = re.compile(r"(``.*?``|:math:`[^`]*`|`[^`]*`|\*\*[^*]+\*\*|\*\w[^*]*?[\w.!?)]\*(?!\w))")


# A type in words, such as "ndarray, shape (N, 2)": Sphinx would take the words for names and link
# them to whatever is called so.
FREE_TYPE = re.compile(r"^(:(?:var)?type \w+: )(?=.*[\s(])([^*`]+)$")


def plain_signs(
    app: object, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Escape ``|a - b|`` and ``(N, *shape)``, which reStructuredText would take for markup."""
    for i, line in enumerate(lines):
        lines[i] = FREE_TYPE.sub(r"\1*\2*", line)
    block = -1  # the indentation of a directive whose body isn't prose
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent <= block:
            block = -1
        if line.lstrip().startswith(
            (".. math::", ".. code", ".. parsed")
        ) or line.rstrip().endswith("::"):
            block = indent
        elif block < 0 and not line.lstrip().startswith((">>>", "...", ".. ")):
            parts = LITERAL.split(line)
            lines[i] = "".join(
                part if k % 2 else re.sub(r"(?<!\\)(\||\*(?=\w))", r"\\\1", part)
                for k, part in enumerate(parts)
            )


AUTOMODULE = re.compile(r"^\.\. automodule:: (\S+)\n(?!   :no-members:)", re.MULTILINE)


def overview(app: Any, name: str, source: list[str]) -> None:
    """Put a table of all that a page of the reference describes at the top of it."""
    if not name.startswith("api/"):
        return
    rows = [row for module in AUTOMODULE.findall(source[0]) for row in described(module)]
    if len(rows) > 1:
        table = [".. list-table::", "   :widths: 30 70", "   :class: overview", "", *rows]
        block = "\n".join(["```{eval-rst}", *table, "```"])
        source[0] = source[0].replace("```{eval-rst}", f"{block}\n\n```{{eval-rst}}", 1)


def tutorials_here(app: Any, name: str, source: list[str]) -> None:
    """Turn links to the tutorials, which lie beside ``docs`` in the repository, to their copies,
    and links out of them to where the other pages are.
    """
    source[0] = re.sub(r"\]\(\.\./((?:\.\./)*)tutorials/", r"](\1tutorials/", source[0])
    if name.startswith("tutorials/"):
        source[0] = source[0].replace("](../docs/", "](../")


def described(module: str) -> list[str]:
    """Return the rows of a table: each public name of a module, and the first line about it."""
    found = importlib.import_module(module)
    public = getattr(found, "__all__", None) or [n for n in vars(found) if not n.startswith("_")]
    rows = []
    for name in public:
        thing = getattr(found, name)
        if callable(thing) and getattr(thing, "__module__", None) == module and thing.__doc__:
            line = thing.__doc__.strip().split("\n")[0]
            plain = [line]
            plain_signs(None, "", "", None, None, plain)
            rows += [f"   * - :py:obj:`~{module}.{name}`", f"     - {plain[0]}"]
    return rows


def translate_answers(app: Any, tree: Any, name: str) -> None:
    """Translate the one word of the tutorials that gettext doesn't see, since it is HTML."""
    for node in tree.findall(docutils.nodes.raw):
        if "<summary>Answer</summary>" in node.astext():
            node.children[:] = [docutils.nodes.Text(node.astext().replace("Answer", "答案"))]


RUNNING_TIME = {
    "en": "Running time on the machine that built this page: {seconds:.0f} s.",
    "zh_CN": "在生成本页的机器上的运行时间：{seconds:.0f} 秒。",
}


def running_time(app: Any, tree: Any, name: str) -> None:
    """Say under the title of a notebook how long its cells took when they last ran."""
    result = myst_nb.sphinx_.NbMetadataCollector.get_exec_data(app.env, name)
    title = next(iter(tree.findall(docutils.nodes.title)), None)
    if title is None or not result or not result.get("runtime"):
        return
    text = RUNNING_TIME.get(language, RUNNING_TIME["en"]).format(seconds=result["runtime"])
    line = docutils.nodes.paragraph("", "", docutils.nodes.emphasis("", text))
    line["classes"].append("running-time")
    title.parent.insert(title.parent.index(title) + 1, line)


SHOWN = re.compile(r"^# (minigan/\S+\.py), (?:method|function|class) (\w+)", re.MULTILINE)
BESIDE = {"en": "Beside the derivation: ", "zh_CN": "与推导并列："}


def link_shown_source(app: Any, tree: Any, name: str) -> None:
    """Link the source that a tutorial shows to the pages that have its derivation beside it."""
    if not name.startswith("tutorials/"):
        return
    known = make_beside.pages()
    for block in list(tree.findall(docutils.nodes.literal_block)):
        shown = dict.fromkeys(known.get(place) for place in SHOWN.findall(block.astext()))
        line = docutils.nodes.paragraph("", BESIDE.get(language, BESIDE["en"]))
        for public, page in filter(None, shown):
            if len(line) > 1:
                line += docutils.nodes.Text(" · ")
            uri = app.builder.get_relative_uri(name, page)
            line += docutils.nodes.reference("", public, refuri=uri, internal=True)
        if len(line) > 1:
            line["classes"].append("beside")
            block.parent.insert(block.parent.index(block) + 1, line)


def setup(app: Any) -> None:
    """Connect the functions above to Sphinx, which calls this."""
    app.connect("doctree-resolved", running_time)
    app.connect("doctree-resolved", link_shown_source)
    if language == "zh_CN":
        app.connect("doctree-resolved", translate_answers)
    for kind in sphinx.domains.python.PyObject.doc_field_types:
        if kind.name == "variable":
            kind.label = "Attributes"
    app.connect("source-read", overview)
    app.connect("source-read", tutorials_here)
    app.connect("autodoc-process-docstring", plain_signs, priority=900)
