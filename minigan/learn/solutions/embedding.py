"""Exercise 23: labels: the embedding, and the projection discriminator.

An embedding looks up a row for each label. A projection discriminator adds to its logit the product
of the features with the row of the label:

    logit_n = h_n · w + b + h_n · table[label_n].

Labels repeat in a batch; a row that is used twice gets both gradients.

Tutorial 13 derives it. Miyato and Koyama 2018.
"""

import numpy as np


def embed_forward(table, labels):
    """Look rows up.

    Given: table (K, C); labels (N,), whole numbers from 0 to K - 1.
    Asked: y (N, C), and a cache: return y, cache.
    """
    return table[labels], (labels, table.shape)


def embed_backward(dy, cache):
    """Pull dy (N, C) back; return dtable (K, C)."""
    labels, shape = cache
    dtable = np.zeros(shape, dy.dtype)
    np.add.at(dtable, labels, dy)
    return dtable


def project_forward(h, table, labels, w, b):
    """Judge features together with labels.

    Given: h (N, C), table (K, C), labels (N,), w (C, 1), b (1,).
    Asked: logits (N, 1), and a cache: return logits, cache.
    """
    rows = table[labels]
    return h @ w + b + (h * rows).sum(axis=1, keepdims=True), (h, rows, labels, table.shape, w)


def project_backward(dy, cache):
    """Pull dy (N, 1) back; return dh (N, C), dtable (K, C), dw (C, 1), db (1,)."""
    h, rows, labels, shape, w = cache
    dtable = np.zeros(shape, dy.dtype)
    np.add.at(dtable, labels, dy * h)
    return dy * (w.T + rows), dtable, h.T @ dy, dy.sum(axis=0)
