"""Results: what was measured before stays, a trial writes nothing, and who fails or is missing ends
no command.
"""

import datetime
import json
import subprocess
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import (
    checks,
    cpu,
    digests,
    harness,
    machine,
    memory,
    profile,
    roofline,
    saving,
    scaling,
    set_ups,
    workloads,
)
from benchmarks.harness import Block, Entry, Race
from benchmarks.report import Results

TODAY = datetime.date.today().isoformat()
USUAL, OTHER = "PyTorch (2 threads)", "PyTorch (1 thread)"


def blocks(times):
    return [Block(name, i, ms) for name, values in times.items() for i, ms in enumerate(values)]


@pytest.fixture
def committed(tmp_path, monkeypatch):
    """The folder of this processor's results, which is one of the test."""
    monkeypatch.setattr(machine, "folder", lambda: tmp_path)
    return tmp_path


# ---------------------------------------------------------------- training steps


@pytest.fixture
def earlier(committed):
    """Races of two workloads, on another day."""
    before = Results(committed, append=False)
    for workload in ("toy", "dc64"):
        times = {set_ups.MINIGAN: [2.0], USUAL: [4.0], OTHER: [9.0], "DeZero": [20.0]}
        before.add(workload, blocks(times), {"MyGrad": "can't"})
    for row in before.rows:
        row["date"] = "2026-01-02"
    before.save("# Steps")
    return before


def outcome(monkeypatch, times, failed=None):
    monkeypatch.setattr(
        cpu, "compare", lambda *_, **__: cpu.Outcome(blocks(times), failed or {}, {})
    )


def kept(folder):
    return {
        (row["workload"], row["contestant"], row["ms"]) for row in Results(folder, append=True).rows
    }


def test_what_is_not_measured_keeps_its_rows(earlier, committed, monkeypatch, capsys):
    outcome(monkeypatch, {set_ups.MINIGAN: [1.0], OTHER: [3.0]})
    assert cpu.main(["--workload", "toy"]) == 0
    assert kept(committed) == {
        ("toy", set_ups.MINIGAN, "1.0000"),
        ("toy", OTHER, "3.0000"),  # instead of both of PyTorch's set-ups
        ("toy", "DeZero", "20.0000"),
        *(("dc64", row["contestant"], row["ms"]) for row in earlier.counted("dc64")),
    }
    assert "toy: replaces what was measured on 2026-01-02" in capsys.readouterr().out
    page = (committed / "cpu.md").read_text()
    assert f"- measured: 2026-01-02 to {TODAY}" in page
    assert "- versions and command: those of the last run" in page
    assert "- MyGrad on dc64: can't" in page
    # DeZero's old run isn't taken for one with the new rows.
    assert Results(committed, append=True).against_rival("toy", "DeZero") == []
    assert Results(committed, append=True).against_rival("toy", set_ups.MINIGAN) == [3.0]


def test_some_set_ups_of_pytorch_do_not_replace_the_others(earlier, committed, monkeypatch):
    outcome(monkeypatch, {OTHER: [3.0]})
    assert cpu.main(["--workload", "toy", "--set-ups", "1 thread"]) == 0
    assert {("toy", USUAL, "4.0000"), ("toy", OTHER, "3.0000")} < kept(committed)


def test_who_fails_keeps_earlier_rows(earlier, committed, monkeypatch):
    outcome(monkeypatch, {set_ups.MINIGAN: [1.0]}, {USUAL: "no such library"})
    assert cpu.main(["--workload", "toy"]) == 0
    assert {("toy", USUAL, "4.0000"), ("toy", set_ups.MINIGAN, "1.0000")} < kept(committed)
    assert f"- {USUAL} on toy: no such library" in (committed / "cpu.md").read_text()


def test_a_race_that_does_not_count_replaces_nothing(earlier, committed, monkeypatch):
    outcome(monkeypatch, {set_ups.MINIGAN: [1.0, 2.0, 2.0]})
    assert cpu.main(["--workload", "toy"]) == 1
    assert Results(committed, append=True).ms("toy", set_ups.MINIGAN) == [2.0]


