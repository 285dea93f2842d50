"""The house: imports run downwards only, nothing goes round in a circle, and importing is free."""

import graphlib
import subprocess
import sys

import pytest

grimp = pytest.importorskip("grimp")

FLOORS = (
    ("cli",),
    ("learn", "play"),
    ("runs",),
    ("recipes",),
    ("gan", "metrics", "export"),
    ("gradcheck", "interop", "optim"),
    ("nn", "losses"),
    ("checkpoint", "data", "latent", "plots", "ranks", "tutorial"),
    ("backend",),
    ("files", "forks", "memory", "moved", "randomness"),
)
"""From the top floor down. Rooms of one floor may not look into each other."""
OUTSIDE = {"__main__"}


@pytest.fixture(scope="module")
def imports():
    """Module -> the modules that it imports, those inside functions and for types included."""
    graph = grimp.build_graph("minigan", exclude_type_checking_imports=False)
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def _room(module):
    return module.split(".")[1] if "." in module else ""


def test_no_import_goes_round_in_a_circle(imports):
    graphlib.TopologicalSorter(imports).prepare()  # raises with the circle, if there is one


def test_every_room_has_its_floor(imports):
    rooms = {_room(module) for module in imports} - {""}
    assert rooms == {room for floor in FLOORS for room in floor} | OUTSIDE


def test_imports_run_downwards_only(imports):
    floor_of = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    upwards = [
        f"{module} imports {other}"
        for module, others in sorted(imports.items())
        for other in sorted(others)
        if _room(module) in floor_of and _room(other) in floor_of
        if _room(module) != _room(other) and floor_of[_room(module)] >= floor_of[_room(other)]
    ]
    assert not upwards


def test_only_the_backend_knows_its_machines(imports):
    machines = ("minigan.backend.cpu", "minigan.backend.compiled", "minigan.backend.cuda")
    outside = [
        f"{module} imports {other}"
        for module, others in sorted(imports.items())
        for other in sorted(others)
        if other.startswith(machines) and not module.startswith("minigan.backend")
    ]
    assert not outside


def test_importing_the_library_loads_nothing_heavy():
    code = "import sys, minigan; print(sorted({'numpy', 'matplotlib', 'numba', 'cupy', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
