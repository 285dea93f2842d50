"""How much memory there is, and what is refused because of it."""

import math

import pytest

from minigan import memory


def groups(tmp_path, limits, own="0::/a/b\n"):
    (tmp_path / "own").write_text(own)
    for name, text in limits.items():
        (tmp_path / "fs" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name / "memory.max").write_text(text)
    return memory.total(tmp_path / "fs", tmp_path / "own")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"a/b": "1000\n"}, 1000),
        ({"a/b": "max\n", "a": "2000\n", "": "3000\n"}, 2000),
        ({"": "500\n"}, 500),
        ({"other": "1\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_group_limits_what_the_machine_has(tmp_path, limits, expected):
    machine = groups(tmp_path / "free", {}) if (tmp_path / "free").mkdir() is None else 0
    assert groups(tmp_path, limits) == min(expected, machine)


def test_what_needs_more_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(memory, "total", lambda: 2.0**31)
    memory.require(2.0**31, "This", "use less")
    with pytest.raises(
        ValueError, match=r"^This would take 3\.0 GiB of memory, but there are 2\.0"
    ):
        memory.require(3 * 2.0**30, "This", "use less")
    with pytest.raises(ValueError, match=r"take 2,048 TiB of memory, .*; use less\.$"):
        memory.require(2.0**51, "This", "use less")


def test_a_system_that_cannot_say_has_no_limit(monkeypatch, tmp_path):
    monkeypatch.delattr(memory.os, "sysconf")
    monkeypatch.setattr(memory, "_ulimit", lambda: math.inf)
    assert memory.total(tmp_path, tmp_path / "none") == math.inf
