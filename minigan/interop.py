"""Weights to and from PyTorch, as the state dict of an equivalent ``torch.nn.Sequential``.

PyTorch isn't imported. The functions take arrays or tensors by name and return NumPy arrays by
name::

    net.load_state_dict(interop.from_torch(net, torch_net.state_dict(), input_shape=(28, 28, 1)))
    arrays = interop.to_torch(net, input_shape=(28, 28, 1))
    torch_net.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})

"Equivalent" means a net of the same layers in the same order: Linear, convolutions of one and two
dimensions, BatchNorm1d or 2d, LayerNorm, InstanceNorm2d, GroupNorm, Embedding, PReLU,
spectral_norm, pooling, activations, Flatten, and Unflatten for Reshape. Layers that PyTorch lacks,
such as Residual, SelfAttention and Projection, stand for modules of one's own whose parts have the
same names; `minigan.export.torch_source` writes such modules. So does a LayerNorm of the channels
alone, in an image or a sequence: PyTorch's own would normalise over the last axis.

Where the modules have the names of the net's layers, they are matched by name, whatever their
order; otherwise in order, so names may differ (``main.0.weight``, ``module.0.weight``). A
safetensors file holds its names in alphabetical order, 0, 1, 10, 11, 2; numbers are therefore put
in order first, and a state whose order can't be told is refused.

Three things differ between the two:

* Layouts. Ours are channels last, and a Linear weight is (in, out):

  =================  =====================  =====================
  weight             here                   PyTorch
  =================  =====================  =====================
  Linear             (in, out)              (out, in)
  Conv2d             (kh, kw, in, out)      (out, in, kh, kw)
  ConvTranspose2d    (kh, kw, out, in)      (in, out, kh, kw)
  Conv1d             (k, in, out)           (out, in, k)
  ConvTranspose1d    (k, out, in)           (in, out, k)
  LayerNorm          (H, W, C)              (C, H, W)
  =================  =====================  =====================

* Order. PyTorch flattens an image channel by channel, minigan pixel by pixel. Between a Flatten or
  Reshape and the nearest Linear, features are therefore in a different order, and the weights
  there, the Linear's included, are reordered. If a net takes or returns a flattened image, that
  image itself would have to be reordered: such a net is refused.
* Names. γ and β are ``weight`` and ``bias``; spectral norm's W, u and v are
  ``parametrizations.weight.original``, ``.0._u`` and ``.0._v`` (older: ``weight_orig``,
  ``weight_u``, ``weight_v``).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy

from minigan import backend, nn
from minigan.backend import Array

__all__ = ["from_torch", "to_torch"]

_CURVES = ("LeakyReLU", "ReLU", "Tanh", "Sigmoid", "ELU", "GELU", "SiLU", "Softplus", "Dropout")
_IN_TRAINING = ("InstanceNoise", "PhaseShuffle", "Augment")  # in evaluation they do nothing
_STATELESS = (
    *_CURVES, *_IN_TRAINING, "Flatten", "Reshape", "Upsample", "AveragePool", "MaxPool",
    "GlobalPool", "PixelShuffle", "PixelUnshuffle", "Pad", "Softmax", "PixelNorm",
    "MinibatchStdDev", "Maxout", "Downsample", "Blur", "Interpolate", "Resize",
)  # fmt: skip
_WITH_PARTS = ("Residual", "Skip", "Branches", "SelfAttention", "ConcatenateLabels")
_KEEPS_ORDER = (
    *_CURVES, *_IN_TRAINING, "BatchNorm", "LayerNorm", "PReLU", "Softmax", "PixelNorm",
)  # fmt: skip
_GIVES_ORDER, _TAKES_ORDER = (
    ("Linear", "Flatten", "Reshape"),
    ("Linear", "Reshape", "Projection", "Branches"),
)
_COUNTER = "num_batches_tracked"

# PyTorch's names of parameters, by their role.
_LEARNT = {"weight": "weight", "bias": "bias", "scale": "weight", "shift": "bias"}

# PyTorch's axes, in our order.
_AXES = {"Linear": (1, 0), "Conv2d": (2, 3, 1, 0), "ConvTranspose2d": (2, 3, 1, 0)}
_AXES |= {"Conv1d": (2, 1, 0), "ConvTranspose1d": (2, 1, 0)}
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)


def from_torch(
    net: nn.Layer, state: Mapping[str, Any], *, input_shape: tuple[int, ...] | None = None
) -> dict[str, Array]:
    """Convert the state dict of an equivalent ``torch.nn.Sequential`` to one for `net`.

    Parameters
    ----------
    net
        A Sequential; it isn't changed.
    state
        Arrays or tensors by name, in the net's order, as ``state_dict()`` or
        ``safetensors.numpy.load_file`` return them; or a dictionary with one such state among other
        things, such as ``{"epoch": ..., "model_state_dict": ...}``. Counters
        (``num_batches_tracked``) are ignored.
    input_shape
        Shape of an input, without the batch axis: ``(28, 28, 1)``, ``(100,)``. Needed only if there
        is a Flatten or Reshape, or a LayerNorm of the channels alone beside convolutions.

    Returns
    -------
    dict
        For ``net.load_state_dict``: NumPy arrays, of the same dtypes as those of `state`.

    Raises
    ------
    ValueError
        If the net holds a layer without a counterpart, or the state doesn't fit the net, or its
        order can't be told.
    TypeError
        If a value of the state is neither an array nor a tensor.
    """
    layers = list(_layers_with_state(net, input_shape))
    modules = _modules(state := _weights(state))
    if {name for name, _ in layers} == modules.keys():
        modules = {name: modules[name] for name, _ in layers}
    else:
        modules = _in_order(modules, trusted=_keeps_order(state))
    if len(modules) != len(layers):
        raise ValueError(
            f"The state has {len(modules)} modules with weights ({', '.join(modules) or 'none'}), "
            f"but the net has {len(layers)} layers with weights "
            f"({', '.join(name for name, _ in layers) or 'none'}); give the state of an equivalent "
            "net."
        )
    converted = {}
    for (name, entries), (module, arrays) in zip(layers, modules.items(), strict=True):
        left = dict(arrays)
        for entry in entries:
            alias = next((alias for alias in entry.aliases if alias in left), None)
            if alias is None:
                raise ValueError(
                    f"The module {module!r} has no {entry.aliases[0]!r}, which layer {name!r} of "
                    "the net needs; give the state of an equivalent net."
                )
            converted[_joined(name, entry.name)] = entry.to_ours(
                _joined(module, alias), left.pop(alias)
            )
        if left:
            raise ValueError(
                f"The module {module!r} has a {min(left)!r}, which layer {name!r} of the net "
                "doesn't have; give the state of an equivalent net."
            )
    return converted


def to_torch(net: nn.Layer, *, input_shape: tuple[int, ...] | None = None) -> dict[str, Array]:
    """Return the state dict of the equivalent ``torch.nn.Sequential``.

    Parameters
    ----------
    net
        A Sequential, on any device.
    input_shape
        As in `from_torch`.

    Returns
    -------
    dict
        NumPy arrays by PyTorch's names; ``torch.from_numpy`` turns them into tensors.

    Raises
    ------
    ValueError
        If the net holds a layer without a counterpart.
    """
    ours = {name: backend.to_numpy(array) for name, array in net.state_dict().items()}
    state: dict[str, Array] = {}
    for name, entries in _layers_with_state(net, input_shape):
        state |= {
            _joined(name, e.aliases[0]): e.to_torch(ours[_joined(name, e.name)]) for e in entries
        }
        if any(entry.name == "running_mean" for entry in entries):
            state[_joined(name, _COUNTER)] = numpy.array(0)
    return state


# ---------------------------------------------------------------- one array


@dataclass(frozen=True)
class _Entry:
    """One array of a layer's state, and how it is laid out in PyTorch.

    Attributes
    ----------
    name
        Our name for it, within the layer.
    aliases
        PyTorch's names, within the module; the first is written, all are read.
    shape
        Its shape in PyTorch.
    view
        What PyTorch's array is reshaped to first, if it is stored flat.
    axes
        PyTorch's axes, in our order.
    orders
        For each axis of ours on which the order differs: PyTorch's index of each of our features.
    flat
        Whether our array is stored flat.
    """

    name: str
    aliases: tuple[str, ...]
    shape: tuple[int, ...]
    view: tuple[int, ...] | None = None
    axes: tuple[int, ...] | None = None
    orders: Mapping[int, Any] = field(default_factory=dict)
    flat: bool = False

    @property
    def _seen(self) -> tuple[int, ...]:
        return self.view or self.shape

    @property
    def _order(self) -> tuple[int, ...]:
        return self.axes or tuple(range(len(self._seen)))

    def to_ours(self, key: str, value: Any) -> Array:
        array = _plain(key, value)
        if array.shape != self.shape:
            raise ValueError(
                f"{key!r} has shape {array.shape}, but the net needs {self.shape}; give the state "
                "of an equivalent net."
            )
        array = array.reshape(self._seen).transpose(self._order)
        for axis, order in self.orders.items():
            array = array.take(order, axis=axis)
        return numpy.ascontiguousarray(array).reshape(-1 if self.flat else array.shape)

    def to_torch(self, array: Array) -> Array:
        array = array.reshape([self._seen[axis] for axis in self._order])
        for axis, order in self.orders.items():
            array = array.take(numpy.argsort(order), axis=axis)
        return numpy.ascontiguousarray(array.transpose(numpy.argsort(self._order))).reshape(
            self.shape
        )


def _plain(key: str, value: Any) -> Any:
    if not _is_array(value):
        raise TypeError(
            f"{key!r} is {type(value).__name__}, but an array or a tensor is needed; convert it "
            "first."
        )
    if hasattr(value, "detach"):
        value = _detached(key, value)
    array = backend.to_numpy(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{key!r} is {array.dtype}, but real numbers are needed; convert it first.")
    return array


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _detached(key: str, tensor: Any) -> Any:
    """Bring a tensor to NumPy; what NumPy has no type for, such as bfloat16, exactly as float32."""
    try:
        tensor = tensor.detach().cpu()
        narrow = tensor.is_floating_point() and tensor.dtype.itemsize <= 2
        half = str(tensor.dtype) == "torch.float16"
        return (tensor.float() if narrow and not half else tensor).numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"{key!r} can't be turned into a NumPy array ({str(error).splitlines()[0]}); convert "
            "it first."
        ) from None


# ---------------------------------------------------------------- the state


def _weights(state: Any) -> Mapping[str, Any]:
    """Return the state among the things that a checkpoint of PyTorch holds."""
    if not isinstance(state, Mapping) and hasattr(state, "state_dict"):
        state = state.state_dict()
    if not isinstance(state, Mapping):
        raise TypeError(
            f"The state is {type(state).__name__}, but arrays or tensors by name are needed; give "
            "torch_net.state_dict()."
        )
    found = [
        name for name, value in state.items()
        if isinstance(value, Mapping) and value and all(map(_is_array, value.values()))
    ]  # fmt: skip
    if len(found) > 1:
        raise ValueError(
            f"This holds several states, {', '.join(map(repr, found))}; give one of them, "
            f"state[{found[0]!r}] for example."
        )
    return state[found[0]] if found else state


def _keeps_order(state: Mapping[str, Any]) -> bool:
    """Whether the order of a state was chosen, rather than that of a file."""
    return isinstance(state, OrderedDict) or hasattr(state, "_metadata")


def _in_order(
    modules: dict[str, dict[str, Any]], *, trusted: bool = False
) -> dict[str, dict[str, Any]]:
    """Put modules in the order of a net, as far as their names tell it."""
    names = list(modules)
    sort_all = names == sorted(names) and not trusted
    if sort_all:
        _refuse_unknown_order(modules)
    paths = [tuple(name.split(".")) for name in names]
    return {name: modules[name] for name in map(".".join, _ordered(paths, sort_all))}


def _ordered(paths: list[tuple[str, ...]], sort_all: bool) -> list[tuple[str, ...]]:
    """Sort the numbers at each level of dotted names; with `sort_all`, those of names like fc1 too.

    Names of different words keep their places.
    """
    below: dict[str, list[tuple[str, ...]]] = {}
    for first, *rest in paths:
        below.setdefault(first, []).append(tuple(rest))
    ordered = []
    for first in _counted(list(below), sort_all):
        own = [path for path in below[first] if not path]
        inner = _ordered([path for path in below[first] if path], sort_all)
        ordered += [(first, *path) for path in own + inner]
    return ordered


def _counted(names: list[str], sort_all: bool) -> list[str]:
    """Sort names that differ only by the number at their end, within the places that they have."""
    counted = list(names)
    for stem in {_stem(name) for name in names}:
        places = [i for i, name in enumerate(names) if _stem(name) == stem != name]
        if not stem or sort_all:
            by_number = sorted((names[i] for i in places), key=lambda name: int(name[len(stem) :]))
            for i, name in zip(places, by_number, strict=True):
                counted[i] = name
    return counted


def _stem(name: str) -> str:
    return re.sub(r"\d+$", "", name)


def _refuse_unknown_order(modules: dict[str, dict[str, Any]]) -> None:
    """Refuse names in alphabetical order, if modules with different ones could be exchanged."""
    seen: dict[Any, str] = {}
    for name, arrays in modules.items():
        form = frozenset((key, tuple(getattr(a, "shape", ()))) for key, a in arrays.items())
        other = seen.setdefault(form, name)
        pairs = zip(other.split("."), name.split("."), strict=False)
        mine, theirs = next(((a, b) for a, b in pairs if a != b), ("", ""))
        if _stem(mine) != _stem(theirs):
            raise ValueError(
                f"The names of the state are in alphabetical order, as a file has them, and "
                f"{other!r} and {name!r} have the same shapes, so it can't be told which comes "
                "first in the net; give a collections.OrderedDict in the net's order."
            )


def _modules(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort a state by module: ``{"0": {"weight": ..., "bias": ...}, ...}``."""
    modules: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        within = re.search(r"(parametrizations\..*|[^.]+)$", key)
        name = within.group() if within else key
        if name != _COUNTER:
            modules.setdefault(key.removesuffix(name).rstrip("."), {})[name] = value
    return modules


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


