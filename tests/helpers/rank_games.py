"""Small games in float64, played on several ranks, and by one process with the whole batch."""

import threading

import numpy

from minigan import backend, data, gan, nn, optim
from minigan.gan import cyclegan
from minigan.ranks import ALONE, MPIRanks, SharedGenerator, checksum, require_same

BATCH, LATENT, SIDE = 8, 6, 8
POINTWISE = ("clip-gradient", "instance-noise", "dropout:0.3")


def _images(seed, count=40):
    rng = numpy.random.default_rng(seed)
    return numpy.tanh(rng.standard_normal((count, SIDE, SIDE, 1)))


def _generator(rng, norm):
    norms = [nn.BatchNorm(12)] if norm else []
    return nn.Sequential(
        nn.Linear(LATENT, 4 * 4 * 12, rng=rng), nn.Reshape(4, 4, 12), *norms, nn.ReLU(),
        nn.ConvTranspose2d(12, 1, kernel_size=4, stride=2, padding=1, rng=rng), nn.Tanh(),
    )  # fmt: skip


def _discriminator(rng, norm, smooth=False):
    """With `smooth`, its gradient depends on where exactly it is taken: between the kinks of a
    leaky ReLU it is the same everywhere.
    """
    norms = [nn.BatchNorm(6)] if norm else []
    activation = nn.Tanh() if smooth else nn.LeakyReLU(0.2)
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=4, stride=2, padding=1, rng=rng), *norms, activation,
        nn.Flatten(), nn.Linear(6 * 4 * 4, 1, rng=rng),
    )  # fmt: skip


def _two_players(
    weights, noise, *, penalties=(), norm=False, smooth=False, objective="non-saturating"
):
    G, D = _generator(weights, norm), _discriminator(weights, norm, smooth)
    latent = gan.Latent(LATENT)
    taming = gan.tame(D, penalties, rng=noise, generator=G, latent=latent)
    G, D = (net.astype("float64") for net in (taming.generator or G, taming.discriminator))
    movers = [optim.Adam(net, lr=2e-3, betas=(0.5, 0.999)) for net in (G, D)]
    return gan.Game(
        G, D, *movers, gan.objective(objective), taming.penalties, taming.before_step,
        taming.after_discriminator_step, feature_matching=taming.feature_matching, latent=latent,
        discriminator_steps=2, **taming.pulls(generator=G, discriminator=D),
    )  # fmt: skip


def _translator(rng, norm):
    norms = [nn.BatchNorm(4)] if norm else []
    conv = {"kernel_size": 3, "padding": 1, "rng": rng}
    return nn.Sequential(
        nn.Conv2d(1, 4, **conv), *norms, nn.ReLU(), nn.Conv2d(4, 1, **conv), nn.Tanh()
    )


def _cyclegan(weights, noise, *, norm=False):
    nets = [_translator(weights, norm) for _ in range(2)]
    nets += [_discriminator(weights, norm) for _ in range(2)]
    nets = [net.astype("float64") for net in nets]
    movers = [optim.Adam(nets[:2], lr=2e-3), optim.Adam(nets[2:], lr=2e-3)]
    pools = [cyclegan.ImagePool(12, (SIDE, SIDE, 1), backend.get("cpu")) for _ in range(2)]
    for pool in pools:
        pool.held = pool.held.astype("float64")
    return gan.CycleGame(*nets, *movers, *pools)


class Unpaired:
    """Pairs of images that don't belong together."""

    batch_size = BATCH

    def __init__(self, rng):
        self.parts = [data.Batches(_images(seed), BATCH, rng) for seed in (1, 2)]

    def __next__(self):
        return tuple(next(part)[0] for part in self.parts)

    def state_dict(self):
        return {}


