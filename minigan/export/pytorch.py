"""A net as a PyTorch module: a short Python file, and the weights that it loads.

PyTorch isn't imported here. Only nets that `minigan.interop` knows a counterpart of can be written:
a `Sequential` of layers that PyTorch has too. Layers that do something in training only, such as
`PhaseShuffle`, become the identity; of `Equalised` and `WeightNorm`, the weights that they compute
with are written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from minigan import interop, nn

TEMPLATE = '''"""{title}

Written by minigan {version}. Images are laid out as PyTorch does it, channels first.

>>> net = load()
>>> y = net(torch.randn(8, {example}))
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

WEIGHTS = Path(__file__).with_name({weights!r})


def build() -> nn.Module:
    """The net, with weights of its own."""
    return {body}


def load(path: Path = WEIGHTS) -> nn.Module:
    """The trained net, in evaluation mode."""
    net = build()
    net.load_state_dict(load_file(path))
    return net.eval()
'''


def torch_source(
    net: nn.Layer, *, input_shape: tuple[int, ...], weights: str, title: str = "A trained net."
) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return the text of a Python file that builds and loads a net in PyTorch, and its state dict.

    Parameters
    ----------
    net
        A Sequential of layers with a counterpart in PyTorch; see `minigan.interop`.
    input_shape
        Shape of an input, without the batch axis, channels last.
    weights
        Name of the file of safetensors, beside the Python file, that it loads.
    title
        First line of its docstring.

    Raises
    ------
    ValueError
        If the net holds a layer without a counterpart.
    """
    import minigan

    net = _plain(net)
    state: Any = interop.to_torch(net, input_shape=input_shape)
    body, _ = _written(net, (1, *input_shape), indent=4)
    first = (input_shape[-1], *input_shape[:-1]) if len(input_shape) > 1 else input_shape
    text = TEMPLATE.format(
        title=title,
        version=minigan.__version__,
        example=", ".join(map(str, first)),
        weights=weights,
        body=body,
    )
    return text, state


def _plain(layer: nn.Layer) -> nn.Layer:
    """The net with the weights that its reparametrised layers compute with."""
    if type(layer) is nn.Sequential:
        return nn.Sequential(*map(_plain, layer))
    if not isinstance(layer, (nn.Equalised, nn.WeightNorm)):
        return layer
    inside = copy.copy(layer.layer)  # shares everything but these weights
    for name, value in layer.effective().items():
        p = getattr(inside, name)
        same = {"role": p.role, "fan_in": p.fan_in, "output_axis": p.output_axis}
        setattr(inside, name, nn.Parameter(value, **same))
    return inside


def _written(layer: nn.Layer, shape: tuple[int, ...], indent: int) -> tuple[str, tuple[int, ...]]:
    """Return a layer in PyTorch's words, and the shape of its output."""
    if isinstance(layer, nn.Sequential):
        lines = []
        for inner in layer:
            text, shape = _written(inner, shape, indent + 4)
            lines.append(f"{' ' * (indent + 4)}{text},\n")
        return f"nn.Sequential(\n{''.join(lines)}{' ' * indent})", shape
    after = tuple(layer.output_shape(shape))
    if isinstance(layer, nn.SpectralNorm):
        inside, _ = _written(layer.layer, shape, indent)
        return f"nn.utils.parametrizations.spectral_norm({inside})", after
    words = WORDS.get(type(layer).__name__)
    if words is None:
        raise ValueError(
            f"{layer!r} can't be written for PyTorch: it has no counterpart there; export the net "
            "to ONNX instead."
        )
    return words(layer, shape), after


def _conv(name: str) -> Callable[[Any, tuple[int, ...]], str]:
    def words(layer: Any, shape: tuple[int, ...]) -> str:
        g, axes = layer.geometry, slice(4 - len(shape), 2)
        if any(before != after for before, after in g.sides):
            raise ValueError(
                f"{layer!r} can't be written for PyTorch, whose padding is the same on both sides; "
                "export the net to ONNX instead."
            )
        padding = tuple(before for before, _ in g.sides[axes])
        options = {"stride": g.stride[axes], "padding": padding, "dilation": g.dilation[axes]}
        if hasattr(layer, "output_padding"):
            extra = layer.output_padding
            options["output_padding"] = (extra,) if isinstance(extra, int) else extra
        more = "".join(f", {key}={value}" for key, value in options.items())
        mode = "" if g.mode == "zeros" else f", padding_mode={g.mode!r}"
        return (
            f"nn.{name}({layer.in_channels}, {layer.out_channels}, {g.kernel[axes]}{more}, "
            f"groups={g.groups}, bias={layer.bias is not None}{mode})"
        )

    return words


def _pool(name: str) -> Callable[[Any, tuple[int, ...]], str]:
    return lambda layer, shape: "nn.{}({}, {}, {})".format(name, *layer.window)


def _global_pool(layer: nn.GlobalPool, shape: tuple[int, ...]) -> str:
    names = {"mean": "AdaptiveAvgPool", "max": "AdaptiveMaxPool"}
    if layer.kind not in names:
        raise ValueError(
            f"{layer!r} can't be written for PyTorch, which has no pooling by sums; export the net "
            "to ONNX instead."
        )
    return f"nn.Sequential(nn.{names[layer.kind]}{len(shape) - 2}d(1), nn.Flatten())"


def _batch_norm(layer: nn.BatchNorm, shape: tuple[int, ...]) -> str:
    kind = "BatchNorm2d" if len(shape) == 4 else "BatchNorm1d"
    return f"nn.{kind}({layer.features}, eps={layer.eps}, momentum={layer.momentum})"


def _layer_norm(layer: nn.LayerNorm, shape: tuple[int, ...]) -> str:
    *pixels, channels = layer.shape
    return f"nn.LayerNorm({(channels, *pixels)}, eps={layer.eps})"


def _reshape(layer: nn.Reshape, shape: tuple[int, ...]) -> str:
    *pixels, channels = layer.shape
    return f"nn.Unflatten(1, {(channels, *pixels)})"


def _softmax(layer: nn.Softmax, shape: tuple[int, ...]) -> str:
    axis = layer.axis % len(shape)
    return f"nn.Softmax({1 if axis == len(shape) - 1 else axis + 1})"


def _pad(layer: nn.Pad, shape: tuple[int, ...]) -> str:
    kind = {"zeros": "ZeroPad2d", "reflect": "ReflectionPad2d", "replicate": "ReplicationPad2d"}
    (top, bottom), (left, right) = layer.sides
    return f"nn.{kind.get(layer.mode, 'CircularPad2d')}(({left}, {right}, {top}, {bottom}))"


WORDS: dict[str, Callable[[Any, tuple[int, ...]], str]] = {
    "Linear": lambda layer, shape: (
        f"nn.Linear({layer.in_features}, {layer.out_features}, bias={layer.bias is not None})"
    ),
    "Conv2d": _conv("Conv2d"),
    "Conv1d": _conv("Conv1d"),
    "ConvTranspose2d": _conv("ConvTranspose2d"),
    "ConvTranspose1d": _conv("ConvTranspose1d"),
    "BatchNorm": _batch_norm,
    "LayerNorm": _layer_norm,
    "InstanceNorm": lambda layer, shape: (
        f"nn.InstanceNorm2d({layer.features}, eps={layer.eps}, affine={layer.gamma is not None})"
    ),
    "GroupNorm": lambda layer, shape: (
        f"nn.GroupNorm({layer.groups}, {layer.features}, eps={layer.eps})"
    ),
    "Embedding": lambda layer, shape: f"nn.Embedding({layer.classes}, {layer.features})",
    "LeakyReLU": lambda layer, shape: f"nn.LeakyReLU({layer.slope})",
    "ReLU": lambda layer, shape: "nn.ReLU()",
    "Tanh": lambda layer, shape: "nn.Tanh()",
    "Sigmoid": lambda layer, shape: "nn.Sigmoid()",
    "ELU": lambda layer, shape: f"nn.ELU({layer.alpha})",
    "GELU": lambda layer, shape: 'nn.GELU(approximate="tanh")',
    "SiLU": lambda layer, shape: "nn.SiLU()",
    "Softplus": lambda layer, shape: "nn.Softplus()",
    "PReLU": lambda layer, shape: f"nn.PReLU({layer.channels})",
    "Softmax": _softmax,
    "Dropout": lambda layer, shape: f"nn.Dropout({layer.p})",
    "Flatten": lambda layer, shape: "nn.Flatten()",
    "Reshape": _reshape,
    "Upsample": lambda layer, shape: f"nn.Upsample(scale_factor={layer.factor})",
    "AveragePool": _pool("AvgPool2d"),
    "MaxPool": _pool("MaxPool2d"),
    "GlobalPool": _global_pool,
    "InstanceNoise": lambda layer, shape: "nn.Identity()",
    "PhaseShuffle": lambda layer, shape: "nn.Identity()",
    "Augment": lambda layer, shape: "nn.Identity()",
    "Pad": _pad,
    "PixelShuffle": lambda layer, shape: f"nn.PixelShuffle({layer.factor})",
    "PixelUnshuffle": lambda layer, shape: f"nn.PixelUnshuffle({layer.factor})",
}
"""Name of a layer -> how PyTorch calls it, given the layer and the shape of its input."""