# ---------------------------------------------------------------- the net


def _leaves(layer: nn.Layer, prefix: str = "") -> Iterator[tuple[str, nn.Layer]]:
    if isinstance(layer, nn.Sequential):
        for name, child in layer.children():
            yield from _leaves(child, _joined(prefix, name))
        return
    if isinstance(layer, nn.Projection):
        yield from _leaves(layer.body, _joined(prefix, "body"))
    yield prefix, layer


def _kind(layer: nn.Layer) -> str:
    return type(layer.layer if isinstance(layer, nn.SpectralNorm) else layer).__name__


def _layers_with_state(
    net: nn.Layer, input_shape: tuple[int, ...] | None, prefix: str = "", order: Any = None
) -> Iterator[tuple[str, list[_Entry]]]:
    """Yield the name and the arrays of each layer that has any; `order` is that of the input."""
    leaves = list(_leaves(net, prefix))
    for name, layer in leaves:
        kind = _kind(layer)
        if kind in _STATELESS and not layer.state_dict():
            continue
        if kind not in _ENTRIES and kind not in _WITH_PARTS:
            raise ValueError(
                f"Layer {name!r} of the net, {layer!r}, has no known counterpart in PyTorch; of "
                f"layers with weights, use only {', '.join((*_ENTRIES, *_WITH_PARTS))}."
            )
    shapes, orders = _shapes(leaves, input_shape), _Orders(leaves, input_shape, order)
    for i, (name, layer) in enumerate(leaves):
        shape = shapes[i][1:] if shapes else None
        if _kind(layer) in _WITH_PARTS:
            yield from _of_parts(name, layer, shape, orders[i])
        elif layer.state_dict():
            rank = len(shape) if shape else None
            yield name, _entries(layer, rank, orders[i], orders[i + 1])
        if isinstance(layer, nn.Projection):
            yield _joined(name, "embedding"), _of_labels(layer.embedding, orders[i])


