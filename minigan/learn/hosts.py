"""Results for the places where classes hand in: Gradescope and Classroom 50."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from minigan.learn.folder import start
from minigan.learn.language import Speaker
from minigan.learn.marks import POINTS, SET, Task, points, write_json
from minigan.learn.verdict import Verdict

PACKAGE = "minigan"
GRADESCOPE_SETUP = f"""\
#!/usr/bin/env bash
# Runs once, when the image is built. {PACKAGE} needs Python 3.11 or newer.
set -e
apt-get update
for version in 3.14 3.13 3.12 3.11; do
    apt-get install -y python$version python$version-venv && break
done
python$version -m venv /opt/{PACKAGE}
# A wheel beside this file comes first; in a clone, `pip wheel --no-deps .` makes one.
wheel=$(cd /autograder/source && ls {PACKAGE}-*.whl 2>/dev/null | head -n 1)
/opt/{PACKAGE}/bin/pip install "${{wheel:+/autograder/source/}}${{wheel:-{PACKAGE}}}"
"""
GRADESCOPE_RUN = f"""\
#!/usr/bin/env bash
# Runs for each submission. A result is written first, so that there is one even after a crash.
results=/autograder/results/results.json
cat > "$results" <<'END'
{{"score": 0, "output": "The checker itself ended early; please tell your teacher."}}
END
cd /autograder/source
/opt/{PACKAGE}/bin/python -m {PACKAGE} learn grade /autograder/submission \\
    --set {SET} --gradescope "$results"
"""
CLASSROOM50 = f'''\
"""Grades a submission for Classroom 50: writes result.json into the current folder."""

import subprocess
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
Path("result.json").unlink(missing_ok=True)  # one that was handed in is no result
try:
    import {PACKAGE}
except ImportError:  # a wheel beside this file comes first
    wanted = next(map(str, here.glob("{PACKAGE}-*.whl")), "{PACKAGE}")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", wanted], check=True)
# -P: no file of the submission is taken for a module of Python's or of {PACKAGE}'s.
command = [sys.executable, "-P", "-m", "{PACKAGE}", "learn", "grade", "."]
command += ["--set", str(here / "{SET}"), "--classroom50", "result.json"]
sys.exit(subprocess.run(command, check=False).returncode)
'''


def export(path: Path, task: Task, say: Speaker) -> list[Path]:
    """Write a class set: a folder for students, and what the teacher needs.

    Returns
    -------
    list
        The folders ``students``, ``gradescope`` and ``classroom50``.

    Raises
    ------
    ValueError
        If the folder holds something already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"{path} exists already; give the name of a new folder.")
    path.mkdir(parents=True, exist_ok=True)
    start(path / "students", say, list(task.exercises))
    for name, files in (
        ("gradescope", {"setup.sh": GRADESCOPE_SETUP, "run_autograder": GRADESCOPE_RUN}),
        ("classroom50", {"autograder.py": CLASSROOM50}),
    ):
        (path / name).mkdir()
        for file, text in files.items():
            (path / name / file).write_text(text, "utf-8")
            (path / name / file).chmod(0o755)
        write_json(path / name / SET, task.as_json())
    write_json(path / SET, task.as_json())
    return [path / name for name in ("students", "gradescope", "classroom50")]


def gradescope(verdicts: list[Verdict], say: Speaker) -> dict[str, Any]:
    """Return a submission's ``results.json``."""
    return {
        "score": round(sum(points(v) for v in verdicts), 2),
        "tests": [
            {
                "name": v.exercise.stem, "score": points(v), "max_score": POINTS,
                "status": "passed" if v.ok else "failed", "output": "\n".join(v.lines(say)),
            }
            for v in verdicts
        ],
    }  # fmt: skip


def classroom50(
    verdicts: list[Verdict], environment: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return a submission's ``result.json``, in the format ``classroom50/result/v1``.

    Its scores are whole numbers: a part that is right counts, rounded down.

    Parameters
    ----------
    verdicts
        What was found.
    environment
        Holds what the runner says of the submission.
    """
    tests = [
        {
            "test-name": v.exercise.stem, "passed": v.ok,
            "score": int(points(v)), "max-score": POINTS,
        }
        for v in verdicts
    ]  # fmt: skip
    said = {n: environment.get(n, "unknown") for n in ("CLASSROOM", "ASSIGNMENT", "COMMIT_URL")}
    return {
        "schema": "classroom50/result/v1",
        "classroom": said["CLASSROOM"],
        "assignment": said["ASSIGNMENT"],
        "submission": environment.get("SUBMISSION_TAG", "unknown"),
        "commit": said["COMMIT_URL"],
        "release": environment.get("RELEASE_URL", "unknown"),
        "review": environment.get("REVIEW_URL") or said["COMMIT_URL"],
        "datetime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "score": sum(t["score"] for t in tests),
        "max-score": sum(t["max-score"] for t in tests),
        "tests": tests,
    }
