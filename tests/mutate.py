"""Change the library's code on purpose, one small thing at a time: which changes do its tests notice?

    pip install -e '.[test]' cosmic-ray
    python tests/mutate.py minigan/nn/batchnorm.py                 # every small change of a file
    python tests/mutate.py minigan/nn minigan/optim --sample 50    # 50 of all, drawn at random

The changes are cosmic-ray's (+ for -, < for <=, n + 1 for n, True for False, "and" for "or", a
negated condition) and one that it lacks, = or -= for +=. A change is noticed if a test fails, or
doesn't end. The tests that belong to a file are those named after it (tests/optim/test_adam.py for
minigan/optim/adam.py) or, where there are none, those of its folder. They don't see PyTorch, which
many don't have. All of this happens in a copy of the tree.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_TORCH = """
import sys, pytest

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("PyTorch is hidden here", name=name)

sys.meta_path.insert(0, Hidden())
sys.exit(pytest.main(sys.argv[1:]))
"""
REPLACED = {
    "Binary": "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_Mul Pow_Mul LShift_RShift RShift_LShift "
    "BitAnd_BitOr BitOr_BitAnd BitXor_BitAnd",
    "Comparison": "Lt_LtE LtE_Lt Gt_GtE GtE_Gt Lt_Gt Gt_Lt Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is",
    "Unary": "Delete_USub Delete_Not Delete_Invert",
}
OPERATORS = [
    *(f"Replace{kind}Operator_{pair}" for kind, pairs in REPLACED.items() for pair in pairs.split()),
    "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "AddNot", "NumberReplacer",
]  # fmt: skip
COVERED = ["--cov=minigan", "--cov-context=test", "--cov-report="]
OPPOSITE = {"+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "|=": "&=", "&=": "|="}


@dataclass(frozen=True)
class Change:
    """A small change of one file; `text` is the file after it."""

    path: str
    line: int
    before: str
    after: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}\n    - {self.before}\n    + {self.after}"


# ---------------------------------------------------------------- the changes of a file


def changes(path: Path) -> Iterator[Callable[[], Change | None]]:
    """All small changes of a file, not yet made; None for one that changes nothing that is run."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.operators.provider import OperatorProvider

    source, known = path.read_text(), OperatorProvider()
    nodes = list(ast_nodes(get_ast(source)))
    for operator in [*(known[name]() for name in OPERATORS), _in_place()]:
        places = (
            (node, place[0][0]) for node in nodes for place in operator.mutation_positions(node)
        )
        for number, (node, line) in enumerate(places):
            # Of a parameter list, cosmic-ray takes the asterisk for a product.
            if getattr(node.parent, "type", "") not in ("parameters", "lambdef"):
                yield partial(_made, path, source, operator, number, line)


def _made(path: Path, source: str, operator: Any, number: int, line: int) -> Change | None:
    from cosmic_ray.mutating import mutate_code

    text = mutate_code(source, operator, number) or source
    try:
        if _without_annotations(text) == _without_annotations(source):
            return None
    except SyntaxError:
        return None
    return Change(path.relative_to(ROOT).as_posix(), line, *_difference(source, text), text)


def _in_place() -> Any:
    from cosmic_ray.operators.operator import Operator

    class ReplaceInPlace(Operator):
        def mutation_positions(self, node):
            if getattr(node, "value", "") in OPPOSITE:
                yield from [(node.start_pos, node.end_pos)] * 2

        def mutate(self, node, index):
            node.value = ("=", OPPOSITE[node.value])[index]
            return node

        @classmethod
        def examples(cls):
            return ()

    return ReplaceInPlace()


