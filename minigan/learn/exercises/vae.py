"""Exercise 24: the step of a variational autoencoder."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import Recorder, net_arrays, net_of, play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant, several
from minigan.learn.solutions import vae as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """The prior itself, one sample, a batch."""

    def given(n: int, features: int, d: int, hidden: int) -> dict[str, Any]:
        shapes = {"mu": (n, d), "logvar": (n, d), "noise": (n, d), "dz": (n, d), "x": (n, features)}
        arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        nets = net_arrays(rng, "e", (features, hidden, 2 * d)) | net_arrays(
            rng, "g", (d, hidden, features)
        )
        small = {name: value * (0.4 if name[0] in "eg" else 1) for name, value in nets.items()}
        return arrays | small

    prior = given(2, 2, 1, 2)
    return [
        Case(
            "μ = 0 and l = 0, where KL is 0",
            prior | {"mu": 0 * prior["mu"], "logvar": 0 * prior["logvar"]},
        ),
        Case("one sample, one number everywhere", given(1, 1, 1, 1)),
        Case("one sample", given(1, 3, 2, 2)),
        Case("5 samples, 4 features, 2 latents", given(5, 4, 2, 3)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """KL, sampling, one step."""
    loss, dmu, dlogvar = several(code.kl(given.mu, given.logvar), "loss, dmu, dlogvar", "kl")
    given.done |= {"kl": loss, "kl_dmu": dmu, "kl_dlogvar": dlogvar}
    given.dy = given.dz
    names = {"forward": "sample_forward", "backward": "sample_backward", "y": "z"}
    sampled = play_pair(code, given, "mu logvar noise", "dmu dlogvar", **names)
    given.done |= {"z": sampled["z"], "z_dmu": sampled["dmu"], "z_dlogvar": sampled["dlogvar"]}
    encoder, decoder = net_of(given, "e"), net_of(given, "g")
    optimizers = Recorder(encoder, 0.1), Recorder(decoder, 0.1)
    (step,) = several(
        code.vae_step(encoder, decoder, list(optimizers), given.x, given.noise), "loss", "vae_step"
    )
    found = {
        "kl": loss,
        "kl_dmu": dmu,
        "kl_dlogvar": dlogvar,
        "z": sampled["z"],
        "z_dmu": sampled["dmu"],
    }
    found |= {"z_dlogvar": sampled["dlogvar"], "loss": step}
    for name, optimizer in zip("eg", optimizers, strict=True):
        found |= {f"{name}_grad{i}": g for i, g in enumerate(optimizer.seen)}
        found[f"steps_{name}"] = numpy.array(float(optimizer.steps))
    return found


def outputs() -> dict[str, Output]:
    """The outputs, the gradients of both nets included."""
    found = {
        "kl": Output("the KL term"),
        "kl_dmu": Output("its gradient for μ", Slope("kl", None, "mu"), "kl gradients"),
        "kl_dlogvar": Output("its gradient for l", Slope("kl", None, "logvar"), "kl gradients"),
        "z": Output("the samples", part="sampling"),
        "z_dmu": Output("the gradient of μ through z", Slope("z", "dz", "mu"), "sampling"),
        "z_dlogvar": Output("the gradient of l through z", Slope("z", "dz", "logvar"), "sampling"),
        "loss": Output("the loss of the step", part="step"),
    }
    for name, net in (("e", "the encoder"), ("g", "the decoder")):
        for i, what in enumerate(
            (
                "w of the first layer",
                "b of the first layer",
                "w of the last layer",
                "b of the last layer",
            )
        ):
            found[f"{name}_grad{i}"] = Output(
                f"the gradient of {what}, {net}",
                Slope("loss", None, f"{name}{i}"),
                "step gradients",
            )
        found[f"steps_{name}"] = Output(f"the number of steps, {net}", part="step gradients")
    return found


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """The loss and the encoder's gradient: reconstruction and KL."""
    n, d = given.noise.shape
    encoder, decoder = net_of(given, "e"), net_of(given, "g")
    encoder.zero_grad()
    code, cache = encoder.forward(given.x)
    right: Any = solution
    divergence, *own = right.kl(code[:, :d], code[:, d:])
    z, spread = right.sample_forward(code[:, :d], code[:, d:], given.noise)
    decoded, seen = decoder.forward(z)
    dz = decoder.backward((decoded - given.x) / n, seen)
    through = _pulled(encoder, right.sample_backward(dz, spread), cache)
    both = zip(through, _pulled(encoder, own, cache), strict=True)
    grads: dict[str, tuple[Named, Named]] = {
        f"e_grad{i}": ({"what comes through the decoder": t, "KL's gradient": k}, {})
        for i, (t, k) in enumerate(both)
    }
    loss = {"the reconstruction": ((decoded - given.x) ** 2).sum() / 2 / n, "KL": divergence}
    return {"loss": (loss, {}), **grads}


