"""minigan: a GAN engine whose every derivative is written by hand.

Arrays are batch first, channels last: (N, features) or (N, height, width, channels).
"""

from minigan import moved as _moved

__version__ = "0.1.0"

_moved.install()


def set_threads(count: int | None) -> None:
    """Compute with `count` threads on the CPU, from now on; None asks for as many as is good.

    Without this call the number is that of the environment variable ``MINIGAN_THREADS``, or else
    one for each core that the process may use. It is never more than that. Small nets use one
    thread whatever the number, apart from those of the linear-algebra library. The same number
    gives the same results, to the bit.

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
