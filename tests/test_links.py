"""Links of pages that are read in the repository: what they lead to exists, pictures included; and
those of the notebooks that are made of the course.
"""

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for folder, pattern in ((".", "*.md"), ("tutorials", "*.md"), ("benchmarks", "*.md"),
                            ("docs", "*.md"), ("docs/howto", "*.md"), ("docs/gallery", "*.md"))
    for page in (ROOT / folder).glob(pattern)
    if page != ROOT / "docs" / "benchmarks.md"  # written by the build
)  # fmt: skip
COURSE = [page for page in PAGES if page.match("tutorials/*") and page.name != "README.md"]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|<img src=\"([^\"]+)\"")


def prose(page):
    """Everything but code and formulas."""
    return re.sub(r"(?ms)^```.*?^```|\$\$.*?\$\$|\$[^$]+\$", "", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = prose(page)
    targets = {link or image for link, image in LINK.findall(text)}
    # docs/beside is written by the build.
    inside = {target for target in targets if not re.match(r"[a-z]+:|beside/", target)}
    assert {target for target in inside if not (page.parent / target).exists()} == set()


def test_the_sdist_has_every_page():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {page.relative_to(ROOT).parts[0] for page in PAGES} <= set(included)


@pytest.mark.parametrize("page", COURSE, ids=lambda page: page.stem)
def test_links_of_a_notebook_lead_to_notebooks_beside_it(page):
    among_notebooks = runpy.run_path(str(ROOT / "docs" / "build.py"))["among_notebooks"]
    notebooks = {f"{one.stem}.ipynb": one for one in COURSE}
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", among_notebooks(prose(page), page))
    inside = [link for link in links if not re.match(r"[a-z]+:", link[0])]
    assert len(inside) > 2
    for name, anchor in inside:
        target = notebooks[name] if name else page
        # JupyterLab's anchors are the words of a heading, with dashes for spaces.
        headings = re.findall(r"(?m)^#+ (.+)$", prose(target))
        assert not anchor or anchor in [heading.replace(" ", "-") for heading in headings]


def test_what_does_not_lie_beside_a_notebook_is_said_in_words():
    among_notebooks = runpy.run_path(str(ROOT / "docs" / "build.py"))["among_notebooks"]
    text = "see [*On a GPU*](../docs/gpu.md#how-it-works), or [2](02-backpropagation.md)"
    said = among_notebooks(text, ROOT / "tutorials" / "14-gpu.md")
    assert said == "see *On a GPU* (`docs/gpu.md`), or [2](02-backpropagation.ipynb)"


def test_pictures_show_where_the_repository_is_browsed():
    """A Sphinx directive for a picture is shown as text there; HTML is a picture in both places."""
    shown = [page for page in PAGES if "<img" in page.read_text(encoding="utf-8")]
    assert len(shown) > 10
    assert not [page for page in PAGES if "```{image}" in page.read_text(encoding="utf-8")]
