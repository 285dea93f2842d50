"""The base class of layers: a forward map, its backward map, and their shapes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape, Signals, caches_checked, require_floating
from minigan.nn.checks import sizes_checked
from minigan.nn.keywords import named_in_words
from minigan.nn.parameter import Parameter
from minigan.nn.state import State
from minigan.nn.summary import Row, html, table


class Layer(State):
    """The base class of all layers and nets.

    A layer of your own defines ``forward(x, *, train=True) -> (y, cache)`` and
    ``backward(dy, cache, *, param_grads=True, input_grad=True) -> dx``, and may define
    `output_shape` for shape checks and `summary`, and `double_backward` for gradient penalties.

    What it learns is kept in attributes of type `Parameter`, or in lists, tuples and dicts of them;
    layers that it is made of are found in the same places (see `minigan.nn.tree`). Arrays that are
    part of the state but aren't learnt (running statistics) are named in `buffer_names`.

    ``class Mine(nn.Layer, samplewise=True)`` promises that each sample of a batch is mapped
    independently, so that two batches may go through in one pass (see `minigan.nn.two_batches`).
    The promise isn't inherited: a subclass may do otherwise, so it must make the promise again.
    """

    _samplewise: ClassVar[bool] = False

    def __init_subclass__(cls, *, samplewise: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._samplewise = samplewise
        named_in_words(cls)
        if cls.__module__.startswith("minigan."):
            caches_checked(cls)
        if cls.__module__.startswith("minigan.nn."):
            sizes_checked(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(vars(self).get(name), Parameter) and not isinstance(
            value, (Parameter, type(None))
        ):
            raise TypeError(
                f"The {name} of {self!r} is a Parameter, and {type(value).__name__} in its place "
                f"would never be trained; set its numbers with layer.{name}.value = array."
            )
        # A number of NumPy's would make float64 of float32; one of Python's takes on its dtype.
        super().__setattr__(name, float(value) if isinstance(value, numpy.floating) else value)

    @property
    def samplewise(self) -> bool:
        """Whether this layer and all inside it map each sample of a batch independently."""
        return all(type(layer)._samplewise for _, layer in self.layers())

    # ---------------------------------------------------------------- the two maps

    def forward(self, x: Any, *, train: bool = True) -> tuple[Array, Cache]:
        """Map `x` to `y`.

        Parameters
        ----------
        x
            The input, batch first, channels last; never written to. An array, or with its labels a
            pair (see `minigan.nn.conditional`): each layer's own forward says which.
        train
            Whether layers that differ between training and evaluation (batch norm, dropout) are in
            training mode.

        Returns
        -------
        y
            The output.
        cache
            To be passed to `backward`, any number of times, in any order.
        """
        raise TypeError(f"{type(self).__name__} defines no forward map; write its method forward.")

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Pull the cotangent `dy` back: ADD the parameters' gradients to their `grad`, return `dx`.

        Parameters
        ----------
        dy
            dL/dy, the shape of y; never written to.
        cache
            From the forward call that made y.
        param_grads
            False leaves every `grad` alone, for the generator's step through the discriminator.
        input_grad
            False skips dx and returns None, for a net whose input has no use for a gradient.

        Returns
        -------
        dx
            dL/dx, the shape of x, or None.
        """
        raise TypeError(
            f"{type(self).__name__} defines no backward map; write its method backward."
        )

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Array | Signals]:
        """Pull `dy` back without parameter gradients, and keep the cotangents met on the way.

        Returns
        -------
        dx
            As `backward` returns it.
        signals
            For `double_backward`, in place of dy: dy itself, or `Signals` if there are layers
            inside.
        """
        dx: Any = self.backward(dy, cache, param_grads=False)  # not None: input_grad is True
        return dx, dy

    def double_backward(
        self, v: Array, dy: Any, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> tuple[Array | None, Array]:
        r"""Differentiate the backward map :math:`dx = J^T dy`, as the number ⟨v, dx⟩.

        It depends on the parameters θ and on x through J, and on dy. As ⟨v, Jᵀdy⟩ = ⟨J v, dy⟩, its
        derivative with respect to dy is the tangent J v: v pushed up through the layer. Where J
        doesn't depend on x (linear maps, ReLU) the derivative with respect to x is exactly zero;
        None stands for it, and costs nothing.

        Parameters
        ----------
        v
            The shape of x; held constant.
        dy
            The cotangent that gave dx, the shape of y; held constant. Or, if there are layers
            inside, the `Signals` from `backward_signals`, which save a net another backward
            pass.
        cache
            From the forward call that made y.
        param_grads
            True ADDS ∂⟨v, dx⟩/∂θ to every parameter's `grad`.
        input_grad
            False skips the first return value.

        Returns
        -------
        dx
            ∂⟨v, dx⟩/∂x, the shape of x; None stands for zeros.
        tangent
            ∂⟨v, dx⟩/∂dy = J v, the shape of y.

        Raises
        ------
        ValueError
            If this layer has no second derivative; the message says why.
        """
        raise ValueError(
            f"{self!r} has no second derivative: {type(self).__name__} doesn't define the method "
            "double_backward; write it, or keep this layer out of a critic with a gradient penalty."
        )

    def __call__(self, x: Any) -> Array:
        """Map `x` to `y` in evaluation mode, without a cache."""
        return self.forward(x, train=False)[0]

    # ---------------------------------------------------------------- shapes

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of y for an x of `shape`, batch included.

        Raises
        ------
        ValueError
            If no x of this shape fits; the message names the layer, the shape and the one needed.
        """
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiply-adds of one forward call on `shape`; elementwise work counts as 0."""
        return 0

    def check(self, x: Array) -> Array:
        """Refuse an `x` that can't be an input, and cast it to the precision of the weights.

        Raises
        ------
        TypeError
            If `x` isn't an array of floating-point numbers, or isn't on the device of the net.
        ValueError
            If its shape doesn't fit.
        """
        require_floating(self, x, "input")
        self.output_shape(tuple(x.shape))
        own = None
        for value in vars(self).values():
            if isinstance(value, Parameter):
                own = value.value
                break
        if own is None:
            return x
        if not (type(x) is type(own) is numpy.ndarray or backend.same_device(x, own)):
            raise TypeError(
                f"{self!r} lives on {backend.device_of(own)!r}, but its input lives on "
                f"{backend.device_of(x)!r}; move the input there with "
                "backend.get(device).asarray(x), or the net with net.to(device)."
            )
        return x if x.dtype == own.dtype else x.astype(own.dtype)

    # ---------------------------------------------------------------- in words

    def __repr__(self) -> str:
        return type(self).__name__

    def _repr_html_(self) -> str:
        """Show the layers and their parameters as a table, in a notebook."""
        return html([
            (name, layer, sum(p.size for p in layer.parameters().values()))
            for name, layer in self.layers() if not list(layer.children())
        ])  # fmt: skip

    def summary(self, input_shape: Shape) -> str:
        """Return a table: layers, output shapes, parameters, multiply-adds for one sample.

        Parameters
        ----------
        input_shape
            Shape of the input, with or without the batch axis: ``(28, 28, 1)`` or
            ``(64, 28, 28, 1)``.
        """
        shape = self._with_batch(tuple(input_shape))
        unique = {id(p): p for p in self.parameters().values()}
        count = sum(p.size for p in unique.values())
        rows = self._summary_rows(shape, "")
        return table(shape, rows, count, self.multiply_adds((1, *shape[1:])))

    def _summary_rows(self, shape: Shape, name: str) -> list[Row]:
        """Return the rows of `summary` for an x of `shape`; a chain has one for each layer."""
        count = sum(p.size for p in self.parameters().values())
        return [Row(name, repr(self), self.output_shape(shape), count, self.multiply_adds(shape))]

    def _with_batch(self, shape: Shape) -> Shape:
        """Accept a shape with or without the batch axis, whichever fits."""
        try:
            self.output_shape((1, *shape))
        except ValueError as error:
            try:
                self.output_shape(shape)
            except (ValueError, IndexError):
                raise error from None
            return (1, *shape[1:])
        return (1, *shape)


def require_layers(name: str, *layers: Any) -> None:
    """Refuse what isn't a layer; `name` is that of the layer that is to hold it."""
    for layer in layers:
        if not isinstance(layer, Layer):
            raise TypeError(
                f"{name} needs layers, got {type(layer).__name__}; derive layers of your own from "
                "minigan.nn.Layer."
            )
