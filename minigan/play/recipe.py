"""A game of the playground as a recipe, as a recipe file, and as the Python that trains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from minigan import data
from minigan.gan.taming import parse
from minigan.latent import Latent
from minigan.play import nets
from minigan.play.setup import CHOICES, DIRAC, DRAWN, PICTURES, Setup, short
from minigan.recipes import Recipe, Settings, get

SETTINGS = (
    "steps", "batch_size", "lr_generator", "lr_discriminator", "beta1", "beta2", "objective",
    "smoothing", "discriminator_steps", "average", "optimizer", "penalties", "schedule",
)  # fmt: skip
"""The choices that are settings of a recipe, too."""
NAME = "my-game"


@dataclass(frozen=True, kw_only=True, repr=False)
class OwnData(Recipe):
    """A recipe whose data are points of one's own, or a distribution with noise of one's choice."""

    points: tuple[tuple[float, float], ...] = ()
    spread: float = 0.0

    def load(self, name: str, data_dir: str | None) -> Any:
        """Return the distribution."""
        if name == DRAWN:
            return data.point_set(self.points, name=name)
        return data.distribution(name, std=self.spread)


def recipe_of(setup: Setup) -> Recipe:
    """Return the recipe that plays a game.

    Raises
    ------
    ValueError
        If there is none, as for the Dirac-GAN.
    """
    if setup.data == DIRAC:
        raise ValueError(
            "The Dirac-GAN has one weight in each net and no recipe; choose other data."
        )
    if setup.data in PICTURES:
        return _of_pictures(setup)
    common: dict[str, Any] = {
        "name": NAME,
        "title": "a game from the playground",
        "source": "minigan play",
        "data": setup.data,
        "sample_shape": (2,),
        "latent": Latent(setup.latent, setup.latent_kind),
        "networks": partial(nets.build, setup),
        "settings": Settings(**_settings(setup)),
        "duration": "a minute or two",
    }
    if setup.data == DRAWN or setup.spread:
        return OwnData(points=setup.points, spread=setup.spread, **common)
    return Recipe(**common)


def _of_pictures(setup: Setup) -> Recipe:
    recipe = get(_base(setup))
    return replace(recipe.fitted(recipe.settings.changed(**_sized(setup))), data=setup.data)


def _base(setup: Setup) -> str:
    """Digits have their own recipe; the faces are played by that for pictures of any size."""
    return "digits" if setup.data == "digits" else "dcgan"


def _sized(setup: Setup) -> dict[str, int]:
    return {} if setup.data == "digits" else {"image_size": 16}


def setup_of(recipe: Recipe) -> Setup:
    """Return a setup with the settings of a recipe.

    Raises
    ------
    ValueError
        If its objective isn't one of those that the playground plays.
    """
    objective = recipe.settings.objective
    if objective not in CHOICES["objective"]:
        raise ValueError(
            f"{recipe.name!r} trains by {objective!r}, which isn't a game that the playground "
            f"plays; look at a run of it: minigan train {recipe.name}, then minigan play RUN."
        )
    return nearest_setup(recipe, recipe.settings)[0]


def nearest_setup(recipe: Recipe, settings: Settings) -> tuple[Setup, dict[str, Any]]:
    """Return the setup that is nearest to a game, and what of the game isn't a choice here.

    Returns
    -------
    setup
        With all settings that can be chosen.
    others
        The name of the data and the settings that can't, as they are.
    """
    setup, others = Setup(), {}
    own = {name: getattr(settings, name) for name in SETTINGS}
    for name, value in ({"data": recipe.data} | own).items():
        try:
            setup = setup.changed({name: value})
        except (ValueError, TypeError):
            others[name] = value
    return setup, others


def settings_of(setup: Setup, recipe: Recipe) -> Settings:
    """Return the settings of a game, those of the recipe's own left as they are."""
    own = {"image_size": recipe.sample_shape[0]} if hasattr(recipe.settings, "image_size") else {}
    return recipe.settings.changed(**_settings(setup), **own)


