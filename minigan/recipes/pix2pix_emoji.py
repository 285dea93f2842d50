"""Google's emoji become Twitter's: pix2pix on 1,589 pairs of drawings of the same things."""

from dataclasses import replace

from minigan.recipes import pix2pix

RECIPE = replace(
    pix2pix.RECIPE,
    name="pix2pix-emoji",
    title="emoji of one design become those of another",
    data="emoji-designs",
    input_shape=(32, 32, 3),
    sample_shape=(32, 32, 3),
    levels=4,
    halvings=2,
)
