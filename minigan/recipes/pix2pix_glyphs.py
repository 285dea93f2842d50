"""Letters become bold: pix2pix on fonts, tested on fonts that it hasn't seen."""

from dataclasses import replace

from minigan.recipes import pix2pix

RECIPE = replace(
    pix2pix.RECIPE,
    name="pix2pix-glyphs",
    title="regular letters become bold ones",
    data="glyphs-bold",
    input_shape=(28, 28, 1),
    sample_shape=(28, 28, 1),
    levels=2,
)