def test_runs_of_one_command_are_all_kept(earlier, committed, monkeypatch):
    outcome(monkeypatch, {set_ups.MINIGAN: [1.0]})
    assert cpu.main(["--workload", "toy", "--runs", "2"]) == 0
    assert Results(committed, append=True).ms("toy", set_ups.MINIGAN) == [1.0, 1.0]
    assert cpu.main(["--workload", "toy", "--append"]) == 0
    assert Results(committed, append=True).ms("toy", set_ups.MINIGAN) == [1.0] * 3


def test_a_trial_writes_nothing(earlier, committed, monkeypatch, capsys):
    before = (committed / "cpu.csv").read_bytes()
    outcome(monkeypatch, {set_ups.MINIGAN: [1.0]})
    assert cpu.main(["--quick", "--workload", "toy"]) == 0
    said = capsys.readouterr()
    assert "| toy | minigan | 1.00 |" in said.out
    assert "nothing is written without --out" in said.err
    assert (committed / "cpu.csv").read_bytes() == before
    assert cpu.main(["--quick", "--workload", "toy", "--out", str(committed / "x")]) == 0
    assert kept(committed / "x") == {("toy", set_ups.MINIGAN, "1.0000")}


def test_a_file_that_can_not_be_written_leaves_the_older_one(earlier, committed, monkeypatch):
    before = (committed / "cpu.csv").read_bytes()
    monkeypatch.setattr(Results, "text", lambda *_: 1 / 0)
    races = saving.Races(committed, "cpu")
    with pytest.raises(ZeroDivisionError):
        races.save("# Steps")
    assert (committed / "cpu.csv").read_bytes() == before
    assert {path.name for path in committed.iterdir()} == {"cpu.csv", "cpu.md", "cpu.png"}


# ---------------------------------------------------------------- who dies during a race

MORTAL = """
import itertools, sys
calls = itertools.count()
def make(workload, options):
    def step():
        if next(calls) == int(options["steps"]):
            raise RuntimeError("out of luck")
    return step
"""


@pytest.fixture
def mortal(tmp_path):
    """Contestants that die after so many steps: the second one in its second block."""
    (tmp_path / "mortal.py").write_text(MORTAL)
    place = {"PYTHONPATH": str(tmp_path)}
    steps = {"first": "1000000", "second": "3000", "third": "2"}
    return [Entry(n, "mortal", {"steps": count}, place) for n, count in steps.items()]


def test_who_dies_leaves_the_race_and_it_goes_on(mortal, monkeypatch):
    monkeypatch.setattr(Race, "_steps", lambda self, name, _: self.running[name].run(2) and 1600)
    with Race("any", mortal, warm=1) as race:
        found = race.blocks(3, repeats=0)
        assert list(race.running) == ["first"]
    assert race.failed == dict.fromkeys(("second", "third"), "RuntimeError: out of luck")
    counted = [b.name for b in found if not b.note]
    assert counted == ["first"] * 3
    assert [b.note for b in found if b.name == "second"] == [harness.ENDED.format("second")]


def test_times_are_of_those_who_are_left(mortal):
    with Race("any", mortal[::2], warm=1) as race:
        assert list(race.times(2, block=0.001)) == ["first"]
        race.running["first"]._process.kill()
        assert race.memory() == {}
        assert race.kernel("first") == ""
    assert race.failed["first"] == "it ended with status -9"


def test_an_interpreter_that_is_not_there_is_a_failure():
    with Race("toy", [Entry("x", "benchmarks.workloads", python="/no/such/python")]) as race:
        assert "its interpreter can't be started" in race.failed["x"]


def test_the_blocks_of_who_died_are_kept_and_not_counted(committed, monkeypatch):
    dead = Block("DeZero", 0, 7.0, note=harness.ENDED.format("DeZero"))
    one = cpu.Outcome([*blocks({set_ups.MINIGAN: [1.0]}), dead], {"DeZero": "why"}, {})
    monkeypatch.setattr(cpu, "compare", lambda *_, **__: one)
    assert cpu.main(["--workload", "toy"]) == 0
    assert kept(committed) == {("toy", "minigan", "1.0000"), ("toy", "DeZero", "7.0000")}
    page = (committed / "cpu.md").read_text()
    assert "- toy, run 1: DeZero alone, which failed during the race" in page
    assert "- DeZero on toy: why" in page


# ---------------------------------------------------------------- the other tables