def build(name, ranks=ALONE, *, batch=BATCH):
    """Return a trainer of one of the games, for this rank."""
    seeds = numpy.random.SeedSequence(5).spawn(4)
    weights, order, latents, noise = (numpy.random.default_rng(seed) for seed in seeds)
    if ranks.size > 1:
        latents, noise = (SharedGenerator(rng.bit_generator) for rng in (latents, noise))
    kind, _, rest = name.partition(" ")
    options = {"norm": "batchnorm" in rest}
    if kind == "cyclegan":
        game, source = _cyclegan(weights, noise, **options), Unpaired(order)
    else:
        words = ("batchnorm", "smooth", *gan.OBJECTIVES)
        ways = [way for way in rest.split() if way not in words]
        options["smooth"] = "smooth" in rest
        usual = "wasserstein" if "gradient-penalty" in rest else "non-saturating"
        objective = next((word for word in rest.split() if word in gan.OBJECTIVES), usual)
        game = _two_players(weights, noise, penalties=ways, objective=objective, **options)
        source = data.Batches(_images(0), batch, order)
    if ranks.size > 1:
        dealt = gan.share(game, ranks, batch=batch, generators=(latents, noise))
        source = gan.OwnRows(source, dealt)
    return gan.Trainer(game, source, rng=latents, noise=noise)


def outcome(trainer, ranks, steps):
    """Return all that a checkpoint after the steps would hold, arrays by name and the rest, the
    reports of the steps and the gradients of the last among the arrays.
    """
    reports = [trainer.train_step() for _ in range(steps)]
    read = gan.trainer.means(ranks, trainer.game.device.to_numbers(reports))
    arrays, rest = trainer.state()
    arrays |= {f"report {i}": numpy.array(list(each.values())) for i, each in enumerate(read)}
    for mover, one in trainer.game.optimizers().items():
        arrays[f"{mover}/gradient"] = one.flat.grad.copy()
    return arrays, rest


def largest_difference(name, ranks, steps):
    """Return how far the ranks are from one process at most, in one of the games above."""
    return apart(lambda ranks: build(name, ranks), ranks, steps)


def apart(made, ranks, steps):
    """Return how far the ranks are from one process at most, relative to the larger of 1 and the
    number itself; only rank 0 computes it, after all have found the same. ``made(ranks)`` returns
    a trainer.
    """
    found, rest = outcome(made(ranks), ranks, steps)
    require_same(ranks, {key: checksum(value) for key, value in found.items()} | {"rest": rest})
    if ranks.rank:
        return ranks.broadcast(None)
    wanted, as_wanted = outcome(made(ALONE), ALONE, steps)
    assert found.keys() == wanted.keys()
    assert rest == as_wanted
    return ranks.broadcast(max(_distance(found[key], wanted[key]) for key in found))


def _distance(found, wanted):
    found, wanted = (numpy.asarray(a, "float64") for a in (found, wanted))
    return float((abs(found - wanted) / numpy.maximum(abs(wanted), 1)).max(initial=0))


# ---------------------------------------------------------------- threads in the place of ranks


class Threads:
    """A communicator among threads of this process, with what `MPIRanks` needs of mpi4py's."""

    def __init__(self, size):
        self.size, self.barrier, self.slots = (
            size,
            threading.Barrier(size, timeout=60),
            [None] * size,
        )
        self.aborted = []

    def of(self, rank):
        return _Thread(self, rank)


class _Thread:
    def __init__(self, all_of_them, rank):
        self.all, self.rank = all_of_them, rank

    def Get_size(self):
        return self.all.size

    def Get_rank(self):
        return self.rank

    def allgather(self, thing):
        self.all.slots[self.rank] = thing
        self.all.barrier.wait()
        found = list(self.all.slots)
        self.all.barrier.wait()
        return found

    def bcast(self, thing):
        return self.allgather(thing)[0]

    def Allreduce(self, given, result):
        result[...] = sum(self.allgather(given.copy()))

    def Allgather(self, given, result):
        result[...] = self.allgather(given.copy())

    def Abort(self, status):
        self.all.aborted.append((self.rank, status))


def on_threads(size, work):
    """Call ``work(ranks)`` on each of several threads; return what they return, in order."""
    world, found = Threads(size), [None] * size

    def one(rank):
        try:
            found[rank] = work(MPIRanks(world.of(rank)))
        except BaseException as error:
            found[rank] = error
            world.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in found:
        if isinstance(result, BaseException) and not isinstance(
            result, threading.BrokenBarrierError
        ):
            raise result
    return found
