"""The reader's functions in the place of the library's layers and optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from minigan import nn, optim
from minigan.backend import Array
from minigan.nn.cache import Cache
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter

Codes = dict[str, Any]
"""The reader's solved exercises: word -> module."""


class Own(Layer):
    """A layer of the library's whose two maps are the reader's.

    Parameters
    ----------
    layer
        Lends its parameters and settings.
    forward
        Takes x and the arrays of the parameters; returns y and a cache.
    backward
        Takes dy and the cache; returns dx, then the gradients of the parameters.
    names
        Which parameters, in the order in which forward takes them.
    """

    def __init__(
        self,
        layer: Layer,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        names: tuple[str, ...] = (),
    ) -> None:
        vars(self).update(vars(layer))
        self.maps, self.names, self.named = (forward, backward), names, repr(layer)
        self.size = layer.output_shape

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y by the reader's forward."""
        arrays = [self._array(name) for name in self.names]
        y, kept = self.maps[0](x, *arrays)
        y = numpy.ascontiguousarray(y, dtype=x.dtype)
        return y, Cache(self, y, kept)

    def _array(self, name: str) -> Array:
        parameter = getattr(self, name)
        return self.absent(name) if parameter is None else parameter.value

    def absent(self, name: str) -> Array:
        """Return zeros for a bias that the library's layer has not."""
        return numpy.zeros(
            getattr(self, "out_channels", getattr(self, "out_features", 1)), "float32"
        )

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Pull dy back by the reader's backward, and add to the gradients."""
        (kept,) = cache.recall(self, dy)
        result = self.maps[1](dy, kept)
        dx, *gradients = result if isinstance(result, (tuple, list)) else (result,)
        if param_grads:
            for name, gradient in zip(self.names, gradients, strict=True):
                if getattr(self, name) is not None:
                    getattr(self, name).grad += gradient
        return numpy.ascontiguousarray(dx, dtype=dy.dtype) if input_grad else None

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """As the library's layer says."""
        return self.size(shape)

    def __repr__(self) -> str:
        return f"your {self.named}"


def _linear(layer: Any, codes: Codes) -> Layer:
    code = codes["linear"]
    return Own(layer, code.forward, code.backward, ("weight", "bias"))


def _leaky(layer: Any, codes: Codes) -> Layer:
    code, slope = codes["leaky_relu"], layer.slope
    return Own(layer, lambda x: code.forward(x, slope), code.backward)


def _relu(layer: Any, codes: Codes) -> Layer:
    code = codes["leaky_relu"]
    return Own(layer, lambda x: code.forward(x, 0.0), code.backward)


def _tanh(layer: Any, codes: Codes) -> Layer:
    code = codes["tanh"]
    return Own(layer, code.tanh_forward, code.tanh_backward)


def _conv(word: str) -> Callable[[Any, Codes], Layer]:
    def make(layer: Any, codes: Codes) -> Layer:
        code, stride, padding = codes[word], layer.window.stride[0], layer.window.padding[0]
        return Own(
            layer,
            lambda x, w, b: code.forward(x, w, b, stride, padding),
            code.backward,
            ("weight", "bias"),
        )

    return make


class OwnNorm(Own):
    """Batch norm by the reader's forward and closed form; pixels count as samples.

    Parameters
    ----------
    layer
        The library's batch norm.
    codes
        The reader's solved exercises.
    """

    buffer_names = ("running_mean", "running_var")
    gamma: Parameter
    beta: Parameter
    running_mean: Array
    running_var: Array
    momentum: float
    eps: float

    def __init__(self, layer: Any, codes: Codes) -> None:
        super().__init__(
            layer, codes["batchnorm_forward"].forward, codes["batchnorm_closed"].backward
        )
        self.names, self.given = ("gamma", "beta"), codes["batchnorm_closed"].forward

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Normalise each channel, and follow the running averages."""
        rows, gamma, beta = x.reshape(-1, x.shape[-1]), self.gamma.value, self.beta.value
        y, self.running_mean, self.running_var = self.maps[0](
            rows, gamma, beta, self.running_mean, self.running_var,
            momentum=self.momentum, eps=self.eps, train=train,
        )  # fmt: skip
        kept = self.given(rows, gamma, beta, self.eps)[1] if train else None
        y = numpy.ascontiguousarray(y, dtype=x.dtype).reshape(x.shape)
        return y, Cache(self, y, kept)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Pull dy back by the reader's closed form."""
        (kept,) = cache.recall(self, dy)
        dx, dgamma, dbeta = self.maps[1](dy.reshape(-1, dy.shape[-1]), kept)
        if param_grads:
            self.gamma.grad += dgamma
            self.beta.grad += dbeta
        return numpy.ascontiguousarray(dx, dtype=dy.dtype).reshape(dy.shape) if input_grad else None