def _without_annotations(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if hasattr(node, name):
                setattr(node, name, None)
    return ast.dump(tree)


def _difference(before: str, after: str) -> tuple[str, str]:
    """The lines that differ, before and after."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[
        3:
    ]
    removed, added = (" ".join(x[1:].strip() for x in lines if x[0] == sign) for sign in "-+")
    return removed, added


# ---------------------------------------------------------------- the tests of a file


BACKEND = {
    "cpu": ("cpu", "threads"),
    "compiled": ("cpu", "compiled"),
    "cuda": ("kernels", "strict_layers", "strict_graph", "strict_devices"),
}
"""Folder of the backend -> the names of its tests: these folders are tested from several sides."""


def tests_of(path: str) -> tuple[str, ...]:
    """The tests that belong to a file: those named after it or its folder, else those beside."""
    _, *folders, module = Path(path).with_suffix("").parts
    place = Path("tests", *folders[:1])
    if folders[:1] == ["backend"] and folders[1:]:
        return tuple(f"{place}/test_{name}.py" for name in BACKEND[folders[1]])
    for name in (module, *folders[1:]):
        if (ROOT / place / f"test_{name}.py").is_file():
            return (f"{place}/test_{name}.py",)
    return (place.as_posix(),)


class Suite:
    """Some tests in a copy of the tree, with the lines of the library that each of them runs."""

    def __init__(self, tree: Path, tests: tuple[str, ...]) -> None:
        from coverage import CoverageData

        self.tree, self.tests = tree, tests
        covered = Path(tempfile.mkdtemp(dir=tree), "coverage")
        begin = time.monotonic()
        if status := self._run([*COVERED, "--durations=0", "-vv"], 3600, covered=covered):
            raise SystemExit(
                f"The tests fail as things stand (pytest: {status}); see\n{self._log()}"
            )
        self.seconds = time.monotonic() - begin
        log = self._log()
        self._length = {
            name: float(s) for s, name in re.findall(r"(?m)^([\d.]+)s call +(.+)$", log)
        }
        self._lines = CoverageData(str(covered))
        self._lines.read()

    def notices(self, change: Change) -> bool:
        """Whether a test fails or doesn't end, of those that run the line."""
        path = self.tree / change.path
        source = path.read_text()
        path.write_text(change.text)
        try:
            return self._run([], 2 * self.seconds + 30, self._running(path, source, change)) != 0
        finally:
            path.write_text(source)

    def _log(self) -> str:
        return (self.tree / "log.txt").read_text()

    def _running(self, path: Path, source: str, change: Change) -> list[str]:
        """The tests that run the line, the shortest first; none if that isn't known."""
        contexts = self._lines.contexts_by_lineno(str(path))
        lines = _statement(source, change.line)
        found = {name.rpartition("|")[0] for line in lines for name in contexts.get(line, [])}
        return sorted(found - {""}, key=lambda name: self._length.get(name, 0))

    def _run(
        self,
        options: list[str],
        limit: float,
        tests: Sequence[str] = (),
        covered: Path | None = None,
    ) -> int:
        listed = self.tree / "tests.txt"
        listed.write_text("\n".join(tests or self.tests))
        command = [sys.executable, "-c", WITHOUT_TORCH, "-x", "-q", "-p", "no:cacheprovider"]
        with (self.tree / "log.txt").open("w") as log:
            process = subprocess.Popen(
                [*command, *options, f"@{listed}"], cwd=self.tree,
                env=_environment(self.tree) | {"COVERAGE_FILE": str(covered)},
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            return process.wait()
        # What can't be imported has no tests by name.
        lost = tests and status == pytest.ExitCode.USAGE_ERROR
        return self._run(options, limit) if lost else status


def _environment(tree: Path) -> dict[str, str]:
    # Two changes within a second, of equal length, must not share a compiled file.
    own = {
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": str(tree / "cache"),
    }
    return os.environ | own


def _statement(source: str, line: int) -> set[int]:
    """The lines of the statement in a function that this one belongs to; of a block, its head.

    None for a line that is run when a module is imported, by whichever test comes first.
    """
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        inside = isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line
        for part in ast.walk(node) if inside else ():
            if isinstance(part, ast.stmt) and part is not node and part.lineno <= line:
                body = getattr(part, "body", None)
                last = body[0].lineno - 1 if body else part.end_lineno or 0
                lines = set(range(part.lineno, last + 1)) if line <= last else lines
    return lines


def copied(tree: Path) -> None:
    """Copy what git knows of, as it stands."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)


# ---------------------------------------------------------------- the command


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the changes, and list those that no test notices; return 1 if there are any."""
    options = _parser().parse_args(arguments)
    chosen = _chosen(options)
    unnoticed: list[Change] = []
    counts: dict[str, list[int]] = {}
    suites: dict[tuple[str, ...], Suite] = {}
    with tempfile.TemporaryDirectory() as folder:
        copied(Path(folder))
        for change in chosen:
            tests = tuple(options.tests or tests_of(change.path))
            suite = suites[tests] = suites.get(tests) or Suite(Path(folder), tests)
            noticed = suite.notices(change)
            unnoticed += [] if noticed else [change]
            counts.setdefault(change.path, [0, 0])[noticed] += 1
            print("noticed  " if noticed else "UNNOTICED", change, flush=True)
    for path, (no, yes) in sorted(counts.items()):
        print(f"{path:<44} {yes:>4} of {no + yes:>4} noticed")
    print(f"{len(chosen) - len(unnoticed)} of {len(chosen)} noticed")
    if options.unnoticed:
        kept = [[x.path, x.before, x.after] for x in unnoticed]
        options.unnoticed.write_text(json.dumps(kept, indent=1) + "\n")
    return int(bool(unnoticed))


def _chosen(options: argparse.Namespace) -> list[Change]:
    kept = json.loads(options.again.read_text()) if options.again else []
    paths = options.paths or [ROOT / path for path in sorted({path for path, _, _ in kept})]
    found = [make for path in paths for file in _files(path.resolve()) for make in changes(file)]
    random.Random(options.seed).shuffle(found)
    made = filter(None, (make() for make in found))
    if options.again:
        made = (x for x in made if [x.path, x.before, x.after] in kept)
    return sorted(islice(made, options.sample), key=lambda change: (change.path, change.line))


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, help="files or folders of the library")
    parser.add_argument("--sample", type=int, metavar="N", help="try N changes, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="which N (default: 0)")
    parser.add_argument(
        "--tests", nargs="+", metavar="PATH", help="other tests than the file's own"
    )
    parser.add_argument(
        "--unnoticed", type=Path, metavar="FILE", help="keep these changes in a file,"
    )
    parser.add_argument("--again", type=Path, metavar="FILE", help="and try them once more")
    return parser


if __name__ == "__main__":
    sys.exit(main())
