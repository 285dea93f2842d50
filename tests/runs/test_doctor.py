"""The doctor's picture: one colour for one meaning, and everything smoothed alike."""

import numpy
import pytest

from minigan.plots import COLOURS
from minigan.runs import doctor


def test_the_colours_are_those_of_all_figures_and_the_curves_are_smoothed():
    rng, n = numpy.random.default_rng(0), 200
    names = ["loss_d", "loss_g", "d_real", "d_fake", "diversity", "centre", "cycle", "grad_norm_d"]
    table = {name: rng.uniform(0.5, 1, n) for name in names} | {"step": numpy.arange(n)}
    figure = doctor.figure(table, objective="non-saturating", title="a run")
    panels = {axes.get_ylabel(): axes for axes in figure.axes}
    assert list(panels) == ["loss", "D's output", "samples", "reported", "gradient norm"]

    def colours(panel):
        return [line.get_color() for line in panels[panel].lines if line.get_alpha() is None]

    assert colours("loss")[:2] == [COLOURS["discriminator"], COLOURS["generator"]]
    assert colours("D's output") == [COLOURS["real"], COLOURS["fake"]]
    assert colours("gradient norm") == [COLOURS["discriminator"]]
    assert not set(colours("samples") + colours("reported")) & set(COLOURS.values())
    for panel, axes in panels.items():
        for line in axes.lines:
            if len(line.get_ydata()) == n and line.get_alpha() is None:
                assert line.get_ydata().std() < 0.1, panel  # that of the values is 0.14


def test_a_loss_alone_is_drawn_and_steps_alone_are_refused():
    steps = numpy.arange(5)
    table = {"step": steps, "loss": steps / 5}
    (panel,) = doctor.figure(table, objective="elbo", title="a run").axes
    assert panel.get_ylabel() == "loss"
    with pytest.raises(ValueError, match="no column to draw"):
        doctor.figure({"step": steps}, objective="elbo", title="a run")