MAKERS: dict[type[Layer], tuple[tuple[str, ...], Callable[[Any, Codes], Layer]]] = {
    nn.Linear: (("linear",), _linear),
    nn.LeakyReLU: (("leaky_relu",), _leaky),
    nn.ReLU: (("leaky_relu",), _relu),
    nn.Tanh: (("tanh",), _tanh),
    nn.BatchNorm: (("batchnorm_forward", "batchnorm_closed"), OwnNorm),
    nn.Conv2d: (("conv",), _conv("conv")),
    nn.ConvTranspose2d: (("conv_transpose",), _conv("conv_transpose")),
}
"""Layer -> the exercises that it takes, and what puts them in its place."""


def rebuilt(net: Any, codes: Codes) -> tuple[nn.Sequential, dict[str, str]]:
    """Return a net with the reader's layers where they are solved; and whose each kind is."""
    layers, whose = [], {}
    for layer in net:
        words, make = MAKERS.get(type(layer), ((), None))
        mine = make is not None and all(word in codes for word in words)
        layers.append(make(layer, codes) if make is not None and mine else layer)
        if make is not None:
            whose[type(layer).__name__] = "yours" if mine else "the library's"
    return nn.Sequential(*layers), whose


class Player:
    """A net as the training steps see it: forward, backward, zero_grad.

    Parameters
    ----------
    net
        The net.
    optimizer
        Knows its flat vector of gradients.
    """

    def __init__(self, net: Layer, optimizer: optim.Optimizer) -> None:
        self.net, self._optimizer = net, optimizer

    def forward(self, x: Any) -> tuple[Array, Any]:
        """Map x to y; return y, cache."""
        return self.net.forward(numpy.asarray(x, "float32"))

    def backward(self, dy: Any, cache: Any, param_grads: bool = True) -> Any:
        """Pull dy back; return dx."""
        return self.net.backward(numpy.asarray(dy, "float32"), cache, param_grads=param_grads)

    def zero_grad(self) -> None:
        """Set the gradients to 0."""
        self._optimizer.zero_grad()


class OwnAdam(optim.Optimizer):
    """Adam, by the reader's step.

    Parameters
    ----------
    net
        The net that it moves.
    step
        The reader's ``adam_step``.
    lr
        The learning rate.
    betas
        β1 and β2.
    """

    vector_names = ("m", "v")
    m: Array
    v: Array

    def __init__(
        self, net: Layer, *, step: Callable[..., Any], lr: float, betas: tuple[float, float]
    ) -> None:
        super().__init__(net, lr=lr)
        self.take, self.betas = step, betas

    def update(self, theta: Array, g: Array) -> None:
        """Move theta by the reader's step."""
        beta1, beta2 = self.betas
        options = {"lr": self.lr, "beta1": beta1, "beta2": beta2, "eps": 1e-8}
        theta[...], self.m, self.v = self.take(theta, g, self.m, self.v, self.t, **options)


def adam(net: Layer, codes: Codes, lr: float, beta1: float) -> optim.Optimizer:
    """Return the reader's Adam if it is solved, else the library's."""
    if "adam" not in codes:
        return optim.Adam(net, lr=lr, betas=(beta1, 0.999))
    return OwnAdam(net, step=codes["adam"].adam_step, lr=lr, betas=(beta1, 0.999))


def loss(codes: Codes) -> Callable[..., Any] | None:
    """Return the reader's cross entropy, made to take a number as target; None if unsolved."""
    if "bce" not in codes:
        return None
    own = codes["bce"].bce_with_logits
    return lambda logits, target: own(logits, numpy.full(len(logits), target, logits.dtype))
