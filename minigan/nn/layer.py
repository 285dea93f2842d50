"""What every layer is: a forward map, its backward map, and the cache that joins the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.parameter import Flat, Parameter, flatten

Shape = tuple[int, ...]


class Cache:
    """What one forward call leaves for the backward call that belongs to it.

    A cache belongs to a call, not to a layer: D(real) and D(fake) can't overwrite each other's.

    Parameters
    ----------
    owner
        The layer that made it.
    y
        The output of the forward call (only its shape is kept).
    saved
        What the backward map needs.
    """

    __slots__ = ("owner", "saved", "y_shape")

    def __init__(self, owner: Layer, y: Array, *saved: Any) -> None:
        self.owner = owner
        self.y_shape: Shape = tuple(y.shape)
        self.saved = saved

    def recall(self, owner: Layer, dy: Array | Signals, v: Array | None = None) -> tuple[Any, ...]:
        """Hand out what was saved, to the layer that saved it and a cotangent (and a tangent) that
        fits.

        Raises
        ------
        ValueError
            If the cache was made by another layer, `dy` hasn't the shape of the output, or `v` not
            that of the input.
        TypeError
            If `dy` is no array of floating-point numbers.
        """
        if self.owner is not owner:
            raise ValueError(
                f"{owner!r}.backward got the cache of {self.owner!r}; pass the cache that its own "
                "forward "
                f"returned together with this output."
            )
        if isinstance(dy, Signals):
            return self.saved
        _require_floating(owner, dy, "cotangent dy")
        if tuple(dy.shape) != self.y_shape:
            raise ValueError(
                f"{owner!r}.backward got a cotangent of shape {tuple(dy.shape)}, but its output "
                "had shape "
                f"{self.y_shape}; dy must have the shape of y."
            )
        if v is not None:
            self.check_tangent(owner, v)
        return self.saved

    def check_tangent(self, owner: Layer, v: Array) -> None:
        """Refuse a tangent `v` that hasn't the shape of the input."""
        _require_floating(owner, v, "tangent v")
        if tuple(owner.output_shape(tuple(v.shape))) != self.y_shape:
            raise ValueError(
                f"{owner!r}.double_backward got a tangent of shape {tuple(v.shape)}, which "
                "doesn't belong to an "
                f"output of shape {self.y_shape}; v must have the shape of x."
            )


class Signals(tuple[Any, ...]):
    """The cotangents that one backward walk met: for each layer inside an array, or again
    `Signals`.
    """


