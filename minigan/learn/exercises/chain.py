"""Exercise 5: a chain of layers, and where gradients go."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Output, Slope, Variant, several
from minigan.learn.solutions import chain as solution


class Tanh:
    """A layer without weights, between the two of the reader's."""

    def forward(self, x: Any) -> tuple[Any, Any]:
        """Map x to y; return y, cache."""
        y = numpy.tanh(x)
        return y, y

    def backward(self, dy: Any, cache: Any) -> Any:
        """Return dx."""
        return dy * (1 - cache * cache)


def cases(rng: numpy.random.Generator) -> list[Case]:
    """Two linear layers with tanh between them, called twice, as D is."""

    def given(n: int, m: int, a: int, b: int, c: int) -> dict[str, Any]:
        shapes = {
            "real": (n, a),
            "fake": (m, a),
            "w1": (a, b),
            "b1": (b,),
            "w2": (b, c),
            "b2": (c,),
            "d_real": (n, c),
            "d_fake": (m, c),
        }
        return {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    return [
        Case("one sample, one number everywhere", given(1, 1, 1, 1, 1)),
        Case("one sample", given(1, 1, 2, 3, 2)),
        Case("5 and 6 samples, of 3, 4 and 2 numbers", given(5, 6, 3, 4, 2)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Forward for reals and fakes, then backward for reals and fakes."""
    first, second = code.Linear(given.w1, given.b1), code.Linear(given.w2, given.b2)
    chain = code.Chain([first, Tanh(), second])
    y, one = several(chain.forward(given.real), "y, cache", "Chain.forward")
    given.done["y"] = y
    if given.interlude:
        _, two = several(chain.forward(given.fake), "y, cache", "Chain.forward")
        (dx,) = several(chain.backward(given.d_real, one), "dx", "Chain.backward")
    else:
        (dx,) = several(chain.backward(given.d_real, one), "dx", "Chain.backward")
        _, two = several(chain.forward(given.fake), "y, cache", "Chain.forward")
    once = {"dw1": first.dw * 1, "db1": first.db * 1, "dw2": second.dw * 1, "db2": second.db * 1}
    several(chain.forward(given.fake), "y, cache", "Chain.forward")
    between = first.dw * 1
    (dx2,) = several(chain.backward(given.d_fake, two), "dx", "Chain.backward")
    both = {"dw1_both": first.dw, "db1_both": first.db, "dw2_both": second.dw}
    return {"y": y, "dx": dx, **once, "dx_fake": dx2, **both, "_between": between}


BACK = "class Linear(Linear):\n    def backward(self, dy, cache):\n"
CHAIN = "class Chain(Chain):\n    def backward(self, dy, cache):\n"
OUTPUTS = {
    "y": Output("the output of the chain for the first batch", part="forward"),
    "dx": Output("the gradient of the first batch", Slope("y", "d_real", "real"), "dx"),
    "dw1": Output("dw of the first layer, after one call", Slope("y", "d_real", "w1"), "weights"),
    "db1": Output("db of the first layer, after one call", Slope("y", "d_real", "b1"), "weights"),
    "dw2": Output("dw of the last layer, after one call", Slope("y", "d_real", "w2"), "weights"),
    "db2": Output("db of the last layer, after one call", Slope("y", "d_real", "b2"), "weights"),
    "dx_fake": Output("the gradient of the second batch", part="dx"),
    "dw1_both": Output("dw of the first layer, after both calls", part="sums"),
    "db1_both": Output("db of the first layer, after both calls", part="sums"),
    "dw2_both": Output("dw of the last layer, after both calls", part="sums"),
}
EXERCISE = Exercise(
    number=5,
    name="chain",
    title="A chain of layers, and where gradients go",
    asks=("Linear.forward", "Linear.backward", "Chain.forward", "Chain.backward"),
    outputs=OUTPUTS,
    cases=cases,
    play=play,
    solution=solution,
    variants=(
        Variant(
            "the gradient of an earlier call is overwritten: add to self.dw and self.db (+=, "
            "not =)",
            BACK + "        self.dw = cache.T @ dy; self.db = dy.sum(0)\n        return dy @ "
            "self.w.T\n",
        ),
        Variant(
            "the gradient of an earlier call is overwritten: add to self.dw (+=, not =)",
            BACK + "        self.dw = cache.T @ dy; self.db += dy.sum(0)\n        return dy @ "
            "self.w.T\n",
        ),
        Variant(
            "the gradient of an earlier call is overwritten: add to self.db (+=, not =)",
            BACK + "        self.dw += cache.T @ dy; self.db = dy.sum(0)\n        return dy @ "
            "self.w.T\n",
        ),
        Variant(
            "x is kept in the layer (self.x), where the second forward call overwrites it: keep "
            "it in "
            "the cache that forward returns",
            "class Linear(Linear):\n"
            "    def forward(self, x):\n        self.x = x\n        return x @ self.w + self.b, "
            "None\n"
            "    def backward(self, dy, cache):\n"
            "        self.dw += self.x[:len(dy)].T @ dy[:len(self.x)]; self.db += dy.sum(0)\n"
            "        return dy @ self.w.T\n",
        ),
        Variant(
            "the caches are kept in the chain (self.caches), where the second forward call "
            "overwrites "
            "them: return them with y",
            "class Chain(Chain):\n"
            "    def forward(self, x):\n        y, self.c = super().forward(x); return y, None\n"
            "    def backward(self, dy, cache):\n        return super().backward(dy, self.c)\n",
        ),
        Variant(
            "the layers are gone through in the order of forward: backward begins with the last "
            "one",
            CHAIN + "        for l, c in zip(self.layers, cache): dy = l.backward(dy, c)\n      "
            "  return dy\n",
        ),
        Variant(
            "the caches are in the order of forward, the layers in that of backward: reverse both",
            CHAIN + "        for l, c in zip(self.layers[::-1], cache): dy = l.backward(dy, "
            "c)\n        return dy\n",
        ),
        Variant(
            "layers.reverse() turns the chain itself round, for later calls, too: layers[::-1] "
            "makes a reversed copy",
            CHAIN + "        self.layers.reverse()\n        for l, c in zip(self.layers, "
            "cache[::-1]): dy = l.backward(dy, c)\n        return dy\n",
        ),
        Variant(
            "every layer gets the chain's own dy: hand each one what the layer after it returned",
            CHAIN + "        for l, c in zip(self.layers[::-1], cache[::-1]): d = "
            "l.backward(dy, c)\n        return dy\n",
        ),
        Variant(
            "every layer gets the chain's own dy: hand each one what the layer after it returned",
            CHAIN + "        for l, c in zip(self.layers[::-1], cache[::-1]): d = "
            "l.backward(dy, c)\n        return d\n",
        ),
        Variant(
            "the first layer is left out",
            CHAIN + "        for l, c in zip(self.layers[:0:-1], cache[:0:-1]): dy = "
            "l.backward(dy, c)\n        return dy\n",
        ),
        Variant(
            "the last layer is left out",
            "class Chain(Chain):\n    def forward(self, x):\n        c = []\n"
            "        for l in self.layers[:-1]: x, k = l.forward(x); c.append(k)\n        "
            "return x, c\n",
        ),
        Variant(
            "a layer without weights leaves no cache: keep one for every layer",
            "class Chain(Chain):\n    def forward(self, x):\n        c = []\n"
            "        for l in self.layers:\n            x, k = l.forward(x)\n"
            "            if hasattr(l, 'w'): c.append(k)\n        return x, c\n",
        ),
        Variant(
            "layers without weights are left out: send x through all of them",
            "class Chain(Chain):\n    def forward(self, x):\n        c = []\n"
            "        for l in self.layers:\n            k = None\n"
            "            if hasattr(l, 'w'): x, k = l.forward(x)\n"
            "            c.append(k)\n        return x, c\n"
            "    def backward(self, dy, cache):\n"
            "        for l, k in list(zip(self.layers, cache))[::-1]:\n"
            "            if hasattr(l, 'w'): dy = l.backward(dy, k)\n        return dy\n",
        ),
        Variant(
            "every layer gets the chain's own x: hand each one what the layer before it returned",
            "class Chain(Chain):\n    def forward(self, x):\n        c = []\n"
            "        for l in self.layers: y, k = l.forward(x); c.append(k)\n        return y, c\n",
        ),
        Variant(
            "the gradient of an earlier call is overwritten: add to self.dw and self.db (+=, "
            "not =)",
            BACK + "        self.dw *= 0; self.db *= 0\n        return super().backward(dy, "
            "cache)\n",
        ),
        Variant(
            "forward sets the gradients to 0: whoever takes the step does that, once for all calls",
            "class Linear(Linear):\n    def forward(self, x):\n        self.dw *= 0; self.db *= 0\n"
            "        return super().forward(x)\n",
        ),
        Variant(
            "db is never written",
            BACK + "        self.dw += cache.T @ dy\n        return dy @ self.w.T\n",
        ),
        Variant(
            "dw is never written",
            BACK + "        self.db += dy.sum(0)\n        return dy @ self.w.T\n",
        ),
        Variant(
            "it is divided by the batch size N: a layer sums over the samples, a mean is up to "
            "the loss",
            BACK + "        self.dw += cache.T @ dy / len(dy); self.db += dy.mean(0)\n        "
            "return dy @ self.w.T\n",
        ),
        Variant(
            "the gradient is subtracted: add it (+=); the optimizer is what subtracts",
            BACK + "        self.dw -= cache.T @ dy; self.db -= dy.sum(0)\n        return dy @ "
            "self.w.T\n",
        ),
        Variant(
            "the bias is forgotten",
            "class Linear(Linear):\n    def forward(self, x): return x @ self.w, x\n",
        ),
    ),
    hints=(
        "The cache of the chain is the list of its layers' caches.",
        "backward is forward in reverse: the last layer gets dy, and what each one returns is "
        "the dy of "
        "the one before it. Walk through layers[::-1] and caches[::-1] together.",
        "In Linear.backward: self.dw += cache.T @ dy and self.db += dy.sum(axis=0), where cache "
        "is the x "
        "of that call. Nothing of a call may live in self.",
    ),
    explanation=(
        "That gradients add up isn't a convention but the sum rule: D's loss is a sum over two "
        "calls. And "
        "the cache belongs to the call, not to the layer, so any number of calls may be under "
        "way at a "
        "time. Many frameworks keep it in the layer; then D(fake) overwrites what D(real) "
        "needs, and the "
        "order of the calls decides whether a GAN learns."
    ),
    library="minigan/nn/sequential.py, minigan/nn/cache.py",
    paper="Griewank and Walther 2008, chapter 3",
    tutorial="02-backpropagation",
)
