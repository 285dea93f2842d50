"""The archive of figures: what a build keeps of them, and what is put together for download."""

import copy
import importlib.util
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
