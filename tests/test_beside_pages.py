"""The pages with the derivation beside the code: every object has one, and it shows its source."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from minigan import losses, nn, optim

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def make_beside():
    spec = importlib.util.spec_from_file_location("make_beside", ROOT / "docs" / "make_beside.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def functions(path):
    """Qualified names of the functions and methods of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
    return names


def test_what_has_a_page(make_beside):
    sections = make_beside.sections()
    assert {"nn.Linear", "nn.BatchNorm", "nn.Conv2d"} <= set(sections["Layers"])
    assert {"losses.mse", "losses.bce_with_logits"} <= set(sections["Losses"])
    assert "gan.Game" in sections["Games"]
    assert "optim.Adam" in sections["Optimizers"]


def test_every_page_includes_functions_that_exist(make_beside):
    known = {}
    for things in make_beside.sections().values():
        for name, thing in things.items():
            page = make_beside.page(name, thing)
            shown = re.findall(r"^```\{literalinclude\} ../../(.+)\n:pyobject: (.+)$", page, re.M)
            assert shown, name
            for file, qualified in shown:
                if file not in known:
                    known[file] = functions(ROOT / file)
                assert qualified in known[file], f"{name}: {qualified} isn't in {file}"


def test_a_layer_that_inherits_its_forward_shows_it(make_beside):
    names = [qualified for _, qualified in make_beside.sources(nn.Linear)]
    assert names[:2] == ["Linear.forward", "Linear.backward"]
    assert [q for _, q in make_beside.sources(losses.mse)] == ["mse"]
    assert any(q.endswith(".update") for _, q in make_beside.sources(optim.Adam))


def test_pages_are_written_once_and_old_ones_go(make_beside, tmp_path, monkeypatch):
    monkeypatch.setattr(make_beside, "PAGES", tmp_path / "beside")
    make_beside.write_pages()
    stale = tmp_path / "beside" / "nn-gone.md"
    stale.write_text("gone")
    page = tmp_path / "beside" / "nn-linear.md"
    before = page.stat().st_mtime_ns
    make_beside.write_pages()
    assert not stale.exists()
    assert page.stat().st_mtime_ns == before
    assert "Explained in tutorial [2]" in page.read_text()
