"""Fifty whole training steps of both MNIST recipes beside PyTorch, from equal weights and latents,
in float64.
"""

import numpy
import pytest

from minigan import backend, gan, nn, optim, recipes

torch = pytest.importorskip("torch", reason="PyTorch, the oracle, isn't installed")

# Spinning OpenMP threads beside BLAS's own cost far more than they bring.
torch.set_num_threads(1)

STEPS, BATCH = 50, 4


class FixedDropout(torch.nn.Module):
    """Dropout that takes its masks from the generator that minigan's layer has too."""

    def __init__(self, p, rng):
        super().__init__()
        self.p, self.rng = p, rng

    def forward(self, x):
        n, c, h, w = x.shape
        mask = backend.get("cpu").dropout_mask(
            (n, h, w, c), self.p, numpy.dtype("float64"), self.rng
        )
        return x * torch.from_numpy(mask.transpose(0, 3, 1, 2))


class ChannelsLast(torch.nn.Module):
    """Flattens as minigan does: channels fastest."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1).reshape(len(x), -1)


class Image(torch.nn.Module):
    def __init__(self, height, width, channels):
        super().__init__()
        self.shape = (height, width, channels)

    def forward(self, x):
        return x.reshape(len(x), *self.shape).permute(0, 3, 1, 2)


def translate(layer, noise):
    """Return the PyTorch layer with the same weights."""
    if isinstance(layer, nn.Linear):
        twin = torch.nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
        weight = layer.weight.value.T
    elif isinstance(layer, nn.Conv2d):
        k, s, p = layer.window
        twin = torch.nn.Conv2d(
            layer.in_channels, layer.out_channels, k, s, p, bias=layer.bias is not None
        )
        weight = layer.weight.value.transpose(3, 2, 0, 1)
    elif isinstance(layer, nn.ConvTranspose2d):
        k, s, p = layer.window
        twin = torch.nn.ConvTranspose2d(
            layer.in_channels, layer.out_channels, k, s, p, bias=layer.bias is not None
        )
        weight = layer.weight.value.transpose(3, 2, 0, 1)
    elif isinstance(layer, nn.BatchNorm):
        twin = (torch.nn.BatchNorm1d if layer.two_axes else torch.nn.BatchNorm2d)(layer.features)
        with torch.no_grad():
            twin.weight.copy_(torch.from_numpy(layer.gamma.value))
        return twin
    elif isinstance(layer, nn.ReLU):
        return torch.nn.ReLU()
    elif isinstance(layer, nn.LeakyReLU):
        return torch.nn.LeakyReLU(layer.slope)
    elif isinstance(layer, nn.Dropout):
        return FixedDropout(layer.p, noise)
    else:
        return {nn.Tanh: torch.nn.Tanh, nn.Flatten: ChannelsLast}.get(
            type(layer), lambda: Image(*layer.shape)
        )()
    with torch.no_grad():
        twin.weight.copy_(torch.from_numpy(numpy.ascontiguousarray(weight)))
        if layer.bias is not None:
            twin.bias.copy_(torch.from_numpy(layer.bias.value))
    return twin


def twin_of(net, noise):
    seen_image = isinstance(net[0], nn.Conv2d)
    layers = []
    for layer in net:
        seen_image |= isinstance(layer, nn.Reshape)
        if isinstance(layer, nn.BatchNorm):
            layer.two_axes = not seen_image
        layers.append(translate(layer, noise))
    return torch.nn.Sequential(*layers).double()


def torch_step(generator, discriminator, optimizers, real, z_d, z_g):
    """The same step as autograd writes it."""
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    optimizer_g, optimizer_d = optimizers
    fake = generator(z_d).detach()
    optimizer_d.zero_grad()
    if any(isinstance(layer, FixedDropout) for layer in discriminator):
        # In one pass, as minigan does it: the masks are drawn for both batches together.
        real_logits, fake_logits = discriminator(torch.cat((real, fake))).split(len(real))
    else:
        real_logits, fake_logits = discriminator(real), discriminator(fake)
    loss_d = bce(real_logits, torch.ones_like(real_logits)) + bce(
        fake_logits, torch.zeros_like(fake_logits)
    )
    loss_d.backward()
    optimizer_d.step()
    optimizer_g.zero_grad()
    logits = discriminator(generator(z_g))
    loss_g = bce(logits, torch.ones_like(logits))
    loss_g.backward()
    optimizer_g.step()
    return loss_d.item(), loss_g.item()


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-dcgan"])
def test_fifty_steps_agree(name):
    recipe = recipes.get(name)
    noise, twin_noise = numpy.random.default_rng(5), numpy.random.default_rng(5)
    players = recipe.networks(numpy.random.default_rng(0), noise)
    generator, discriminator = (net.astype("float64") for net in players)
    twins = [twin_of(net, twin_noise) for net in (generator, discriminator)]
    game = gan.Game(
        generator,
        discriminator,
        optim.Adam(generator, lr=2e-4, betas=(0.5, 0.999)),
        optim.Adam(discriminator, lr=2e-4, betas=(0.5, 0.999)),
    )
    optimizers = [torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in twins]
    rng = numpy.random.default_rng(1)
    for _ in range(STEPS):
        real = numpy.tanh(rng.normal(size=(BATCH, 28, 28, 1)))
        z_d, z_g = rng.normal(size=(2, BATCH, 100))
        ours = game.discriminator_step(real, z_d) | game.generator_step(z_g)
        image = torch.from_numpy(real.transpose(0, 3, 1, 2).copy())
        theirs = torch_step(*twins, optimizers, image, torch.from_numpy(z_d), torch.from_numpy(z_g))
        assert ours["loss_d"] == pytest.approx(theirs[0], rel=1e-6)
        assert ours["loss_g"] == pytest.approx(theirs[1], rel=1e-6)
    for net, twin in zip((generator, discriminator), twins, strict=True):
        for p, q in zip(net.parameters().values(), twin.parameters(), strict=True):
            q = q.detach().numpy()
            q = q.T if q.ndim == 2 else q.transpose(2, 3, 1, 0) if q.ndim == 4 else q
            assert numpy.abs(p.value - q).max() <= 1e-6 * max(1.0, numpy.abs(q).max())
