"""A net as a PyTorch module: a short Python file, and the weights that it loads.

PyTorch isn't imported here. Nets of layers that `minigan.interop` knows can be written: those that
PyTorch has too, and some that it lacks, for which the file brings a module of its own. Layers that
do something in training only, such as `PhaseShuffle`, become the identity; of `Equalised` and
`WeightNorm`, the weights that they compute with are written.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from minigan import interop, nn

TEMPLATE = '''"""{title}

Written by minigan {version}. Images are laid out as PyTorch does it, channels first.

>>> net = load()
>>> y = net({example})
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

WEIGHTS = Path(__file__).with_name({weights!r})
{modules}

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
        A Sequential or a Projection of layers with a counterpart in PyTorch; see `minigan.interop`.
        What takes a pair with labels here takes such a pair there, too.
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
    text = TEMPLATE.format(
        title=title.replace("\\", "\\\\").replace('"', '\\"'),
        version=minigan.__version__,
        example=_example(net, input_shape),
        weights=weights,
        modules="".join(f"\n{text}" for name, text in MODULES.items() if _uses(body, name)),
        body=body,
    )
    return text, state


def _example(net: nn.Layer, shape: tuple[int, ...]) -> str:
    """A call's argument: 8 random inputs, with labels if the net takes them."""
    first = (shape[-1], *shape[:-1]) if len(shape) > 1 else shape
    x = f"torch.randn(8, {', '.join(map(str, first))})"
    given: Any = net[0] if isinstance(net, nn.Sequential) and len(net) else net
    if not isinstance(given, nn.ConcatenateLabels | nn.Projection):
        return x
    return f"({x}, torch.arange(8) % {given.classes})"


def _uses(body: str, name: str) -> bool:
    return re.search(rf"(?<![.\w]){name}\(", body) is not None


def _plain(layer: nn.Layer) -> nn.Layer:
    """The net with the weights that its reparametrised layers compute with."""
    if type(layer) is nn.Sequential:
        return nn.Sequential(*map(_plain, layer))
    if isinstance(layer, nn.Branches):
        return nn.Branches(*map(_plain, layer.heads))
    if type(layer).__name__ in WITH_PARTS:
        other = copy.copy(layer)
        for name, part in layer.children():
            setattr(other, name, _plain(part))
        return other
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
    if type(layer).__name__ in WITH_PARTS:
        return WITH_PARTS[type(layer).__name__](layer, shape, indent), after
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
    if not pixels and len(shape) > 2:
        return f"ChannelNorm({channels}, {layer.eps})"
    return f"nn.LayerNorm({(channels, *pixels)}, eps={layer.eps})"


def _reshape(layer: nn.Reshape, shape: tuple[int, ...]) -> str:
    if len(layer.shape) == 1:
        return "nn.Flatten()"
    *pixels, channels = layer.shape
    return f"nn.Unflatten(1, {(channels, *pixels)})"


def _softmax(layer: nn.Softmax, shape: tuple[int, ...]) -> str:
    axis = layer.axis % len(shape)
    return f"nn.Softmax({1 if axis == len(shape) - 1 else axis + 1})"


def _resize(layer: nn.Resize, shape: tuple[int, ...]) -> str:
    if layer.mode == "nearest":
        return f"Nearest({layer.size})"
    return f"nn.Upsample(size={layer.size}, mode={layer.mode!r}, align_corners=False)"


def _filter(name: str) -> Callable[[Any, tuple[int, ...]], str]:
    return lambda layer, shape: f"{name}({layer.factor}, {tuple(map(float, layer.taps))})"


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
    "Dropout": lambda layer, shape: f"{'Always' if layer.always else 'nn.'}Dropout({layer.p})",
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
    "Resize": _resize,
    "Downsample": _filter("Downsample"),
    "Blur": _filter("Downsample"),
    "Interpolate": _filter("Interpolate"),
    "Maxout": lambda layer, shape: f"Maxout({layer.pieces})",
    "PixelNorm": lambda layer, shape: f"PixelNorm({layer.eps})",
    "MinibatchStdDev": lambda layer, shape: f"MinibatchStdDev({layer.group_size}, {layer.eps})",
}
"""Name of a layer -> how PyTorch calls it, given the layer and the shape of its input."""