def _settings(setup: Setup) -> dict[str, Any]:
    return {name: getattr(setup, name) for name in SETTINGS}


# ---------------------------------------------------------------- as text


def as_recipe_file(setup: Setup) -> str:
    """Return a recipe file: ``minigan train FILE --seed SEED`` plays the same game, bit for bit.

    Raises
    ------
    ValueError
        If the game has no recipe, as the Dirac-GAN.
    """
    if setup.data == DIRAC:
        raise ValueError("The Dirac-GAN has no recipe; choose other data, or export the Python.")
    if setup.data in PICTURES:
        return _RECIPE_OF_PICTURES.format(
            seed=setup.seed, base=_base(setup), name=NAME, data=setup.data,
            sized=_keywords_of(_sized(setup), "        "), settings=_keywords(setup, "        "),
        )  # fmt: skip
    own = setup.data == DRAWN or setup.spread > 0
    return _RECIPE.format(
        seed=setup.seed,
        imports="from minigan import data, nn" if own else "from minigan import nn",
        nets=nets.written(setup, indent="    "),
        own=_points(setup) + _LOAD.format(law=_law(setup)) if own else "",
        kind="OwnData" if own else "Recipe",
        name=NAME, data=setup.data, latent=_latent(setup), settings=_keywords(setup, "        "),
    )  # fmt: skip


def as_python(setup: Setup) -> str:
    """Return the Python that plays the same game, bit for bit; for points, without a recipe."""
    if setup.data == DIRAC:
        return _SCRIPT_OF_DIRAC.format(link=setup.link(), steps=setup.steps)
    if setup.data in PICTURES:
        return _SCRIPT_OF_PICTURES.format(
            base=_base(setup), data=setup.data, seed=setup.seed, settings=_keywords(setup, "    "),
            sized=_keywords_of(_sized(setup), "    "),
        )  # fmt: skip
    return _SCRIPT.format(
        seed=setup.seed, nets=nets.written(setup, indent=""),
        points=_points(setup), law=_law(setup),
        tame=_tame(setup), pulls=_pulls(setup), g=_optimizer(setup, "generator"),
        d=_optimizer(setup, "discriminator"), average=_average(setup), schedule=_schedule(setup),
        objective=f'gan.objective("{setup.objective}", smoothing={setup.smoothing!r})',
        latent=_latent(setup), k=setup.discriminator_steps, batch=setup.batch_size,
        steps=setup.steps,
    )  # fmt: skip


def _latent(setup: Setup) -> str:
    return f'Latent({setup.latent}, "{setup.latent_kind}")'


def _keywords(setup: Setup, indent: str) -> str:
    return _keywords_of(_settings(setup), indent)


def _keywords_of(values: Mapping[str, Any], indent: str) -> str:
    return "".join(f"{indent}{k}={_value(v)},\n" for k, v in values.items())


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + "".join(f"{_value(x)}, " for x in value).rstrip() + ")"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _law(setup: Setup) -> str:
    if setup.data == DRAWN:
        return "data.point_set(POINTS)"
    std = f", std={setup.spread!r}" if setup.spread else ""
    return f'data.distribution("{setup.data}"{std})'


def _points(setup: Setup) -> str:
    if setup.data != DRAWN:
        return ""
    rows = [", ".join(f"({short(x)}, {short(y)})" for x, y in setup.points[i : i + 4])
            for i in range(0, len(setup.points), 4)]  # fmt: skip
    return "POINTS = [\n" + "".join(f"    {row},\n" for row in rows) + "]\n\n"


def _tame(setup: Setup) -> str:
    """D's regularisation; one of its ways changes G as well."""
    ways = _value(list(setup.penalties))
    if not _has(setup, "virtual-batch-norm"):
        return f"taming = gan.tame(discriminator, {ways}, rng=noise)"
    return (
        f"taming = gan.tame(\n    discriminator, {ways}, rng=noise,\n"
        f"    generator=generator, latent={_latent(setup)},\n)\ngenerator = taming.generator"
    )


