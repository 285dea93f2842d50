"""The ring, on ranks of which one goes wrong at a step, as the environment says."""

import dataclasses
import os
import signal
import sys
import time

from minigan.ranks import world
from minigan.recipes import get


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _raise():
    raise ValueError("The disk of this machine is broken; use another.")


def _mistake():
    raise KeyError("nothing")


def _leave():
    sys.exit(3)


def _vanish():
    os._exit(0)


def _dawdle():
    print("waiting", file=sys.stderr, flush=True)
    time.sleep(0.2)  # so that the test can interrupt


FAULTS = {
    "kill": _kill, "raise": _raise, "mistake": _mistake, "leave": _leave, "vanish": _vanish,
    "dawdle": _dawdle,
}  # fmt: skip
FAULT, RANK, STEP = os.environ["FAULT"], int(os.environ["FAULTY_RANK"]), 25


class Faulty(type(get("ring"))):
    """`ring`, until it goes wrong."""

    def game(self, *args, **kwargs):
        """Return the game, with the fault in it."""
        game = super().game(*args, **kwargs)
        rank, rounds, end = world().rank, 0, game.end_round

        def end_round():
            nonlocal rounds
            end()
            rounds += 1
            if rank == RANK and (rounds == STEP or (FAULT == "dawdle" and rounds > STEP)):
                FAULTS[FAULT]()

        game.end_round = end_round
        return game


_ring = get("ring")
RECIPE = Faulty(**{f.name: getattr(_ring, f.name) for f in dataclasses.fields(_ring) if f.init})
