"""A generative adversarial network from nothing but NumPy: read it from top to bottom.

The generator G turns noise z into points; the discriminator D says of a point how real it seems. D
learns to tell G's points from the data, G to be taken for them (Goodfellow et al., 2014). A layer
has a `backward`: it pulls the derivative of the loss with respect to its output (dy) back to its
input (dx). It takes ten seconds; then look at gan_from_nothing.png.
"""

import struct
import sys
import zlib

import numpy as np


class Linear:
    """y = x W + b.  So  dW = xᵀ dy,  db = Σ dy,  dx = dy Wᵀ."""

    def __init__(self, n_in, n_out, rng):
        self.W, self.b = rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in), np.zeros(n_out)

    def forward(self, x):
        return x @ self.W + self.b, x

    def backward(self, dy, x):
        self.dW, self.db = x.T @ dy, dy.sum(axis=0)
        return dy @ self.W.T


class LeakyReLU:
    """y = x where x > 0, else 0.2 x.  So  dx = dy where x > 0, else 0.2 dy."""

    def forward(self, x):
        return np.where(x > 0, x, 0.2 * x), x

    def backward(self, dy, x):
        return np.where(x > 0, dy, 0.2 * dy)


class Net:
    """Layers one after the other: forward in order, backward in the reverse order."""

    def __init__(self, a, b, c, d, rng):
        act = LeakyReLU()
        self.layers = [Linear(a, b, rng), act, Linear(b, c, rng), act, Linear(c, d, rng)]

    def forward(self, x):
        caches = []  # of this call: those of two calls don't mix
        for layer in self.layers:
            x, cache = layer.forward(x)
            caches.append(cache)
        return x, caches

    def backward(self, dy, caches):
        for layer, cache in zip(reversed(self.layers), reversed(caches)):
            dy = layer.backward(dy, cache)
        return dy

    def arrays(self, *names):
        return [getattr(linear, name) for linear in self.layers[::2] for name in names]


def cross_entropy(logits, target):
    """Mean of -t log D - (1 - t) log(1 - D), D = sigmoid(logit); its derivative is (D - t) / N."""
    D = 0.5 + 0.5 * np.tanh(0.5 * logits)  # the sigmoid, without an exp that could overflow
    return (np.logaddexp(0, logits) - target * logits).mean(), (D - target) / len(logits)


class Adam:
    """Steps of about the rate, whatever the gradient's size (Kingma and Ba, 2015, algorithm 1)."""

    def __init__(self, net, rate=1e-3, beta1=0.5, beta2=0.999):
        self.net, self.rate, self.b1, self.b2, self.t = net, rate, beta1, beta2, 0
        self.m, self.v = ([np.zeros_like(p) for p in net.arrays("W", "b")] for _ in "mv")

    def step(self):
        self.t += 1
        pairs = zip(self.net.arrays("W", "b"), self.net.arrays("dW", "db"))
        for (p, g), m, v in zip(pairs, self.m, self.v):
            m += (1 - self.b1) * (g - m)  # the running mean of the gradient
            v += (1 - self.b2) * (g * g - v)  # and of its square; both begin at 0, hence:
            p -= self.rate * m / (1 - self.b1**self.t) / (np.sqrt(v / (1 - self.b2**self.t)) + 1e-8)


def data(n, rng):
    """Points on eight small Gaussians around a circle."""
    angle = rng.integers(8, size=n) * np.pi / 4
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.05 * rng.standard_normal((n, 2))


def d_loss(D, real, fake):
    """D's loss on reals (target 1) and fakes (target 0), and backward through D."""
    logits, caches = D.forward(np.concatenate([real, fake]))
    loss, d_logits = cross_entropy(logits, np.repeat([[1.0], [0.0]], len(real), axis=0))
    D.backward(d_logits, caches)
    return loss


def g_loss(G, D, z):
    """G wants D to say 1: the derivative walks back through D, which stays as it is, into G."""
    fake, g_caches = G.forward(z)
    logits, d_caches = D.forward(fake)
    loss, d_logits = cross_entropy(logits, 1.0)
    G.backward(D.backward(d_logits, d_caches), g_caches)
    return loss


def check_gradients(G, D, z, real, rng):
    """Move weights by ±h, and compare how the loss changes with what backward says."""
    worst, fake = 0.0, G.forward(z)[0]
    for net, loss in ((G, lambda: g_loss(G, D, z)), (D, lambda: d_loss(D, real, fake))):
        loss()
        for p, g in zip(net.arrays("W", "b"), net.arrays("dW", "db")):
            h = 1e-6 * rng.standard_normal(p.shape)
            p += h
            up = loss()
            p -= 2 * h
            change = (up - loss()) / 2
            p += h
            worst = max(worst, abs(change - (g * h).sum()) / (abs(change) + 1e-10))
    return worst


def save_picture(path, real, fake, size=300):
    """Write a PNG by hand: the data grey, G's points red on top."""
    image = np.full((size, size, 3), 255, np.uint8)
    for points, colour in ((real, 170), (fake, (200, 30, 30))):
        x, y = np.clip((points * [1, -1] / 3 + 0.5) * size, 0, size - 1).astype(int).T
        image[y, x] = colour
    head = b"IHDR" + struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    rows = b"IDAT" + zlib.compress(b"".join(b"\0" + row.tobytes() for row in image))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for part in (head, rows, b"IEND"):
            file.write(struct.pack(f">I{len(part)}sI", len(part) - 4, part, zlib.crc32(part)))


if __name__ == "__main__":
    rng = np.random.default_rng(int(sys.argv[1]) if sys.argv[1:] else 0)
    G, D = Net(8, 64, 64, 2, rng), Net(2, 64, 64, 1, rng)
    print("worst error", check_gradients(G, D, rng.standard_normal((5, 8)), data(5, rng), rng))
    g_adam, d_adam = Adam(G), Adam(D)
    for step in range(4001):
        d = d_loss(D, data(128, rng), G.forward(rng.standard_normal((128, 8)))[0])  # G holds still
        d_adam.step()
        g = g_loss(G, D, rng.standard_normal((128, 8)))
        g_adam.step()
        if step % 500 == 0:  # a D that can't tell has a loss of log 2 = 0.69
            print(f"step {step}: D's loss {d:.2f}, G's {g:.2f}")
    save_picture("gan_from_nothing.png", data(999, rng), G.forward(rng.normal(size=(999, 8)))[0])