def _residual(layer: nn.Residual, shape: tuple[int, ...], indent: int) -> str:
    parts = [layer.body] if layer.shortcut is None else [layer.body, layer.shortcut]
    return f"Residual({', '.join(_written(part, shape, indent)[0] for part in parts)})"


def _skip(layer: nn.Skip, shape: tuple[int, ...], indent: int) -> str:
    return f"Skip({_written(layer.body, shape, indent)[0]})"


def _branches(layer: nn.Branches, shape: tuple[int, ...], indent: int) -> str:
    return f"Branches({', '.join(_written(head, shape, indent)[0] for head in layer.heads)})"


def _attention(layer: nn.SelfAttention, shape: tuple[int, ...], indent: int) -> str:
    rows, seen = (1, layer.channels), (1, layer.channels // 2)
    maps = [_written(part, rows, indent)[0] for part in (layer.query, layer.key, layer.value)]
    window, stride, _ = layer.pool.window
    if window != stride:
        raise ValueError(f"{layer!r} can't be written for PyTorch; export the net to ONNX instead.")
    return f"SelfAttention({', '.join(maps)}, {_written(layer.out, seen, indent)[0]}, {window})"


def _labels(layer: nn.ConcatenateLabels, shape: tuple[int, ...], indent: int) -> str:
    features = "" if layer.embedding is None else f", features={layer.features}"
    return f"ConcatenateLabels({layer.classes}{features})"


def _projection(layer: nn.Projection, shape: tuple[int, ...], indent: int) -> str:
    body, _ = _written(layer.body, shape, indent)
    return f"Projection({body}, {layer.features}, {layer.classes})"


WITH_PARTS: dict[str, Callable[[Any, tuple[int, ...], int], str]] = {
    "Residual": _residual,
    "Skip": _skip,
    "Branches": _branches,
    "SelfAttention": _attention,
    "ConcatenateLabels": _labels,
    "Projection": _projection,
}
"""Name of a layer that holds others -> its words, given the layer, the shape of its input and how
far the text is indented.
"""

MODULES = {
    "AlwaysDropout": '''
class AlwaysDropout(nn.Module):
    """Dropout, in evaluation as well."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return nn.functional.dropout(x, self.p, training=True)
''',
    "Nearest": '''
class Nearest(nn.Module):
    """The nearest pixel above and to the left; PyTorch's own rounds, at some sizes wrongly."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        for axis, size in zip((2, 3), self.size):
            places = torch.arange(size, device=x.device) * x.shape[axis] // size
            x = x.index_select(axis, places)
        return x
''',
    "Residual": '''
class Residual(nn.Module):
    """The body beside a shortcut, added."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))
''',
    "Skip": '''
class Skip(nn.Module):
    """The input and what the body makes of it, joined along the channels."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return torch.cat([x, self.body(x)], dim=1)
''',
    "Branches": '''
class Branches(nn.Module):
    """Several heads on one input, their outputs joined."""

    def __init__(self, *heads):
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, x):
        return torch.cat([head(x) for head in self.heads], dim=1)
''',
    "SelfAttention": '''
class SelfAttention(nn.Module):
    """Every pixel looks at all others (Zhang et al. 2019)."""

    def __init__(self, query, key, value, out, pool):
        super().__init__()
        self.query, self.key, self.value, self.out = query, key, value, out
        self.pool = nn.MaxPool2d(pool)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        rows = x.flatten(2).transpose(1, 2)
        scores = self.query(rows) @ self._pooled(self.key, rows, x).transpose(1, 2)
        seen = scores.softmax(dim=2) @ self._pooled(self.value, rows, x)
        return x + self.gamma * self.out(seen).transpose(1, 2).reshape(x.shape)

    def _pooled(self, layer, rows, x):
        image = layer(rows).transpose(1, 2).unflatten(2, x.shape[2:])
        return self.pool(image).flatten(2).transpose(1, 2)
''',
    "Maxout": '''
class Maxout(nn.Module):
    """The largest of each group of neighbouring features."""

    def __init__(self, pieces):
        super().__init__()
        self.pieces = pieces

    def forward(self, x):
        return x.unflatten(1, (-1, self.pieces)).amax(dim=2)
''',
    "Downsample": '''
class Downsample(nn.Module):
    """Filters images and keeps each pixel number `factor`."""

    def __init__(self, factor, taps):
        super().__init__()
        self.factor, self.before = factor, (len(taps) - factor + 1) // 2
        self.after = len(taps) - factor - self.before
        self.register_buffer("taps", torch.tensor(taps), persistent=False)

    def forward(self, x):
        kernel = torch.outer(self.taps, self.taps).expand(x.shape[1], 1, -1, -1)
        padded = nn.functional.pad(x, 2 * [self.before, self.after])
        return nn.functional.conv2d(padded, kernel, stride=self.factor, groups=x.shape[1])
''',
    "Interpolate": '''
class Interpolate(nn.Module):
    """Spreads each pixel over `factor` pixels of each axis, with a filter."""

    def __init__(self, factor, taps):
        super().__init__()
        self.factor, self.before = factor, (len(taps) - factor + 1) // 2
        self.register_buffer("taps", factor * torch.tensor(taps), persistent=False)

    def forward(self, x):
        kernel = torch.outer(self.taps, self.taps).expand(x.shape[1], 1, -1, -1)
        y = nn.functional.conv_transpose2d(x, kernel, stride=self.factor, groups=x.shape[1])
        rows, columns = (slice(self.before, self.before + self.factor * n) for n in x.shape[2:])
        return y[:, :, rows, columns]
''',
    "ChannelNorm": '''
class ChannelNorm(nn.Module):
    """Layer norm of the features of each pixel, channels first."""

    def __init__(self, features, eps):
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(features))
        self.beta = nn.Parameter(torch.zeros(features))

    def forward(self, x):
        rows, shape = x.movedim(1, -1), self.gamma.shape
        y = nn.functional.layer_norm(rows, shape, self.gamma, self.beta, self.eps)
        return y.movedim(-1, 1)
''',
    "PixelNorm": '''
class PixelNorm(nn.Module):
    """Divides the features of each pixel by their root mean square."""

    def __init__(self, eps):
        super().__init__()
        self.eps = eps

    def forward(self, x):
        return x / torch.sqrt(x.square().mean(dim=1, keepdim=True) + self.eps)
''',
    "MinibatchStdDev": '''
class MinibatchStdDev(nn.Module):
    """Appends the mean standard deviation of a group of samples (Karras et al. 2018)."""

    def __init__(self, group_size, eps):
        super().__init__()
        self.group_size, self.eps = group_size, eps

    def forward(self, x):
        n = min(self.group_size, len(x))
        groups = x.reshape(n, len(x) // n, -1)
        s = torch.sqrt(groups.var(dim=0, correction=0) + self.eps).mean(dim=1).repeat(n)
        plane = s.reshape(-1, *[1] * (x.dim() - 1)).expand(-1, 1, *x.shape[2:])
        return torch.cat([x, plane], dim=1)
''',
    "ConcatenateLabels": '''
class ConcatenateLabels(nn.Module):
    """Appends the label to the features: takes (x, labels)."""

    def __init__(self, classes, features=None):
        super().__init__()
        self.classes = classes
        self.embedding = None if features is None else nn.Embedding(classes, features)

    def forward(self, pair):
        x, labels = pair
        if self.embedding is None:
            code = nn.functional.one_hot(labels, self.classes).to(x.dtype)
        else:
            code = self.embedding(labels)
        plane = code.reshape(*code.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])
        return torch.cat([x, plane], dim=1)
''',
    "Projection": '''
class Projection(nn.Linear):
    """A discriminator that is told the label (Miyato & Koyama 2018): takes (x, labels)."""

    def __init__(self, body, features, classes):
        super().__init__(features, 1)
        self.body, self.embedding = body, nn.Embedding(classes, features)

    def forward(self, pair):
        x, labels = pair
        phi = self.body(x)
        return super().forward(phi) + (self.embedding(labels) * phi).sum(dim=1, keepdim=True)
''',
}
"""Name of a module that PyTorch lacks -> the text that defines it in a file that uses it."""
