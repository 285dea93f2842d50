"""Links of pages that are read in the repository: what they lead to exists, pictures included."""

import re
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
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|<img src=\"([^\"]+)\"")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"(?ms)^```.*?^```|\$[^$]+\$", "", page.read_text(encoding="utf-8"))
    targets = {link or image for link, image in LINK.findall(text)}
    # docs/beside is written by the build.
    inside = {target for target in targets if not re.match(r"[a-z]+:|beside/", target)}
    assert {target for target in inside if not (page.parent / target).exists()} == set()


def test_pictures_show_where_the_repository_is_browsed():
    """A Sphinx directive for a picture is shown as text there; HTML is a picture in both places."""
    shown = [page for page in PAGES if "<img" in page.read_text(encoding="utf-8")]
    assert len(shown) > 10
    assert not [page for page in PAGES if "```{image}" in page.read_text(encoding="utf-8")]
