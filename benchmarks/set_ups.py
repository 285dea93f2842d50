"""Who takes part: both variants of minigan, and PyTorch in every set-up that its users may choose.

PyTorch has several dials (layout, threads, Adam, ...). All combinations would be fifty for a
workload; by default one is the usual set-up, each other differs from it in one dial, and one more
turns every dial to where it was fastest by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

from benchmarks.harness import Entry
from benchmarks.workloads import find
from minigan.backend.cpu import cores

MINIGAN, AGAIN = "minigan", "minigan, again"
FAST, FAST_AGAIN = "minigan[fast]", "minigan[fast], again"
TWINS = {MINIGAN: AGAIN, FAST: FAST_AGAIN}
"""The same program once more, of NumPy alone and of compiled loops."""
BACKENDS = {MINIGAN: {"MINIGAN_FAST": "0"}, FAST: {"MINIGAN_FAST": "1"}}
"""What tells minigan which of the two to be; demanded, so that none takes part under the other's
name.
"""
READABLE = {"MINIGAN_FAST": "reference"}
"""The variant that is made for reading."""
TORCH = "PyTorch"
SECOND = ", again"
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
"""What minigan sets for itself, see `minigan.backend.cpu.malloc`; who trains with PyTorch can too."""
PEERS = {
    "DeZero": ("benchmarks.rivals.dezero_step", ("toy", "mnist-mlp", "mnist-dcgan", "dc64")),
    "MyGrad": ("benchmarks.rivals.mygrad_step", ("toy",)),
    "numpy-ml": ("benchmarks.rivals.numpy_ml_step", ("toy",)),
}
NOT_RUN = {
    "Chainer": "its last release (7.8, 2022) doesn't install beside a current Python and NumPy",
    "tinygrad": "on a CPU it needs the compiler clang, which isn't here, and a machine-code step is no NumPy engine",
}
WORDS = {
    "fused": "fused Adam",
    "foreach": "foreach Adam",
    "plain": "plain Adam",
    "together": "D's batches together",
    "inference": "inference mode",
    "kept": "memory kept",
    "yes": "compiled",
}
"""Values of the dials as the tables call them; those that aren't here are the silent ones."""
Choice = dict[str, str]


def minigan_entries() -> list[Entry]:
    """Return minigan on NumPy alone and with compiled loops, each twice."""
    return [
        Entry(name, "benchmarks.workloads", env=BACKENDS[one])
        for one, twin in TWINS.items()
        for name in (one, twin)
    ]


def peer_entries(workload: str, python: str | None) -> list[Entry]:
    """Return other NumPy engines, if there is an interpreter that has them."""
    return [
        Entry(name, module, python=python)
        for name, (module, able) in PEERS.items()
        if python and workload in able
    ]


def dials(workload: str, *, compiled: bool = False) -> dict[str, tuple[str, ...]]:
    """Return what can be chosen in PyTorch, and the values, the usual one first.

    *together*: D sees reals and fakes in one pass, where it has no batch norm. *inference*: D's
    fakes are made under ``torch.inference_mode``. *kept*: the allocator is set as minigan sets it.
    """
    what, every = find(workload), str(cores.cores())
    found: dict[str, tuple[str, ...]] = {
        "layout": ("channels_last", "nchw") if len(what.sample_shape) == 3 else ("",),
        "threads": (every, "1") if every != "1" else ("1",),
    }
    if what.trains:
        found["adam"] = ("fused", "foreach", "plain")
        found["batches"] = ("apart", "together") if what.joint else ("apart",)
        found["fakes"] = ("no_grad", "inference")
    found["memory"] = ("kept", "default")
    found["compile"] = ("no", "yes") if compiled and not what.tame else ("no",)
    return found


def star(workload: str, *, compiled: bool = False, alone: bool = False) -> list[Choice]:
    """Return the usual choice, and those that differ from it in one dial.

    One thread is tried only where a step is so short that two may be in each other's way; with
    `alone` everywhere, since threads that wait for each other suffer most where others compute.
    """
    found = dials(workload, compiled=compiled)
    usual = {dial: values[0] for dial, values in found.items()}
    others = [usual | {dial: value} for dial, values in found.items() for value in values[1:]]
    alone = alone or find(workload).quick
    return [usual, *(c for c in others if alone or c["threads"] == usual["threads"])]


def every(workload: str, *, compiled: bool = False) -> list[Choice]:
    """Return all combinations."""
    found = dials(workload, compiled=compiled)
    return [dict(zip(found, values, strict=True)) for values in itertools.product(*found.values())]


def chosen(
    workload: str, words: str, *, compiled: bool = False, alone: bool = False
) -> list[Entry]:
    """Return the set-ups of PyTorch to try.

    Parameters
    ----------
    workload
        Which.
    words
        ``"usual"`` for `star`, ``"all"`` for `every`; otherwise those of all whose name contains
        each of these, with commas between.
    compiled
        Whether ``torch.compile`` is tried too, which takes minutes.
    alone
        Whether one thread is tried everywhere.
    """
    if words == "usual":
        return [entry(choice) for choice in star(workload, compiled=compiled, alone=alone)]
    entries = [entry(choice) for choice in every(workload, compiled=compiled)]
    parts = [] if words == "all" else [part.strip() for part in words.split(",")]
    return [e for e in entries if all(part in e.name for part in parts)]


def words(choice: Choice) -> list[str]:
    """Return what the name of a set-up is made of."""
    count = choice["threads"]
    found = [choice["layout"], f"{count} thread{'s' * (count != '1')}"]
    found += [WORDS.get(choice[dial], "") for dial in choice if dial not in ("layout", "threads")]
    return [word for word in found if word]


def entry(choice: Choice) -> Entry:
    """Return PyTorch so set up."""
    name = f"{TORCH} ({', '.join(words(choice))})"
    env = KEEP_MEMORY if choice["memory"] == "kept" else {}
    return Entry(name, "benchmarks.rivals.torch_step", choice, env)


def again(one: Entry) -> Entry:
    """Return the same program once more."""
    return Entry(one.name + SECOND, one.module, one.options, one.env, one.python)


def combined(entries: Sequence[Entry], ms: Mapping[str, float]) -> Entry | None:
    """Return the set-up with each dial where it was fastest by itself, of the first set-up and
    those that differ from it in one dial; None if that has been tried.
    """
    tried = [dict(e.options) for e in entries if e.name in ms]
    times = [ms[e.name] for e in entries if e.name in ms]
    if not tried:
        return None
    usual, best = tried[0], dict(tried[0])
    for dial in usual:
        alone = [i for i, c in enumerate(tried) if all(c[d] == usual[d] for d in c if d != dial)]
        best[dial] = tried[min(alone, key=times.__getitem__)][dial]
    return None if best in tried else entry(best)


def gives_way(name: str, measured: Collection[str], *, some: bool = False) -> bool:
    """Return whether earlier results of a contestant are replaced by those of who was measured now.

    Others keep theirs: who has failed or was left out. PyTorch's set-ups count as one, since each
    run finds its best anew; unless only `some` were tried, which may be worse than the others.
    """
    if name.startswith(TORCH) and not some:
        return any(other.startswith(TORCH) for other in measured)
    return name.removesuffix(SECOND) in measured
