"""``python -m benchmarks WHAT``: see benchmarks/README.md."""

from __future__ import annotations

import importlib
import sys

COMMANDS = {
    "cpu": ("benchmarks.cpu", "training steps against PyTorch and others"),
    "profile": ("benchmarks.profile", "where the time of a step goes, before and after"),
    "roofline": ("benchmarks.roofline", "every layer beside what this machine can do"),
    "layers": ("benchmarks.layers", "each kind of layer, in all versions, beside PyTorch's"),
    "scaling": ("benchmarks.scaling", "batch size, image size and channels"),
    "memory": ("benchmarks.memory", "peak memory, net of imports"),
    "gpu": ("benchmarks.gpu", "training steps on a GPU"),
    "crossover": ("benchmarks.crossover", "from which size on a GPU pays"),
    "digests": ("benchmarks.digests", "do all recipes still learn the same, to the bit?"),
    "pretrained": ("benchmarks.pretrained", "train the weights that come with the package"),
    "quality": ("benchmarks.quality.__main__", "how good the samples are"),
}
SAVING = ("cpu", "profile", "roofline", "scaling", "memory", "digests")
"""Those that save after each case."""


def main() -> int:
    """Hand over to the benchmark that is named first."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        print("python -m benchmarks WHAT ..., where WHAT is", file=sys.stderr)
        for command, (_, words) in COMMANDS.items():
            print(f"  {command:<10} {words}", file=sys.stderr)
        return 0 if name in ("-h", "--help") else 2
    command = importlib.import_module(COMMANDS[name][0]).main
    try:
        if name == "quality":  # parses the command line itself
            del sys.argv[1]
            return int(command() or 0)
        return int(command(sys.argv[2:]) or 0)
    except KeyboardInterrupt:
        kept = (
            " Finished cases are in the results, unless it was a trial." if name in SAVING else ""
        )
        print(f"Interrupted.{kept}", file=sys.stderr)
        return 130
    except OSError as error:
        if error.filename is None:
            raise
        print(f"{error.filename}: {error.strerror}.", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
