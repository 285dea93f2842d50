"""The model of what many ranks cost."""

import pytest

from benchmarks import ranks

LINK = ranks.Link("a link", 5e-6, 12.5e9)


def test_the_ring_and_the_tree_cost_what_their_formulas_say():
    assert ranks.ring(8, 3.6e6, LINK) == pytest.approx(14 * (5e-6 + 3.6e6 / (8 * 12.5e9)))
    assert ranks.tree(8, 3.6e6, LINK) == pytest.approx(6 * 5e-6 + 2 * 7 / 8 * 3.6e6 / 12.5e9)
    assert ranks.ring(1, 1e9, LINK) == ranks.tree(1, 1e9, LINK) == 0


def test_the_latency_of_a_ring_grows_with_the_ranks():
    assert ranks.ring(1024, 3.6e6, LINK) > 5 * ranks.tree(1024, 3.6e6, LINK)


def test_one_gpu_waits_for_nobody_and_many_wait_for_the_host():
    told = {"alone": 1e-2, "sizes": [1e6], "small": 3, "drawn": 1e-4, "link": LINK}
    assert ranks.step(1, **told) == pytest.approx(1e-2)
    assert ranks.step(1024, **told) == pytest.approx(1024e-4)


@pytest.mark.parametrize("missing", ["mpi4py", "mpiexec"])
def test_without_an_mpi_one_sentence_says_so_before_anything_is_timed(missing, monkeypatch):
    has = {"mpi4py": missing != "mpi4py", "mpiexec": missing != "mpiexec"}
    monkeypatch.setattr(ranks.sys, "executable", "/nowhere/python")
    monkeypatch.setattr(ranks.sys, "argv", ["ranks", "steps"])
    monkeypatch.setattr(ranks.shutil, "which", lambda name: "mpiexec" if has[name] else None)
    monkeypatch.setattr(ranks.importlib.util, "find_spec", lambda name: has[name] or None)
    with pytest.raises(SystemExit, match="need mpi4py and mpiexec: pip install"):
        ranks.main()


def test_the_table_is_printed(capsys):
    ranks.print_model(1e-2, [1e6], 3, 1e-4)
    assert capsys.readouterr().out.count("100%") == len(ranks.LINKS)
