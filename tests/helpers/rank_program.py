"""Run on every rank by mpiexec: plays games on all ranks and alone, and prints how far apart."""

import json
import sys

import rank_games

from minigan.ranks import world

if __name__ == "__main__":
    ranks = world()
    asked = json.loads(sys.argv[1])
    far = {name: rank_games.largest_difference(name, ranks, steps) for name, steps in asked.items()}
    everybody = ranks.collect(far)
    if ranks.rank == 0:
        print("FAR", json.dumps(everybody))
