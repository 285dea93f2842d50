"""Exercise 5: a chain of layers, and where gradients go.

From functions to objects. A layer keeps its weights and their gradients; what one call of forward
leaves for backward goes into the cache that it returns, not into the layer: D judges real and fake
samples one after the other, and the second call mustn't overwrite what the first one kept.
Gradients are ADDED (+=), for the same reason: both calls contribute to one step.

Tutorial 2 derives it.
"""

import numpy as np


class Linear:
    """A linear layer that holds its weights (given), and dw and db, their gradients (given)."""

    def __init__(self, w, b):
        self.w, self.b = w, b
        self.dw, self.db = np.zeros_like(w), np.zeros_like(b)

    def forward(self, x):
        """Map x (N, in) to y (N, out); return y, cache."""
        return x @ self.w + self.b, x

    def backward(self, dy, cache):
        """Add to self.dw and self.db the gradients that dy gives; return dx."""
        self.dw += cache.T @ dy
        self.db += dy.sum(axis=0)
        return dy @ self.w.T


class Chain:
    """Layers, each of which takes what the one before gives.

    Each has forward(x), which returns y and a cache, and backward(dy, cache), which returns dx.
    """

    def __init__(self, layers):
        self.layers = layers

    def forward(self, x):
        """Send x through all layers, first to last; return y and a cache that holds theirs."""
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(x)
            caches.append(cache)
        return x, caches

    def backward(self, dy, cache):
        """Send dy back through all layers, last to first; return dx."""
        for layer, own in zip(self.layers[::-1], cache[::-1], strict=True):
            dy = layer.backward(dy, own)
        return dy