class Layer:
    """Base of all layers and nets.

    A layer of your own defines ``forward(x, *, train=True) -> (y, cache)`` and
    ``backward(dy, cache, *, param_grads=True, input_grad=True) -> dx``, keeps what it learns in
    attributes that are `Parameter`, and may define `output_shape` for shape checks and `summary`,
    and `double_backward` for gradient penalties. With ``alone = True`` it promises that each sample
    is mapped by itself, so that two batches may go through it in one pass. Arrays that belong to
    the state but aren't learnt (running statistics) are named in `buffer_names`.
    """

    buffer_names: ClassVar[tuple[str, ...]] = ()

    alone: ClassVar[bool] = False
    """Whether each sample is mapped by itself. Said by each class for itself alone: a subclass may
    do otherwise.
    """

    # ---------------------------------------------------------------- the two maps

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map `x` to `y`.

        Parameters
        ----------
        x
            The input, batch first, channels last; never written to.
        train
            Whether layers that differ between training and use (batch norm, dropout) train.

        Returns
        -------
        y
            The output.
        cache
            To be handed to `backward`, any number of times, in any order.
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
            False leaves every `grad` alone: the generator's step through the discriminator.
        input_grad
            False skips dx and returns None: nobody needs the first layer's.

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
            For `double_backward` in the place of dy: dy itself, or `Signals` if there are layers
            inside.
        """
        return self.backward(dy, cache, param_grads=False), dy

    def double_backward(
        self,
        v: Array,
        dy: Array | Signals,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        r"""Differentiate the backward map: with :math:`dx = J^T dy`, differentiate the number ⟨v,
        dx⟩.

        It depends on the parameters θ and on x through J, and on dy. As ⟨v, Jᵀdy⟩ = ⟨J v, dy⟩, its
        derivative with respect to dy is the tangent J v: v pushed up through the layer. Where J
        doesn't depend on x (linear maps, ReLU) the derivative with respect to x is exactly zero,
        and None says so: what nobody computes costs nothing.

        Parameters
        ----------
        v
            The shape of x; held constant.
        dy
            The cotangent that gave dx, the shape of y; held constant. Or the signals from
            `backward_signals`, which spare a net from walking down once more.
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
            If this layer has no second derivative; the sentence says why.
        """
        raise ValueError(
            f"{self!r} has no second derivative here: {type(self).__name__} doesn't define the "
            "method "
            "double_backward; write it, or keep this layer out of a critic with a gradient "
            "penalty."
        )

    def __call__(self, x: Array) -> Array:
        """Map `x` to `y` in evaluation mode, without a cache."""
        return self.forward(x, train=False)[0]

    # ---------------------------------------------------------------- shapes

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of y for an x of `shape`, batch included.

        Raises
        ------
        ValueError
            If no x of this shape fits; the sentence names the layer, the shape and the one needed.
        """
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Return the multiply-adds of one forward call on an x of `shape` (0: elementwise or
        none).
        """
        return 0

    def check(self, x: Array) -> Array:
        """Refuse what can't be an input; bring a floating-point input to the precision of the
        weights.

        Raises
        ------
        TypeError
            If `x` is no array, holds no floating-point numbers, or lives on another device than the
            net.
        ValueError
            If its shape doesn't fit.
        """
        _require_floating(self, x, "input")
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
                "backend.get(device).asarray(x), "
                f"or the net with net.to(device)."
            )
        return x if x.dtype == own.dtype else x.astype(own.dtype)

    # ---------------------------------------------------------------- parts

    @property
    def samplewise(self) -> bool:
        """Whether this layer and all inside it map each sample of a batch by itself; see
        `alone`.
        """
        own = bool(vars(type(self)).get("alone", False))
        return own and all(child.samplewise for _, child in self.children())

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the names and layers directly inside this one."""
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                yield name, value

    def layers(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield dotted names and layers, this one first (its name is `prefix`), then all inside
        it.
        """
        yield prefix, self
        for name, child in self.children():
            yield from child.layers(_dotted(prefix, name))

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters by dotted name, in order."""
        return {
            _dotted(prefix, name): value
            for prefix, layer in self.layers()
            for name, value in vars(layer).items()
            if isinstance(value, Parameter)
        }

    def buffers(self) -> dict[str, Array]:
        """Return all arrays that are state but aren't learnt, by dotted name, in order."""
        return {
            _dotted(prefix, name): getattr(layer, name)
            for prefix, layer in self.layers()
            for name in layer.buffer_names
        }

    def generators(self) -> dict[str, numpy.random.Generator]:
        """Return the random generators inside (dropout's), by dotted name."""
        return {
            _dotted(prefix, name): value
            for prefix, layer in self.layers()
            for name, value in vars(layer).items()
            if isinstance(value, numpy.random.Generator)
        }

    def flat(self) -> Flat:
        """Return all parameters as one flat vector, laying them out on the first call."""
        return flatten(self.parameters().values())

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self.parameters().values():
            p.grad[...] = 0

    # ---------------------------------------------------------------- state, precision, device

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers by dotted name, in order."""
        values = {name: p.value for name, p in self.parameters().items()}
        return {name: a.copy() for name, a in (values | self.buffers()).items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy arrays (of any device and floating-point precision) into this net; all or nothing.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a shape differs; nothing has changed then.
        """
        own = {name: p.value for name, p in self.parameters().items()} | self.buffers()
        missing, unknown = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or unknown:
            raise ValueError(
                f"The state doesn't fit this net: missing {sorted(missing) or 'nothing'}, unknown "
                f"{sorted(unknown) or 'nothing'}; load it into the net that it was saved from."
            )
        for name, array in own.items():
            if tuple(state[name].shape) != tuple(array.shape):
                raise ValueError(
                    f"{name!r} has shape {tuple(array.shape)} in this net, but "
                    f"{tuple(state[name].shape)} "
                    f"in the state; build the net with the sizes that it was saved with."
                )
        for name, array in own.items():
            array[...] = backend.of(array).asarray(backend.to_numpy(state[name]), dtype=array.dtype)

    def astype(self, dtype: Any) -> Self:
        """Change the precision (``"float32"`` or ``"float64"``) in place; return the net.

        Optimizers made before must be made anew.
        """
        if numpy.dtype(dtype).kind != "f":
            raise TypeError(
                f"A net computes with floating-point numbers, got dtype {dtype!r}; use 'float32'."
            )
        self._convert(lambda a: a if a.dtype == dtype else a.astype(dtype))
        return self

    def to(self, device: str | backend.Reference) -> Self:
        """Move to ``"cpu"``, ``"cuda"``, ``"auto"`` or a backend of your own in place; return the
        net.

        Optimizers made before must be made anew.

        Raises
        ------
        ValueError
            If the device is unknown or doesn't answer.
        """
        ops = backend.get(device)
        self._convert(lambda a: a if backend.of(a) is ops else ops.asarray(backend.to_numpy(a)))
        return self

    def _convert(self, change: Any) -> None:
        for p in self.parameters().values():
            value = change(p.value)
            if value is not p.value:
                p.replace(value, change(p.grad), None)
        for _, layer in self.layers():
            for name in layer.buffer_names:
                setattr(layer, name, change(getattr(layer, name)))

    def summary(self, input_shape: Shape) -> str:
        """Return a table: layers, output shapes, parameters, multiply-adds for one sample.

        Parameters
        ----------
        input_shape
            Shape of the input, with or without the batch axis: ``(28, 28, 1)`` or
            ``(64, 28, 28, 1)``.
        """
        from minigan.nn.summary import summary

        return summary(self, input_shape)


def _dotted(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _require_floating(owner: Layer, x: Any, what: str) -> None:
    kind = getattr(getattr(x, "dtype", None), "kind", None)
    if kind is None:
        raise TypeError(
            f"{owner!r} got {type(x).__name__} as {what}, but needs an array; convert it with "
            f"numpy.asarray(x, dtype='float32')."
        )
    if kind != "f":
        raise TypeError(
            f"{owner!r} got {what} of dtype {x.dtype}, but needs floating-point numbers; convert "
            "with "
            f"x.astype('float32')."
        )