def test_memory_is_saved_after_each_workload(committed, monkeypatch):
    (committed / "memory.md").write_text("# Memory\n\n- measured: 2026-01-02\n")
    (committed / "memory.csv").write_text(
        "workload,contestant,peak_mib,imports_mib,net_mib\n"
        "toy,minigan,9.0,4.0,5.0\ntoy,DeZero,8.0,4.0,4.0\nr1,minigan,7.0,4.0,3.0\n"
    )

    def measure(workload, _):
        if workload == "dc64":
            raise KeyboardInterrupt
        return [(workload, "minigan", 3.0, 2.0, 1.0)]

    monkeypatch.setattr(memory, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "memory", "--workload", "toy", "dc64"])
    assert command.main() == 130
    assert (committed / "memory.csv").read_text() == (
        "workload,contestant,peak_mib,imports_mib,net_mib,measured\n"
        f"toy,minigan,3.0,2.0,1.0,{TODAY}\n"
        "toy,DeZero,8.0,4.0,4.0,2026-01-02\nr1,minigan,7.0,4.0,3.0,2026-01-02\n"
    )
    page = (committed / "memory.md").read_text()
    assert "| r1 | minigan | 7 | 4 | 3 | 2026-01-02 |" in page
    assert f"- measured: 2026-01-02 to {TODAY}" in page
    monkeypatch.setattr(memory, "measure", lambda *_: [])
    assert memory.main(["--workload", "toy"]) == 2


def scaled(monkeypatch, times):
    monkeypatch.setattr(scaling, "race", lambda *_, **__: times)
    monkeypatch.setattr(scaling.importlib.util, "find_spec", lambda _: True)


def test_scaling_replaces_the_cases_that_it_measured(committed, monkeypatch, capsys):
    scaled(monkeypatch, {"minigan": [2.0, 2.0], "PyTorch (nchw)": [3.0, 3.0]})
    assert scaling.main(["--quick"]) == 0
    assert not list(committed.iterdir())
    assert scaling.main([]) == 0
    scaled(monkeypatch, {"minigan": [1.0, 1.0], "PyTorch (nchw)": [3.0, 3.0]})
    assert scaling.main(["--vary", "image"]) == 0
    rows = [line.split(",") for line in (committed / "scaling.csv").read_text().splitlines()[1:]]
    assert [tuple(row[:1] + [int(n) for n in row[1:4]]) for row in rows] == list(scaling.CASES)
    assert {row[6] for row in rows if row[0] == "image"} == {"1.0"}
    assert {row[6] for row in rows if row[0] != "image"} == {"2.0"}


def test_scaling_says_what_it_lacks(committed, monkeypatch, capsys):
    scaled(monkeypatch, {"minigan": [2.0, 2.0]})
    assert scaling.main(["--vary", "image"]) == 2
    assert "can't be compared" in capsys.readouterr().err
    monkeypatch.setattr(scaling.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit) as end:
        scaling.main([])
    assert end.value.code == 2
    assert "compares with PyTorch, which isn't installed" in capsys.readouterr().err
    assert not list(committed.iterdir())


def shares(step):
    return dict.fromkeys(profile.PARTS, step / len(profile.PARTS)) | {
        "step": step, "system": 0.0, "faults": 0.0
    }  # fmt: skip


