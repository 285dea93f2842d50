"""The notebooks and the archive of figures: what a build keeps, and what is put together for
download.
"""

import copy
import importlib.util
import re
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
PATH = Path(__file__).parents[1] / "docs" / "build.py"
DRAW = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"


@pytest.fixture
def build(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("build_of_the_site", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(module, "DOCS", tmp_path)
    monkeypatch.setattr(module, "TUTORIALS", tmp_path)
    return module


def test_every_figure_of_a_build_is_kept_as_svg_and_downloaded(build, tmp_path, monkeypatch):
    pytest.importorskip("jupytext")
    cells = [nbformat.v4.new_code_cell(code) for code in (DRAW, "print(3)", DRAW)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    monkeypatch.setenv("IPYTHONDIR", str(build.kernel_folder()))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    assert [set(p) >= {"image/png", build.SVG} for p in build.pictures_of(notebook)] == [True] * 2

    (tmp_path / "01-lines.md").write_text("# Lines\n")
    for name in build.SHEETS:
        (tmp_path / name).write_text("# Words\n")
    (tmp_path / "conf.py").write_text('PACKAGE = "minigan"\n')
    monkeypatch.setattr(build, "with_outputs", lambda plain: copy.deepcopy(notebook))
    build.notebooks(None)
    made = tmp_path / "_notebooks"
    with zipfile.ZipFile(made / build.FIGURES) as archive:
        names = archive.namelist()
        assert names == ["minigan-figures/01-lines-1.svg", "minigan-figures/01-lines-2.svg"]
        assert all(b"<svg" in archive.read(name) for name in names)
    assert "image/png" in (made / "01-lines.ipynb").read_text()
    assert build.SVG not in (made / "01-lines.ipynb").read_text()


def test_tutorials_that_have_not_run_yet_have_no_figures(build, tmp_path, monkeypatch):
    pytest.importorskip("jupytext")
    (tmp_path / "_notebooks").mkdir()
    (tmp_path / "01-lines.md").write_text("# Lines\n\n```{code-cell} ipython3\n1 + 1\n```\n")
    monkeypatch.setattr(build, "with_outputs", lambda plain: plain)
    with zipfile.ZipFile(build.figures()) as archive:
        assert archive.namelist() == []


def test_the_course_in_one_archive_has_all_that_it_links_to(build, tmp_path, monkeypatch):
    jupytext = pytest.importorskip("jupytext")
    monkeypatch.setattr(build, "TUTORIALS", build.ROOT / "tutorials")
    monkeypatch.setattr(build, "with_outputs", lambda plain: plain)
    (tmp_path / "conf.py").write_text('PACKAGE = "minigan"\n')
    build.notebooks(None)
    with zipfile.ZipFile(tmp_path / "_notebooks" / build.ARCHIVE) as archive:
        texts = {Path(name).name: archive.read(name) for name in archive.namelist()}
    made = {name: nbformat.reads(text, as_version=4) for name, text in texts.items()}
    assert set(made) >= {"01-the-game.ipynb", "24-styles.ipynb", "glossary.ipynb", "formulas.ipynb"}
    for notebook in made.values():
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec.name == "python3"
        prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        links = re.findall(r"\]\(([\w./-]+\.(?:md|ipynb))", "\n".join(prose))
        assert len(links) > 2
        assert set(links) <= set(made)
    first, *others = (c for c in made["01-the-game.ipynb"].cells if c.cell_type == "code")
    assert first.source == build.INSTALL.format(package="minigan")
    written = jupytext.read(build.TUTORIALS / "01-the-game.md").cells
    assert [c.source for c in others] == [c.source for c in written if c.cell_type == "code"]


@pytest.mark.parametrize("missing", [False, True])
def test_a_notebook_installs_minigan_only_where_it_is_missing(build, missing, monkeypatch):
    manager = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager()
    asked = []
    shell = types.SimpleNamespace(run_line_magic=lambda *words: asked.append(words))
    if missing:
        monkeypatch.setitem(sys.modules, "minigan", None)
    code = manager.transform_cell(build.INSTALL.format(package="minigan"))
    exec(code, {"get_ipython": lambda: shell})
    assert asked == [("pip", "install --quiet --find-links . minigan")] * missing


RUN = """\
import argparse, importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("build_of_the_site", sys.argv[1])
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)
build.TUTORIALS = build.BUILD = pathlib.Path(sys.argv[2])
options = argparse.Namespace(only=sys.argv[3:] or None, fresh=False, quiet=True)
print("code", build.executed(options))
for path in sorted(build.TUTORIALS.glob("*.md")):
    import jupytext
    cells = build.with_outputs(jupytext.read(path)).cells
    print(path.stem, [c.outputs[0].text for c in cells if c.cell_type == "code" and c.outputs])
"""


def test_tutorials_are_run_side_by_side_and_an_error_in_a_cell_is_one(tmp_path, monkeypatch):
    pytest.importorskip("jupytext")
    pytest.importorskip("jupyter_cache")
    pytest.importorskip("myst_nb")
    head = (PATH.parents[1] / "tutorials" / "01-the-game.md").read_text().split("---\n")[1]
    for name, code in (("01-lines", "print(40 + 2)"), ("02-words", 'print("no" + 1)')):
        page = f"---\n{head}---\n\n# A page\n\n```{{code-cell}} ipython3\n{code}\n```\n"
        (tmp_path / f"{name}.md").write_text(page)
    monkeypatch.setenv("MINIGAN_DOCS_CACHE", str(tmp_path / "cache"))

    def executed(*only):
        command = [sys.executable, "-c", RUN, str(PATH), str(tmp_path), *only]
        return subprocess.run(command, capture_output=True, text=True, check=True)

    assert "code 0\n01-lines ['42\\n']\n02-words []\n" in executed("1").stdout
    both = executed()
    assert "code 1\n" in both.stdout
    assert 'print("no" + 1)' in both.stderr
    assert "TypeError" in both.stderr
