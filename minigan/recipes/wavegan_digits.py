"""WaveGAN on spoken digits, with a D that listens; with ``--conditional``, G is told the digit.

G is that of `minigan.recipes.wavegan_tones`. What a word is doesn't depend on the phases of its
frequencies, which vary from recording to recording; D sees none of them, only the spectrogram
(`minigan.nn.LogSpectrogram`), and is a D of pictures.

The recordings don't come with minigan; see `minigan.data.spoken_digits`, or give a folder of WAV
files with ``--data``.
"""

from functools import partial

from minigan.gan import Latent
from minigan.recipes.sound import LATENT, SoundRecipe, WaveSettings, networks

RECIPE = SoundRecipe(
    name="wavegan-digits",
    title="half a second of speech, the digits from zero to nine",
    source=(
        "Donahue et al. 2019: WaveGAN's generator (transposed convolutions of kernel 25 and stride "
        "4), SpecGAN's discriminator (of log spectrograms), WGAN-GP; a quarter as long and as wide"
    ),
    data="spoken-digits",
    sample_shape=(4096, 1),
    latent=Latent(LATENT),
    networks=partial(networks, width=16, listens=True),
    build=partial(networks, listens=True),
    most_classes=10,
    settings=WaveSettings(
        steps=4000,
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
    duration="about 0.25 s of processor time per step, 17 minutes in all",
)
