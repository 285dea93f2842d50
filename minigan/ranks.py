r"""Several processes that train one model together: MPI, or nothing at all where there is only one.

Each of n processes, which MPI calls *ranks*, takes a share of the batch. As every loss is a mean
over the batch, its gradient is the mean of what the ranks find on equal shares,

.. math:: \nabla L = \frac1n \sum_r \nabla L_r ,

so one sum over all ranks before each step of an optimizer is all they have to tell each other, but
for layers that couple the samples of a batch (batch norm: its sums run over all ranks too).

Everything random is drawn for the whole batch, from the same seed on every rank, and each keeps its
own rows. So n ranks compute what one process computes with the same batch, and a run may go on
with another number of ranks.

Rows are dealt out like cards: of n ranks, rank r has rows r, r + n, r + 2n, ... The groups of
`minigan.nn.MinibatchStdDev`, which take every k-th sample, then lie within a rank. Where a
discriminator judges packs of m samples, packs are dealt out.
"""

from __future__ import annotations

import os
import pickle
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy

from minigan import backend
from minigan.backend import Array

LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
"""Environment variables in which launchers say how many processes they have started."""


class Ranks:
    """The ranks that train together, here a single one: all methods return what they are given.

    Attributes
    ----------
    size, rank
        How many there are, and which this is, from 0.
    unit
        How many rows that follow each other stay together when rows are dealt out.
    """

    size, rank, unit = 1, 0, 1

    def mean(self, *arrays: Array) -> tuple[Array, ...]:
        """Return the means over all ranks of one or several arrays, summed in float64."""
        return arrays

    def average(self, vector: Array) -> None:
        """Replace a vector by its mean over all ranks."""

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true on some rank."""
        return flag

    def collect(self, thing: Any) -> list[Any]:
        """Return what each rank has passed, in their order; anything that can be pickled."""
        return [thing]

    def broadcast(self, thing: Any) -> Any:
        """Return what rank 0 has passed."""
        return thing

    def gather(self, rows: Array) -> Array:
        """Return the rows (N, ...) of the whole batch, given this rank's share (N / n, ...)."""
        return rows

    def own(self, rows: Array, *, stacked: int = 1, unit: int | None = None) -> Array:
        """Return this rank's share (N / n, ...) of the rows (N, ...) of the whole batch.

        Parameters
        ----------
        rows
            Batch first.
        stacked
            How many batches lie one behind the other in `rows`.
        unit
            How many rows stay together, in place of the attribute.

        Raises
        ------
        ValueError
            If they can't be dealt out evenly.
        """
        return rows

    def abort(self, status: int) -> None:
        """End all ranks at once; a single one raises its error as usual."""

    def __deepcopy__(self, memo: Any) -> Ranks:
        return self  # there is one world


ALONE = Ranks()
"""The ranks where there is only one."""


class MPIRanks(Ranks):
    """The ranks of an MPI communicator.

    Parameters
    ----------
    comm
        From mpi4py, such as ``MPI.COMM_WORLD``.
    unit
        How many rows stay together, see `Ranks`.
    """

    def __init__(self, comm: Any, *, unit: int = 1) -> None:
        self.comm, self.unit = comm, unit
        self.size, self.rank = comm.Get_size(), comm.Get_rank()

    def mean(self, *arrays: Array) -> tuple[Array, ...]:
        """Return the means over all ranks of one or several arrays, summed in float64."""
        xp = backend.of(arrays[0]).xp
        vector = xp.concatenate([a.reshape(-1).astype("float64") for a in arrays])
        self.average(vector)
        ends = numpy.cumsum([a.size for a in arrays])[:-1].tolist()
        parts = xp.split(vector, ends)
        return tuple(
            part.reshape(a.shape).astype(a.dtype) for part, a in zip(parts, arrays, strict=True)
        )

    def average(self, vector: Array) -> None:
        """Replace a vector by its mean over all ranks."""
        backend.of(vector).sum_over_ranks(self.comm, vector)
        vector /= self.size

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true on some rank."""
        total = numpy.zeros(1, "int64")
        self.comm.Allreduce(numpy.array([bool(flag)], "int64"), total)
        return bool(total[0])

    def collect(self, thing: Any) -> list[Any]:
        """Return what each rank has passed, in their order."""
        return list(self.comm.allgather(thing))

    def broadcast(self, thing: Any) -> Any:
        """Return what rank 0 has passed."""
        return self.comm.bcast(thing)

    def gather(self, rows: Array) -> Array:
        """Return the rows of the whole batch."""
        ops, host = backend.of(rows), numpy.ascontiguousarray(backend.to_numpy(rows))
        all_rows = numpy.empty((self.size, *host.shape), host.dtype)
        self.comm.Allgather(host, all_rows)
        dealt = all_rows.reshape(self.size, -1, self.unit, *host.shape[1:])
        return ops.asarray(dealt.swapaxes(0, 1).reshape(-1, *host.shape[1:]), dtype=host.dtype)

    def own(self, rows: Array, *, stacked: int = 1, unit: int | None = None) -> Array:
        """Return this rank's share of the rows of the whole batch."""
        unit = self.unit if unit is None else unit
        if len(rows) % (stacked * self.size * unit):
            raise ValueError(
                f"{len(rows)} rows can't be dealt out evenly to {self.size} ranks; use a batch "
                f"size that is a multiple of {stacked * self.size * unit}."
            )
        dealt = rows.reshape(stacked, -1, self.size, unit, *rows.shape[1:])
        return dealt[:, :, self.rank].reshape(-1, *rows.shape[1:])

    def abort(self, status: int) -> None:
        """End all ranks at once."""
        self.comm.Abort(status)