def _pulled(encoder: Any, halves: Any, cache: Any) -> list[Any]:
    encoder.zero_grad()
    encoder.backward(numpy.concatenate(halves, axis=1), cache)
    found: list[Any] = encoder.grads
    return found


def _kl(
    loss: str = "(mu**2 + np.exp(l) - l - 1).sum() / 2 / n",
    dmu: str = "mu / n",
    dl: str = "(np.exp(l) - 1) / 2 / n",
) -> str:
    return f"def kl(mu, l):\n    n = len(mu)\n    return {loss}, {dmu}, {dl}\n"


def _sample(
    z: str = "mu + np.exp(l / 2) * e", dmu: str = "1.0 * dz", dl: str = "dz * np.exp(l / 2) * e / 2"
) -> str:
    return (
        f"def sample_forward(mu, l, e):\n    return {z}, (l, e)\n"
        f"def sample_backward(dz, cache):\n    l, e = cache\n    return {dmu}, {dl}\n"
    )


def _step(
    zero: str = "encoder.zero_grad(); decoder.zero_grad()",
    noise: str = "noise",
    dd: str = "diff / len(x)",
    loss: str = "(diff**2).sum() / 2 / len(x) + k",
    dmu: str = "dmu + mm",
    dl: str = "dl + ml",
    step: str = "[o.step() for o in optimizers]",
    halves: str = "c[:, :d], c[:, d:]",
    mix: str = "pass",
) -> str:
    return (
        "def vae_step(encoder, decoder, optimizers, x, noise):\n"
        f"    {zero}\n    d = noise.shape[1]\n    c, ce = encoder.forward(x)\n    mu, l = "
        f"{halves}\n"
        f"    z, cz = sample_forward(mu, l, {noise})\n    y, cd = decoder.forward(z)\n    diff "
        f"= y - x\n"
        f"    k, dmu, dl = kl(mu, l)\n    dz = decoder.backward({dd}, cd)\n"
        f"    mm, ml = sample_backward(dz, cz)\n    {mix}\n"
        f"    encoder.backward(np.concatenate([{dmu}, {dl}], axis=1), ce)\n    {step}\n    "
        f"return {loss}\n"
    )


