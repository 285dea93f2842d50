"""WaveGAN on spoken digits; with ``--conditional``, G is told which digit to say.

The nets are those of `minigan.recipes.wavegan_tones`. The recordings don't come with minigan; see
`minigan.data.spoken_digits`, or give a folder of WAV files with ``--data``.
"""

from functools import partial

from minigan.gan import Latent
from minigan.recipes.sound import LATENT, SoundRecipe, WaveSettings, networks

RECIPE = SoundRecipe(
    name="wavegan-digits",
    title="half a second of speech, the digits from zero to nine",
    source=(
        "Donahue et al. 2019 (WaveGAN): transposed convolutions of kernel 25 and stride 4, phase "
        "shuffle, WGAN-GP; a quarter as long and as wide"
    ),
    data="spoken-digits",
    sample_shape=(4096, 1),
    latent=Latent(LATENT),
    networks=partial(networks, width=16),
    most_classes=10,
    settings=WaveSettings(
        steps=3000,
        batch_size=32,
        lr_generator=5e-4,
        lr_discriminator=1e-3,
        beta1=0.5,
        beta2=0.9,
        objective="wasserstein",
        penalties=("gradient-penalty:10",),
        discriminator_steps=2,
        average=0.99,
    ),
    duration="about 0.49 s of processor time per step, 24 minutes in all",
)