def _of_parts(
    name: str, layer: nn.Layer, shape: tuple[int, ...] | None, order: Any
) -> Iterator[tuple[str, list[_Entry]]]:
    """Yield the arrays of a layer with parts: its own ones, then theirs."""
    own = [(key, array) for key, array in layer.state_dict().items() if "." not in key]
    if own:
        yield name, [_vector(key, key, array.shape, None) for key, array in own]
    same_input = isinstance(layer, nn.Residual | nn.Skip | nn.Branches)
    for part, inner in layer.children():
        seen = shape if same_input else None
        yield from _layers_with_state(inner, seen, _joined(name, part), order)


def _shapes(
    leaves: list[tuple[str, nn.Layer]], input_shape: tuple[int, ...] | None
) -> list[tuple[int, ...]]:
    """Return the shapes before, between and after the layers, of a batch of one; [] if unknown."""
    if input_shape is None:
        if any(_kind(layer) in ("Flatten", "Reshape") for _, layer in leaves):
            raise ValueError(
                "In a net with Flatten or Reshape, the order of features depends on the shape of "
                "the input; give input_shape."
            )
        inside = [inner for _, layer in leaves for _, inner in layer.layers()]
        if any(map(_of_channels, inside)) and any(isinstance(one, _CONVOLUTIONS) for one in inside):
            raise ValueError(
                "A LayerNorm of the channels alone is another module in PyTorch where they come "
                "first; give input_shape."
            )
        return []
    shapes = [(1, *input_shape)]
    for _, layer in leaves:
        last = isinstance(layer, nn.Projection)  # its body is among the leaves
        shapes.append((1, 1) if last else tuple(layer.output_shape(shapes[-1])))
    return shapes


