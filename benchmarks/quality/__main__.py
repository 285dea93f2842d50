"""``python -m benchmarks.quality EXPERIMENT --budget MINUTES --seeds 0 1 2``: what is missing, then
a picture.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable
from typing import Any

from benchmarks.quality import jobs
from minigan.data import DataError
from minigan.plots import save_figure

EXPERIMENTS = (
    "grids",
    "rejection",
    "pacgan",
    "stacked",
    "objectives",
    "growing",
    "labels",
    "race",
    "cyclegan",
    "pix2pix",
    "cifar",
    "minutes",
    "quarter",
)


def main() -> None:
    """Run one experiment."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument(
        "--budget", type=float, default=60.0, metavar="MINUTES", help="then stop, resumably"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, help="another number of updates than the protocol's")
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="cases whose name contains this"
    )
    parser.add_argument(
        "--device", default="cpu", help='where whole nets of "stacked" are trained: cpu or cuda'
    )
    options = parser.parse_args()
    if options.device != "cpu" and options.experiment != "stacked":
        parser.error(f"argument --device: {options.experiment} is only measured on the CPU")
    experiment = importlib.import_module(f"benchmarks.quality.{options.experiment}")
    cases = _cases(options, experiment)
    if not any(options.only in case for case in cases):
        parser.error(
            f"argument --only: no case of {options.experiment} has {options.only!r} in its name; "
            f"there are {'; '.join(cases)}"
        )
    try:
        _run(options, experiment)
    except KeyboardInterrupt:
        minutes = jobs.SAVE_SECONDS // 60
        raise SystemExit(
            f"Interrupted: the same command goes on from what was saved in the last {minutes} "
            "minutes."
        ) from None
    except DataError as error:
        raise SystemExit(str(error)) from None
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise SystemExit(
            "The next case needs PyTorch; install it (pip install torch), or name others by --only."
        ) from None
    if jobs.rows(options.experiment):
        save_figure(experiment.draw(), jobs.RESULTS / f"{options.experiment}.png", dpi=110)


def _cases(options: argparse.Namespace, experiment: Any) -> Iterable[str]:
    """The names of all cases of an experiment."""
    if options.experiment == "minutes":
        found = experiment.CASES.items()
        return [experiment.called(name, recipe) for name, recipes in found for recipe in recipes]
    if options.experiment in ("objectives", "race", "growing"):
        return list(experiment.CASES)
    return dict.fromkeys(job.case for job in experiment.jobs(options.seeds[:1], options.steps))


def _run(options: argparse.Namespace, experiment: Any) -> None:
    if options.experiment in ("objectives", "race", "minutes"):
        experiment.run(options.seeds, options.only, 60 * options.budget)
    elif options.experiment == "growing":
        budget = 60 * options.budget
        experiment.run(options.seeds, options.only, budget, steps=options.steps)
    else:
        _run_jobs(options, experiment)


def _run_jobs(options: argparse.Namespace, experiment: Any) -> None:
    place = {} if options.device == "cpu" else {"device": options.device}
    chosen = [
        job
        for job in experiment.jobs(options.seeds, options.steps, **place)
        if options.only in job.case and (options.only or not job.long)
    ]
    jobs.run(options.experiment, chosen, budget=60 * options.budget)


if __name__ == "__main__":
    main()