def _pulls(setup: Setup) -> str:
    if not _has(setup, "historical-averaging"):
        return ""
    return "    **taming.pulls(generator=generator, discriminator=taming.discriminator),\n"


def _has(setup: Setup, name: str) -> bool:
    return any(parse(way)[0] == name for way in setup.penalties)


def _optimizer(setup: Setup, player: str) -> str:
    lr = getattr(setup, f"lr_{player}")
    net = "taming.discriminator" if player == "discriminator" else player
    called = {"adam": "Adam", "rmsprop": "RMSprop", "sgd": "SGD"}[setup.optimizer]
    betas = f", betas=({setup.beta1!r}, {setup.beta2!r})" if setup.optimizer == "adam" else ""
    return f"optim.{called}({net}, lr={lr!r}{betas})"


def _average(setup: Setup) -> str:
    if not setup.average:
        return "None"
    return f"optim.ExponentialMovingAverage(generator, decay={setup.average!r}, warmup=4)"


def _schedule(setup: Setup) -> str:
    if setup.schedule == "constant":
        return "None"
    return (
        f'optim.Scheduler(optimizers, optim.schedules.parse("{setup.schedule}"), '
        f"steps={setup.steps})"
    )


_RECIPE = '''"""A game from the playground: `minigan train THIS_FILE --seed {seed}` plays it."""

{imports}
from minigan.gan import Latent
from minigan.recipes import Recipe, Settings


def networks(rng, noise):
    """Return G and D."""
{nets}    return generator, discriminator


{own}RECIPE = {kind}(
    name="{name}",
    title="a game from the playground",
    source="minigan play",
    data="{data}",
    sample_shape=(2,),
    latent={latent},
    networks=networks,
    settings=Settings(
{settings}    ),
    duration="a minute or two",
)
'''

_LOAD = '''
class OwnData(Recipe):
    """A recipe with data of its own."""

    def load(self, name, data_dir):
        """Return the distribution."""
        return {law}


'''

_RECIPE_OF_PICTURES = '''\
"""A game from the playground: `minigan train THIS_FILE --seed {seed}` plays it."""

from dataclasses import replace

from minigan.recipes import get

base = get("{base}")
RECIPE = replace(
    base,
    name="{name}",
    data="{data}",
    settings=base.settings.changed(
{sized}{settings}    ),
)
'''

_SCRIPT_OF_PICTURES = '''"""A game from the playground, as a run in a folder of its own."""

import minigan

run = minigan.train(
    "{base}",
    data="{data}",
    seed={seed},
{sized}{settings})
print(run.sample(10).shape)
'''

_SCRIPT_OF_DIRAC = '''"""A Dirac-GAN from the playground: one weight in each net."""

from minigan.play.setup import Setup
from minigan.play.state import PlaygroundState

state = PlaygroundState(Setup.from_link("{link}"))
for _ in range({steps}):
    state.step()
theta, psi = state.scene.path[-1]
print(f"theta = {{theta:.4f}}, psi = {{psi:.4f}}")
'''

_SCRIPT = '''"""A game from the playground, without a recipe."""

import numpy

from minigan import data, gan, nn, optim
from minigan.gan import Latent

# A generator of random numbers for each purpose, as `minigan train --seed {seed}` has them.
seeds = numpy.random.SeedSequence({seed}).spawn(6)
rng, stream, latents, noise, *_ = map(numpy.random.default_rng, seeds)
{points}
{nets}
{tame}
optimizers = {g}, {d}
game = gan.Game(
    generator,
    taming.discriminator,
    generator_optimizer=optimizers[0],
    discriminator_optimizer=optimizers[1],
{pulls}    objective={objective},
    penalties=taming.penalties,
    before_step=taming.before_step,
    after_discriminator_step=taming.after_discriminator_step,
    feature_matching=taming.feature_matching,
    latent={latent},
    discriminator_steps={k},
    average={average},
    scheduler={schedule},
)
law = {law}
trainer = gan.Trainer(game, data.Stream(law, {batch}, stream), rng=latents, noise=noise)
trainer.run({steps})
print(game.sample(game.inputs(10, latents)))
'''