class _Orders:
    """At each place between layers, PyTorch's index of each of our features; None if equal."""

    def __init__(
        self,
        leaves: list[tuple[str, nn.Layer]],
        input_shape: tuple[int, ...] | None,
        given: Any = None,
    ) -> None:
        self.leaves, self.given = leaves, given is not None
        shapes = _shapes(leaves, input_shape)
        self._of: list[Any] = [None] * (len(leaves) + 1)
        if self.given:
            self._spread(0, given)
        for i, (_, layer) in enumerate(leaves):
            flattens = _kind(layer) == "Reshape" and len(shapes[i + 1]) == 2
            if (_kind(layer) == "Flatten" or flattens) and len(shapes[i]) > 2:
                self._spread(i + 1, _channels_last(shapes[i][1:]))
            if _kind(layer) == "Reshape" and len(shapes[i + 1]) > 2:
                if len(shapes[i]) != 2:
                    raise ValueError(
                        f"{layer!r} turns one image into another; put a Flatten before it."
                    )
                self._spread(i, _channels_last(shapes[i + 1][1:]))

    def __getitem__(self, place: int) -> Any:
        return self._of[place]

    def _spread(self, place: int, order: Any) -> None:
        if numpy.array_equal(order, numpy.arange(len(order))):
            return
        start = end = place
        while start > 0 and self._passes(start - 1):
            start -= 1
        while end < len(self.leaves) and self._passes(end):
            end += 1
        before, after = (
            self.leaves[i][1] if 0 <= i < len(self.leaves) else None for i in (start - 1, end)
        )
        if after is None or (before is None and not self.given):
            raise ValueError(
                "This net takes or returns a flattened image, which PyTorch orders channel by "
                "channel and minigan pixel by pixel; leave the Flatten or Reshape at its end out "
                "of the net."
            )
        for layer, kinds in ((before, _GIVES_ORDER), (after, _TAKES_ORDER)):
            if layer is not None and _kind(layer) not in kinds:
                raise ValueError(
                    f"{layer!r} is beside a flattened image, whose features have another order in "
                    "PyTorch; put a Linear between the two."
                )
        for i in range(start, end + 1):
            if self._of[i] is not None and not numpy.array_equal(self._of[i], order):
                raise ValueError(
                    "This net flattens an image and reshapes it to an image of another shape, "
                    "which means something else in PyTorch; put a Linear between the two."
                )
            self._of[i] = order

    def _passes(self, i: int) -> bool:
        return _kind(self.leaves[i][1]) in _KEEPS_ORDER


