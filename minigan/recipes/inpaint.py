"""Faces with a hole are made whole again: pix2pix, from a picture with a grey square.

Where a mouth was cut out, many mouths would do. The distance alone paints the median of them all,
and so a blurred patch; D, which sees the picture with the hole beside the result, asks for a face.
`--set adversarial=0` leaves D out, for comparison.
"""

from dataclasses import replace

from minigan.recipes import pix2pix
from minigan.recipes.translation import TranslationSettings

RECIPE = replace(
    pix2pix.RECIPE,
    name="inpaint",
    title="faces with a hole are made whole again",
    source=(
        "Pathak et al. 2016 (context encoders: a distance and an adversary) with the game and nets "
        "of Isola et al. 2017 (pix2pix)"
    ),
    data="avatars-holes",
    input_shape=(16, 16, 3),
    settings=TranslationSettings(
        steps=3000, batch_size=16, lr_generator=4e-4, lr_discriminator=1e-4, schedule="linear:0.5"
    ),
    duration="about 90 s of processor time",
)