def pooled(ranks: Ranks, mean: Array, variance: Array) -> tuple[Array, Array]:
    """Return mean and variance (C,) over the samples of all ranks, given those of this rank's.

    As all ranks have equally many samples, :math:`E[x]` and :math:`E[x^2]` are means over the
    ranks; their sums, and the difference :math:`E[x^2] - E[x]^2`, are in float64.
    """
    if ranks.size == 1:
        return mean, variance
    xp, m = backend.of(mean).xp, mean.astype("float64")
    m, square = ranks.mean(m, variance + m * m)
    return m.astype(mean.dtype), xp.maximum(square - m * m, 0).astype(variance.dtype)


# -------------------------------------------------------------------- chance


def _for_all(name: str, place: int) -> Any:
    """Return the method `name` of a generator, whose argument number `place` is the size, as one
    that draws for all ranks and returns the own rows.
    """
    method = getattr(numpy.random.Generator, name)

    def draw(self: SharedGenerator, *arguments: Any, **named: Any) -> Any:
        given = len(arguments) > place
        size = arguments[place] if given else named.pop("size", None)
        shared = size is not None and self.ranks.size > 1
        wanted = self.whole(tuple(numpy.atleast_1d(size).tolist())) if shared else size
        if given:
            arguments = (*arguments[:place], wanted, *arguments[place + 1 :])
        else:
            named["size"] = wanted
        drawn = method(self, *arguments, **named)
        return self.own(drawn) if shared else drawn

    draw.__doc__ = f"As NumPy's, but only the rows of this rank: `numpy.random.Generator.{name}`."
    return draw


Made = TypeVar("Made", bound=type)

PLACES = {
    0: "random standard_normal standard_exponential standard_cauchy",
    1: "exponential poisson geometric rayleigh chisquare standard_gamma standard_t",
    2: "normal uniform gumbel integers laplace logistic lognormal beta gamma binomial vonmises",
}
"""Where the size stands among the arguments of the methods that draw an array."""


def _sharing(made: Made) -> Made:
    for place, names in PLACES.items():
        for name in names.split():
            setattr(made, name, _for_all(name, place))
    return made