def _channels_last(shape: tuple[int, ...]) -> Any:
    """Return PyTorch's index of each entry of a flattened image (H, W, C) or sequence (L, C)."""
    *pixels, channels = shape
    first = numpy.arange(numpy.prod(shape)).reshape(channels, *pixels)
    return numpy.moveaxis(first, 0, -1).ravel()


# ---------------------------------------------------------------- layer by layer


def _entries(layer: nn.Layer, rank: int | None, before: Any, after: Any) -> list[_Entry]:
    """Return the arrays of a layer's state; `rank` is that of one sample of its input."""
    inner = layer.layer if isinstance(layer, nn.SpectralNorm) else layer
    entries: list[_Entry] = _ENTRIES[_kind(layer)](inner, rank, before, after)
    return _with_spectral_norm(entries, inner) if isinstance(layer, nn.SpectralNorm) else entries


def _affine(layer: Any, rank: int | None, before: Any, after: Any) -> list[_Entry]:
    """Linear and the convolutions; only a Linear can be where the order of features differs."""
    axes = _AXES[_kind(layer)]
    shape = tuple(layer.weight.shape[axes.index(i)] for i in range(len(axes)))
    places = ((0, before), (layer.weight.output_axis, after))
    orders = {axis: order for axis, order in places if order is not None}
    entries = [_Entry("weight", ("weight",), shape, axes=axes, orders=orders)]
    if layer.bias is not None:
        entries.append(_vector("bias", "bias", layer.bias.shape, after))
    return entries


def _vector(name: str, alias: str, shape: tuple[int, ...], order: Any) -> _Entry:
    return _Entry(name, (alias,), tuple(shape), orders={} if order is None else {0: order})