def test_a_profile_keeps_the_other_columns(committed, monkeypatch, capsys):
    monkeypatch.setattr(profile.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(profile, "apart", lambda *_, **__: shares(5.0))
    assert profile.main(["--workload", "toy", "dc64"]) == 0
    page = (committed / "profile.md").read_text()
    older = page[: page.rindex("| measured |")].replace(TODAY, "2026-01-02")
    (committed / "profile.md").write_text(older)  # as an earlier version has written it

    def apart(workload, name, **_):
        if name == "reference":
            raise subprocess.CalledProcessError(1, "profile")
        return shares(7.0)

    monkeypatch.setattr(profile, "apart", apart)
    assert profile.main(["--workload", "toy"]) == 0
    assert "toy, before: left out" in capsys.readouterr().err
    *_, step, _, _, dates = (committed / "profile.md").read_text().splitlines()
    assert step == "| **step, ms** | 5.0 | 7.0 | 5.0 | 5.0 |"
    assert dates == f"| measured | 2026-01-02 | {TODAY} | 2026-01-02 | 2026-01-02 |"
    before = (committed / "profile.md").read_bytes()
    assert profile.main(["--workload", "toy", "--seconds", "0.1"]) == 0
    assert (committed / "profile.md").read_bytes() == before


OLDER = """# Rooflines

`python -m benchmarks roofline`

- measured: 2026-01-02

Computed by: NumPy.

Peaks of this machine, 2 threads: GEMM 1 GFLOP/s, copy 1 GB/s.

## toy, batch 256

| old | table |

## dc64, batch 64

| older | table |
"""


def test_a_roofline_keeps_the_other_sections(committed, monkeypatch):
    (committed / "roofline.md").write_text(OLDER)
    row = roofline.Row("G0", "forward", 1.0, 1.0, 1.0, 1.0, "GEMM")
    monkeypatch.setattr(roofline, "peaks", lambda **_: (2.0, 2.0))
    monkeypatch.setattr(roofline, "measure", lambda *_, **__: [row])
    assert roofline.main(["--workload", "toy"]) == 0
    page = (committed / "roofline.md").read_text()
    assert "| old |" not in page
    new, kept = page.split("## dc64, batch 64")
    assert f"Measured on {TODAY}." in new
    assert "GEMM 2 GFLOP/s" in new
    assert all(words in kept for words in ("| older |", "GEMM 1 GFLOP/s", "on 2026-01-02."))
    assert f"- measured: 2026-01-02 to {TODAY}" in new
    assert roofline.main(["--workload", "toy", "--batch", "4"]) == 0
    assert (committed / "roofline.md").read_text().count("\n## ") == 3
    before = (committed / "roofline.md").read_bytes()
    assert roofline.main(["--workload", "toy", "--seconds", "0.01"]) == 0
    assert (committed / "roofline.md").read_bytes() == before


# ---------------------------------------------------------------- sentences


def test_digests_of_an_unknown_recipe_are_refused(capsys):
    with pytest.raises(SystemExit) as end:
        digests.main(["--recipe", "nosuch"])
    assert end.value.code == 2
    assert "Unknown recipe 'nosuch'" in capsys.readouterr().err


def test_digests_that_are_known_are_kept(tmp_path, monkeypatch, capsys):
    def found(recipe, *_):
        if recipe == "ring":
            raise subprocess.CalledProcessError(1, "train")
        return {"weights": "a", "metrics": "b"}

    monkeypatch.setattr(digests, "digests", found)
    output, before = tmp_path / "after.json", tmp_path / "before.json"
    flags = ["--recipe", "ring", "digits", "--fast", "0", "-o", str(output)]
    assert digests.main(flags) == 2
    assert "ring, 0: left out" in capsys.readouterr().err
    assert json.loads(output.read_text()) == {"digits, 0": {"weights": "a", "metrics": "b"}}
    before.write_text("{}")
    assert (
        digests.main(
            ["--recipe", "digits", "--fast", "0", "-o", str(output), "--before", str(before)]
        )
        == 1
    )
    with pytest.raises(SystemExit):
        digests.main([*flags, "--before", str(tmp_path / "none.json")])
    with pytest.raises(SystemExit):
        digests.main(["--recipe", "digits", "-o", str(tmp_path / "none" / "x.json")])


def test_a_folder_that_can_not_be_written_to_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "taken").write_text("")
    monkeypatch.setattr(memory, "measure", lambda w, _: [(w, "minigan", 3.0, 2.0, 1.0)])
    flags = ["benchmarks", "memory", "--workload", "toy", "--out", str(tmp_path / "taken")]
    monkeypatch.setattr(sys, "argv", flags)
    assert command.main() == 2
    assert str(tmp_path / "taken") in capsys.readouterr().err


def test_what_gives_way():
    assert set_ups.gives_way("minigan, again", ["minigan"])
    assert not set_ups.gives_way("DeZero", ["minigan", OTHER])
    assert set_ups.gives_way(USUAL, [OTHER])
    assert not set_ups.gives_way(USUAL, [OTHER], some=True)
    assert set_ups.gives_way(checks.YARDSTICK, [checks.YARDSTICK])
    assert set(set_ups.PEERS["DeZero"][1]) <= set(workloads.WORKLOADS)