@_sharing
class SharedGenerator(numpy.random.Generator):
    """A random generator that draws for all ranks, and returns a rank's own rows.

    Until `share` is called it is an ordinary generator. Afterwards an array that is drawn has a row
    for each of the rank's samples: the rows of all ranks are drawn, the same on each, and the own
    ones are returned. Single numbers and permutations are the same on every rank.
    """

    ranks: Ranks = ALONE
    batch = 1

    def share(self, ranks: Ranks, batch: int) -> None:
        """From now on, draw for all ranks; each of them has a batch of `batch` rows."""
        self.ranks, self.batch = ranks, batch

    def whole(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape to draw for all ranks, for rows of the given shape on this one."""
        return (shape[0] * self.ranks.size, *shape[1:])

    def own(self, drawn: Array) -> Array:
        """Return this rank's share of the rows that were drawn.

        A multiple of the batch is several batches, one behind the other; any other number of rows
        is one batch of something else, such as packs.
        """
        stacked, rest = divmod(len(drawn), self.ranks.size * self.batch)
        return self.ranks.own(drawn, unit=1) if rest else self.ranks.own(drawn, stacked=stacked)

    def __reduce__(self) -> Any:
        return _restored, (self.bit_generator, self.ranks, self.batch)

    def __deepcopy__(self, memo: Any) -> SharedGenerator:
        return _restored(pickle.loads(pickle.dumps(self.bit_generator)), self.ranks, self.batch)


def _restored(bit_generator: Any, ranks: Ranks, batch: int) -> SharedGenerator:
    rng = SharedGenerator(bit_generator)
    rng.share(ranks, batch)
    return rng


def whole(rng: numpy.random.Generator) -> numpy.random.Generator:
    """Return a generator that goes on where `rng` is, and draws the same on every rank."""
    return numpy.random.Generator(rng.bit_generator)


def drawn_for_all(
    rng: numpy.random.Generator, shape: tuple[int, ...], draw: Callable[[tuple[int, ...]], Array]
) -> Array:
    """Return rows that ``draw(shape)`` makes from the bits of `rng` without asking its methods.

    Parameters
    ----------
    rng
        If it is shared among ranks, rows for all of them are drawn.
    shape
        That of the rows of this rank.
    draw
        Makes an array of a shape.
    """
    if not isinstance(rng, SharedGenerator) or rng.ranks.size == 1:
        return draw(shape)
    rows = rng.own(draw(rng.whole(shape)))
    return backend.of(rows).xp.ascontiguousarray(rows)


# -------------------------------------------------------------------- who is there


def started_by_a_launcher() -> bool:
    """Return whether ``mpiexec``, or the like, has started this process among others."""
    sizes = [os.environ.get(name, "") for name in LAUNCHERS]
    return "mpi4py.MPI" in sys.modules or any(s.isdigit() and int(s) > 1 for s in sizes)


def world() -> Ranks:
    """Return the ranks that this process was started among; one where no launcher started it.

    Raises
    ------
    ValueError
        If there are several, but mpi4py is missing or belongs to another MPI than the launcher.
    """
    if not started_by_a_launcher():
        return ALONE
    started = next((int(s) for name in LAUNCHERS if (s := os.environ.get(name, "")).isdigit()), 1)
    MPI = mpi()
    comm = MPI.COMM_WORLD
    if comm.Get_size() == 1 and started > 1:
        raise ValueError(
            f"{started} processes were started, but MPI knows only one: mpiexec and mpi4py belong "
            "to different installations of MPI; use the mpiexec of mpi4py's, or build mpi4py anew."
        )
    if comm.Get_size() == 1:
        return ALONE
    here = comm.Split_type(MPI.COMM_TYPE_SHARED)
    _divide_cores(here.allgather(_cores()).count(_cores()))
    _divide_devices(here.Get_rank())
    return MPIRanks(comm)


def mpi() -> Any:
    """Import mpi4py, which starts MPI.

    Raises
    ------
    ValueError
        If it isn't installed, or finds no MPI.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise ValueError(
            f"Training on several ranks needs mpi4py and an MPI, which can't be used ({error}); "
            "install both with: pip install 'minigan[mpi]' mpich"
        ) from None
    return MPI


def _divide_cores(sharing: int) -> None:
    """Give this rank its share of the cores, unless the user has decided.

    Parameters
    ----------
    sharing
        How many ranks may run on the same cores: those that the launcher hasn't bound to others.
    """
    if not os.environ.get("MINIGAN_THREADS"):
        os.environ["MINIGAN_THREADS"] = str(cores_of_each(sharing))


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _divide_devices(rank_here: int) -> None:
    """Give each of the ranks on this machine one of the GPUs that it was told of."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if len(visible) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[rank_here % len(visible)]


def cores_of_each(ranks_here: int) -> int:
    """Return how many threads each of several ranks on this machine may use, at least 1.

    Parameters
    ----------
    ranks_here
        How many share the cores of this process.
    """
    return max(1, backend.get("cpu").threads // ranks_here)


def require_same(ranks: Ranks, things: Mapping[str, Any]) -> None:
    """Refuse ranks that were given different things.

    Parameters
    ----------
    ranks
        All of them must call this.
    things
        What must be the same, by what it is called in a sentence; compared by their ``repr``.

    Raises
    ------
    ValueError
        On every rank; it names the first that differs from rank 0, and in what.
    """
    told = {name: repr(thing) for name, thing in things.items()}
    everybody = ranks.collect(told)
    for rank, other in enumerate(everybody):
        for name, first in everybody[0].items():
            if other.get(name) != first:
                words = (first, other.get(name, "nothing"))
                shown = " and ".join(w if len(w) < 60 else f"{w[:57]}..." for w in words)
                raise ValueError(
                    f"Ranks 0 and {rank} differ in {name} ({shown}); start all ranks with the same "
                    "code, data and settings."
                )


def checksum(*arrays: Array) -> int:
    """Return a number that differs if one bit of the arrays does."""
    total = 0
    for array in arrays:
        total = zlib.crc32(numpy.ascontiguousarray(backend.to_numpy(array)).data, total)
    return total