def _normalisation(layer: Any, rank: int | None, before: Any, after: Any) -> list[_Entry]:
    """BatchNorm and InstanceNorm: one number per feature."""
    learnt = [
        _vector(name, _LEARNT[p.role], p.shape, before) for name, p in layer.parameters().items()
    ]
    running = [_vector(name, name, (layer.features,), before) for name in layer.buffer_names]
    return learnt + running


def _prelu(layer: Any, rank: int | None, before: Any, after: Any) -> list[_Entry]:
    return [_vector("slope", "weight", layer.slope.shape, None if layer.channels == 1 else before)]


def _of_channels(layer: Any) -> bool:
    return isinstance(layer, nn.LayerNorm) and len(layer.shape) == 1


def _layer_norm(layer: Any, rank: int | None, before: Any, after: Any) -> list[_Entry]:
    shape = tuple(layer.shape)
    names = [(name, _LEARNT[p.role]) for name, p in layer.parameters().items()]
    if len(shape) == 1:
        own = rank is not None and rank > 1  # a module of one's own, whose parts have our names
        return [_vector(name, name if own else alias, shape, before) for name, alias in names]
    if len(shape) != (3 if rank is None else rank):
        raise ValueError(
            f"{layer!r} normalises over only some of an image's axes, which PyTorch's LayerNorm "
            "can't do with channels first; give it the whole shape (H, W, C)."
        )
    *pixels, channels = shape
    axes = (*range(1, len(shape)), 0)
    return [_Entry(name, (alias,), (channels, *pixels), axes=axes) for name, alias in names]


def _embedding(layer: Any, rank: int | None, before: Any, after: Any) -> list[_Entry]:
    return _of_labels(layer, None)


def _of_labels(layer: Any, order: Any) -> list[_Entry]:
    orders = {} if order is None else {1: order}
    return [_Entry("weight", ("weight",), tuple(layer.weight.shape), orders=orders)]


def _projection(layer: Any, rank: int | None, before: Any, after: Any) -> list[_Entry]:
    orders = {} if before is None else {0: before}
    weight = _Entry("weight", ("weight",), (1, layer.features), axes=(1, 0), orders=orders)
    return [weight, _vector("bias", "bias", (1,), None)]


def _with_spectral_norm(entries: list[_Entry], inner: Any) -> list[_Entry]:
    """Rename W, and add its singular vectors u and v."""
    weight, *others = entries
    axes = weight.axes
    if axes is None:
        raise ValueError(
            f"The spectral norm of {inner!r} is taken along another axis in PyTorch; leave it out "
            "of the net."
        )
    # Our v runs over our axes without that of the outputs, PyTorch's over PyTorch's: v is reordered
    # as W is, without that axis.
    out: int = inner.weight.output_axis
    ours = [axis for axis in range(len(axes)) if axis != out]
    theirs = sorted(axes[axis] for axis in ours)
    sizes = tuple(weight.shape[axis] for axis in theirs)
    v_orders = {ours.index(axis): order for axis, order in weight.orders.items() if axis != out}
    u_orders = {0: weight.orders[out]} if out in weight.orders else {}
    old, new = "weight_", "parametrizations.weight."
    return [
        _Entry(
            "layer.weight",
            (f"{new}original", f"{old}orig"),
            weight.shape,
            None,
            weight.axes,
            weight.orders,
        ),
        *(_Entry(f"layer.{e.name}", e.aliases, e.shape, e.view, e.axes, e.orders) for e in others),
        _Entry("u", (f"{new}0._u", f"{old}u"), (weight.shape[axes[out]],), orders=u_orders),
        _Entry(
            "v",
            (f"{new}0._v", f"{old}v"),
            (int(numpy.prod(sizes)),),
            view=sizes,
            axes=tuple(theirs.index(axes[axis]) for axis in ours),
            orders=v_orders,
            flat=True,
        ),
    ]


_ENTRIES: Mapping[str, Any] = {
    "Linear": _affine,
    "Conv2d": _affine,
    "ConvTranspose2d": _affine,
    "Conv1d": _affine,
    "ConvTranspose1d": _affine,
    "PReLU": _prelu,
    "GroupNorm": _normalisation,
    "BatchNorm": _normalisation,
    "InstanceNorm": _normalisation,
    "LayerNorm": _layer_norm,
    "Embedding": _embedding,
    "Projection": _projection,
}