EXERCISE = Exercise(
    number=24,
    name="vae",
    title="The step of a variational autoencoder",
    asks=("kl", "sample_forward", "sample_backward", "vae_step"),
    outputs=outputs(),
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "the half of KL is missing",
            _kl("(mu**2 + np.exp(l) - l - 1).sum() / n", "2 * mu / n", "(np.exp(l) - 1) / n"),
        ),
        Variant(
            "the half of KL is missing in the loss, though the gradients have it",
            _kl("(mu**2 + np.exp(l) - l - 1).sum() / n"),
        ),
        Variant("the half is missing in KL's gradient for l", _kl(dl="(np.exp(l) - 1) / n")),
        Variant(
            "KL's gradient for μ is μ / N: the half cancels the 2 of the square",
            _kl(dmu="mu / 2 / n"),
        ),
        Variant(
            "KL's gradient for μ is μ / N: the half cancels the 2 of the square",
            _kl(dmu="2 * mu / n"),
        ),
        Variant(
            "KL's gradients aren't divided by N: it is a mean over the samples",
            _kl(dmu="1.0 * mu", dl="(np.exp(l) - 1) / 2"),
        ),
        Variant(
            "KL isn't divided by N: it is a mean over the samples",
            _kl("(mu**2 + np.exp(l) - l - 1).sum() / 2", "1.0 * mu", "(np.exp(l) - 1) / 2"),
        ),
        Variant(
            "KL takes the mean over the latents, too: sum each sample's",
            _kl(
                "(mu**2 + np.exp(l) - l - 1).mean() / 2",
                "mu / mu.size",
                "(np.exp(l) - 1) / 2 / mu.size",
            ),
        ),
        Variant(
            "the sign of KL is wrong: it is never negative",
            _kl("-(mu**2 + np.exp(l) - l - 1).sum() / 2 / n", "-mu / n", "(1 - np.exp(l)) / 2 / n"),
        ),
        Variant(
            "the -1 of KL is missing: at the prior KL is 0",
            _kl("(mu**2 + np.exp(l) - l).sum() / 2 / n"),
        ),
        Variant(
            "the -1 is missing in KL's gradient for l: it comes from -l",
            _kl(dl="np.exp(l) / 2 / n"),
        ),
        Variant(
            "the -l of KL is missing",
            _kl("(mu**2 + np.exp(l) - 1).sum() / 2 / n", dl="np.exp(l) / 2 / n"),
        ),
        Variant(
            "l is taken for the standard deviation: it is the logarithm of the variance",
            _kl("(mu**2 + l**2 - np.log(l**2 + 1e-30) - 1).sum() / 2 / n"),
        ),
        Variant(
            "the root is forgotten: the spread is exp(l / 2), not exp(l)",
            _sample("mu + np.exp(l) * e", dl="dz * np.exp(l) * e"),
        ),
        Variant(
            "the noise is forgotten in the gradient for l: z moves with l by noise · exp(l / 2) "
            "/ 2",
            _sample(dl="dz * np.exp(l / 2) / 2"),
        ),
        Variant(
            "the half of exp(l / 2) is missing in the gradient for l",
            _sample(dl="dz * np.exp(l / 2) * e"),
        ),
        Variant("the noise is forgotten: z is μ alone", _sample("1.0 * mu", dl="0 * dz")),
        Variant("exp(l / 2) is missing in the gradient for l", _sample(dl="dz * e / 2")),
        Variant(
            "l multiplies the noise as it is: the spread is exp(l / 2)",
            _sample("mu + l * e", dl="dz * e"),
        ),
        Variant("dz is forgotten in the gradient for l", _sample(dl="np.exp(l / 2) * e / 2")),
        Variant("nothing comes through z to l", _sample(dl="0 * dz")),
        Variant("the noise isn't used in the step: z must be random", _step(noise="0 * noise")),
        Variant(
            "the step forgets KL: its gradients are to be added to what comes from the decoder",
            _step(dmu="mm", dl="ml", loss="(diff**2).sum() / 2 / len(x)"),
        ),
        Variant(
            "KL's gradients are forgotten in the step, though the loss has KL",
            _step(dmu="mm", dl="ml"),
        ),
        Variant(
            "what comes through the decoder is forgotten: add it to KL's gradients",
            _step(dmu="dmu", dl="dl"),
        ),
        Variant(
            "KL is forgotten in the loss, though the gradients have it",
            _step(loss="(diff**2).sum() / 2 / len(x)"),
        ),
        Variant("the reconstruction's gradient isn't divided by N", _step(dd="diff")),
        Variant(
            "the reconstruction is a mean over the features, too: sum each sample's",
            _step(dd="diff / x.size", loss="(diff**2).mean() / 2 + k"),
        ),
        Variant(
            "the half of the reconstruction is missing",
            _step(dd="2 * diff / len(x)", loss="(diff**2).sum() / len(x) + k"),
        ),
        Variant(
            "the half of the reconstruction is missing in the loss, though the gradient has it",
            _step(loss="(diff**2).sum() / len(x) + k"),
        ),
        Variant(
            "the 2 of the square is left in the gradient: the half cancels it",
            _step(dd="2 * diff / len(x)"),
        ),
        Variant("the sign of the difference is wrong: decoded - x", _step(dd="-diff / len(x)")),
        Variant(
            "μ and l are exchanged: μ is in the first d columns", _step(halves="c[:, d:], c[:, :d]")
        ),
        Variant(
            "the gradients of μ and l are in the wrong order: μ first",
            _step(dmu="dl + ml", dl="dmu + mm"),
        ),
        Variant("the gradients aren't zeroed first", _step(zero="pass")),
        Variant("the encoder's gradients aren't zeroed first", _step(zero="decoder.zero_grad()")),
        Variant("the decoder's gradients aren't zeroed first", _step(zero="encoder.zero_grad()")),
        Variant(
            "the decoder's backward is told to leave the gradients alone (param_grads=False), but "
            "it learns, too",
            _step(dd="diff / len(x)").replace(", cd)\n", ", cd, False)\n"),
        ),
        Variant("the decoder's optimizer never steps", _step(step="optimizers[0].step()")),
        Variant("the encoder's optimizer never steps", _step(step="optimizers[1].step()")),
        Variant("no optimizer steps", _step(step="pass")),
    ),
    hints=(
        "kl: the derivative of ½ μ² is μ, that of ½ (exp(l) - l) is ½ (exp(l) - 1); both over N.",
        "z = μ + exp(l/2) · noise: dz/dμ = 1 and dz/dl = ½ exp(l/2) · noise. Keep exp(l/2) · "
        "noise in the cache.",
        "dz = decoder.backward((decoded - x) / N, cache); then encoder.backward gets [dmu + …, "
        "dlogvar + …] side by side, "
        "from kl and from sample_backward together.",
    ),
    explanation=(
        "The trick is that z is a function of μ and l once the noise is drawn: so a gradient "
        "comes through a random "
        "draw. Half of GAN and VAE is the same code: the decoder is a generator, and only the "
        "teacher differs, a "
        "distance to x here, a discriminator there. That difference is why one is blurred and "
        "the other sharp. And this was the last exercise."
    ),
    library="minigan/gan/autoencoder.py, minigan/losses.py",
    paper="Kingma and Welling 2014",
    tutorial="15-gan-and-vae",
)
