"""Runs that are killed and go on, beside one that nobody disturbed."""

import numpy
import pytest

from minigan import checkpoint, gan
from minigan.runs import resuming


class Killed(gan.Callback):
    """Stops a run after a step as if it were killed.

    Parameters
    ----------
    step
        The last one.
    """

    def __init__(self, step):
        self.last = step

    def on_step(self, trainer, report):
        """Stop."""
        if trainer.step == self.last:
            raise KeyboardInterrupt


def check_that_it_resumes(learn, whole, place, *, killed_after=5):
    """Kill a run, go on, and compare every byte with the whole run's.

    Parameters
    ----------
    learn
        ``learn(out, callbacks=...)`` trains.
    whole
        The run that nobody disturbed.
    place
        Folder of the other.
    killed_after
        The last step before it's killed.

    Returns
    -------
    dict
        The arrays of the last checkpoint.
    """
    with pytest.raises(KeyboardInterrupt):
        learn(place, callbacks=[Killed(killed_after)])
    resuming.resume(place, progress=False)
    last = max((whole / "checkpoints").glob("step-*.safetensors")).relative_to(whole)
    for name in ("model.safetensors", last):
        ours, theirs = (checkpoint.load(run / name)[0] for run in (place, whole))
        assert ours.keys() == theirs.keys()
        for key, array in theirs.items():
            numpy.testing.assert_array_equal(ours[key], array, err_msg=key)
    assert (place / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    return ours
