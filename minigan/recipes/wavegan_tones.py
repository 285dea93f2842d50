"""WaveGAN on synthesised tones, whose pitches can be measured exactly.

G makes half a second of sound, 4,096 samples at 8 kHz, by transposed convolutions along time: 16,
64, 256, 1,024, 4,096 samples. Their artefacts have a fixed phase, by which a critic would know
them; so the maps inside D are shifted at random (`minigan.nn.PhaseShuffle`).
"""

from functools import partial

from minigan.gan import Latent
from minigan.recipes.sound import LATENT, SoundRecipe, WaveSettings, networks

RECIPE = SoundRecipe(
    name="wavegan-tones",
    title="half a second of a plucked string, a sound",
    source=(
        "Donahue et al. 2019 (WaveGAN): transposed convolutions of kernel 25 and stride 4, phase "
        "shuffle, WGAN-GP; a quarter as long, an eighth as wide"
    ),
    data="tones",
    sample_shape=(4096, 1),
    latent=Latent(LATENT),
    networks=partial(networks, width=8),
    settings=WaveSettings(
        steps=6000,
        batch_size=32,
        lr_generator=5e-4,
        lr_discriminator=1e-3,
        beta1=0.5,
        beta2=0.9,
        objective="wasserstein",
        penalties=("gradient-penalty:10",),
        discriminator_steps=2,
        width=8,
        average=0.99,
    ),
    duration="about 0.23 s of processor time per step, 23 minutes in all",
)
