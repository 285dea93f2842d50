"""minigan: a GAN engine whose every derivative is written by hand.

Arrays are batch first, channels last: (N, features) or (N, height, width, channels).
"""

from minigan import moved as _moved

__version__ = "0.1.0"

_moved.install()


def set_threads(count: int | None) -> None:
    """Set how many threads the CPU backend uses from now on; None restores the default.

    The default is the environment variable ``MINIGAN_THREADS``, or else one thread for each core
    that the process may use; there are never more than that. Small nets use a single thread, apart
    from those of the linear-algebra library. The same number of threads gives the same results, to
    the bit.

    Parameters
    ----------
    count
        An integer >= 1, or None.

    Raises
    ------
    ValueError
        If it is neither.
    """
    from minigan import backend

    backend.get("cpu").set_threads(count)
