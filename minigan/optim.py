r"""Optimizers, clipping and averaging, all on one flat vector of parameters.

A net's parameters lie in one vector θ and their gradients in a second, g (see `minigan.nn.Flat`),
so an optimizer reads like its paper: a few lines on whole vectors, whatever the net looks like. In
all of them t counts the steps and η is the learning rate `lr`. Nothing here brings a number from a
GPU to the host, except `state_dict` and its reverse where asked to.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import Any, ClassVar, TypeAlias

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter, flatten

__all__ = [
    "SGD",
    "Adam",
    "ExponentialMovingAverage",
    "Optimizer",
    "RMSprop",
    "all_but_last",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_weights",
]

Nets: TypeAlias = Layer | Iterable[Layer]
"""One net, or several that are treated as one."""

# ---------------------------------------------------------------- optimizers


class Optimizer:
    """What all optimizers share. One of your own defines `update` and, if it has any, its numbers
    and vectors.

    Parameters
    ----------
    net
        A layer or net, or several of them; its parameters are laid out in one flat vector.
    **numbers
        The hyper-parameters, `lr` among them.

    Attributes
    ----------
    flat
        The vectors θ and g: ``flat.value`` and ``flat.grad``, shape (P,).
    t
        How many steps have been made.
    lr
        η; may be assigned to at any time.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, there is nothing to learn, or the parameters differ in
        precision.
    TypeError
        If `net` is no net, or the parameters live on different devices.
    """

    number_names: ClassVar[tuple[str, ...]] = ("lr",)
    vector_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, net: Nets, **numbers: Any) -> None:
        for name, value in self.checked(numbers).items():
            setattr(self, name, value)
        self.t = 0
        self.flat = flatten(_alike(_parameters(net)))
        for name in self.vector_names:
            setattr(self, name, backend.of(self.flat.value).xp.zeros_like(self.flat.value))

    def update(self, theta: Array, g: Array) -> None:
        """Move `theta` in place, given its gradient `g`; both have shape (P,), and t is this step's
        number.
        """
        raise TypeError(
            f"{type(self).__name__} defines no update; write its method update(theta, g)."
        )

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or refuse them."""
        return {name: _positive(name, value) for name, value in numbers.items()}

    @property
    def lr(self) -> float:
        """The learning rate η > 0."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = _positive("lr", value)

    def step(self) -> None:
        """Move every parameter once, by the gradients that lie in its `grad`.

        Raises
        ------
        ValueError
            If the net has been moved, cast or laid out anew since this optimizer was made.
        """
        self._require_current()
        self.t += 1
        self.update(self.flat.value, self.flat.grad)

    def zero_grad(self) -> None:
        """Set every gradient to zero.

        Raises
        ------
        ValueError
            If the net has been moved, cast or laid out anew since this optimizer was made.
        """
        self._require_current()
        backend.of(self.flat.grad).zero(self.flat.grad)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all that is needed to go on: the vectors, t and the hyper-parameters,
        each an array.
        """
        numbers = {name: numpy.asarray(getattr(self, name)) for name in ("t", *self.number_names)}
        return numbers | {name: getattr(self, name).copy() for name in self.vector_names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state, hyper-parameters included, from whatever device; all or nothing.

        Raises
        ------
        ValueError
            If a name is missing or unknown, a vector has another length, or a number is out of
            range; nothing has changed then.
        """
        _require_names(type(self).__name__, state, ("t", *self.number_names, *self.vector_names))
        numbers = self.checked({name: _number(state[name]) for name in self.number_names})
        t = _count("t", _number(state["t"]))
        vectors = {name: self._own(name, state[name]) for name in self.vector_names}
        for name, value in {**numbers, "t": t}.items():
            setattr(self, name, value)
        for name, vector in vectors.items():
            getattr(self, name)[...] = (
                vector  # in place: a recorded GPU step knows these very arrays
            )

    def _own(self, name: str, vector: Any) -> Array:
        """Bring a vector of a state to the device and into the precision of the parameters."""
        theta, vector = self.flat.value, backend.to_numpy(vector)
        if vector.shape != theta.shape:
            raise ValueError(
                f"{name!r} has shape {vector.shape} in the state, but {tuple(theta.shape)} in this "
                f"{type(self).__name__}; load it into an optimizer of the net that it was saved "
                "with."
            )
        return backend.of(theta).asarray(vector, dtype=theta.dtype)

    def _require_current(self) -> None:
        if not self.flat.holds(self.flat.parameters):
            raise ValueError(
                f"The parameters of this {type(self).__name__} have been moved, cast or laid out "
                "anew since it "
                "was made; make the optimizer after net.to, net.astype and every optimizer over "
                "a larger net."
            )

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.number_names)
        return f"{type(self).__name__}({numbers})"


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al.
    2013, section 2).

    A velocity b gathers the gradients, each of them forgotten by a factor μ per step:

    .. math:: b \leftarrow \mu b + g, \qquad \theta \leftarrow \theta - \eta\, b.

    Nesterov's looks one step of the velocity ahead: ``θ ← θ - η (g + μ b)``. With μ = 0 it is
    ``θ ← θ - η g``.

    Against the paper's eqs. 1 to 4, and as in PyTorch: η stands outside of the velocity (v = -η b),
    which differs only while η changes; and Nesterov's θ is the point that the paper calls θ + μ v,
    where it takes the gradient.

    Parameters
    ----------
    net
        A layer or net, or several of them.
    lr
        η > 0.
    momentum
        μ, 0 <= μ < 1.
    nesterov
        Whether to look ahead; needs μ > 0.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or there is nothing to learn.
    TypeError
        If `net` is no net.
    """

    number_names = ("lr", "momentum", "nesterov")
    vector_names = ("b",)
    momentum: float
    nesterov: bool
    b: Array

    def __init__(
        self, net: Nets, *, lr: float, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(net, lr=lr, momentum=momentum, nesterov=nesterov)

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or refuse them."""
        momentum, nesterov = _fraction("momentum", numbers["momentum"]), bool(numbers["nesterov"])
        if nesterov and momentum == 0:
            raise ValueError(
                "Nesterov's momentum looks ahead along the velocity, so it needs momentum > 0; "
                "got 0."
            )
        return {"lr": _positive("lr", numbers["lr"]), "momentum": momentum, "nesterov": nesterov}

    def update(self, theta: Array, g: Array) -> None:
        """Move `theta` in place."""
        self.b *= self.momentum
        self.b += g
        direction = g + self.momentum * self.b if self.nesterov else self.b
        theta -= self.lr * direction


class RMSprop(Optimizer):
    r"""RMSprop: each coordinate's gradient, divided by the root of its mean square of late.

    .. math::
        v \leftarrow \alpha v + (1 - \alpha)\, g^2, \qquad
        b \leftarrow \mu b + \frac{g}{\sqrt v + \varepsilon}, \qquad
        \theta \leftarrow \theta - \eta\, b.

    Source: Tieleman & Hinton 2012, lecture 6e, slide 29; momentum as in PyTorch. ε stands outside
    of the root, as in PyTorch (TensorFlow has it inside). There is no bias correction: v starts at
    0, so the first steps are up to ``1 / √(1 - α)`` (10 for α = 0.99) times as long as later ones.
    Wasserstein GANs with clipped weights are trained with it (Arjovsky et al. 2017, Algorithm 1):
    the critic's loss shifts under it, and momentum made training unstable.

    Parameters
    ----------
    net
        A layer or net, or several of them.
    lr
        η > 0.
    decay
        α, 0 <= α < 1.
    eps
        ε > 0.
    momentum
        μ, 0 <= μ < 1.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or there is nothing to learn.
    TypeError
        If `net` is no net.
    """

    number_names = ("lr", "decay", "eps", "momentum")
    vector_names = ("v", "b")
    decay: float
    eps: float
    momentum: float
    v: Array
    b: Array

    def __init__(
        self, net: Nets, *, lr: float, decay: float = 0.99, eps: float = 1e-8, momentum: float = 0.0
    ) -> None:
        super().__init__(net, lr=lr, decay=decay, eps=eps, momentum=momentum)

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or refuse them."""
        fractions = {name: _fraction(name, numbers[name]) for name in ("decay", "momentum")}
        return fractions | {name: _positive(name, numbers[name]) for name in ("lr", "eps")}

    def update(self, theta: Array, g: Array) -> None:
        """Move `theta` in place."""
        self.v *= self.decay
        self.v += (1 - self.decay) * g * g
        self.b *= self.momentum
        self.b += g / (backend.of(g).xp.sqrt(self.v) + self.eps)
        theta -= self.lr * self.b


class Adam(Optimizer):
    r"""Adam (Kingma & Ba 2015, Algorithm 1).

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\,
        g^2, \qquad \hat m = \frac{m}{1 - \beta_1^t}, \qquad \hat v = \frac{v}{1 - \beta_2^t},
        \qquad \theta \leftarrow \theta - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon}.

    Both averages start at 0 and are therefore too small by the factor 1 - βᵗ, the sum of the
    weights given so far; dividing by it is the bias correction (section 3). ε is added to the root
    of the corrected v̂, which is also what PyTorch computes; the "efficient" form below the paper's
    Algorithm 1, and TensorFlow, add it to the root of the uncorrected v, which for small t is an ε
    larger by ``1 / √(1 - β₂ᵗ)``. The update itself is a primitive of the backend: its readable
    version is `minigan.backend.Reference.adam`.

    GANs are trained with β₁ = 0.5 (Radford et al. 2016) or 0: the loss changes from step to step
    with the opponent, so a long memory points to where the minimum was.

    Parameters
    ----------
    net
        A layer or net, or several of them.
    lr
        η > 0.
    betas
        β₁ and β₂, 0 <= β < 1.
    eps
        ε > 0.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or there is nothing to learn.
    TypeError
        If `net` is no net.
    """

    number_names = ("lr", "betas", "eps")
    vector_names = ("m", "v")
    betas: tuple[float, float]
    eps: float
    m: Array
    v: Array

    def __init__(
        self,
        net: Nets,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(net, lr=lr, betas=betas, eps=eps)

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or refuse them."""
        betas = numbers["betas"]
        if not (isinstance(betas, (tuple, list)) and len(betas) == 2):
            raise ValueError(
                f"betas must be a pair of numbers in [0, 1), such as (0.5, 0.999), got {betas!r}."
            )
        pair = _fraction("the first of betas", betas[0]), _fraction("the second of betas", betas[1])
        return {
            "lr": _positive("lr", numbers["lr"]),
            "betas": pair,
            "eps": _positive("eps", numbers["eps"]),
        }

    def update(self, theta: Array, g: Array) -> None:
        """Move `theta` in place."""
        ops = backend.of(theta)
        ops.adam(theta, g, self.m, self.v, lr=self.lr, betas=self.betas, eps=self.eps, t=self.t)


# ---------------------------------------------------------------- clipping

Axes: TypeAlias = int | tuple[int, ...] | None


def clip_by_global_norm(net: Nets | Optimizer, max_norm: float) -> Array:
    r"""Shorten the gradient of the whole net to at most `max_norm`, keeping its direction.

    ``g ← g · c / max(‖g‖, c)``: where ‖g‖ <= c the factor is exactly 1 (Pascanu et al. 2013,
    Algorithm 1). PyTorch divides by ‖g‖ + 1e-6 instead. The factor is computed where g lives: a GPU
    need not wait. A gradient that holds NaN stays one, and its norm says so.

    Parameters
    ----------
    net
        A layer or net, several of them, or an optimizer.
    max_norm
        c > 0.

    Returns
    -------
    scalar of the array library
        ‖g‖ before clipping.

    Raises
    ------
    ValueError
        If `max_norm` isn't positive, or there are no parameters.
    TypeError
        If `net` is neither net nor optimizer.
    """
    c = _positive("max_norm", max_norm)
    gradients = _vectors("grad", _parameters(net))
    xp = backend.of(gradients[0]).xp
    norm = xp.sqrt(sum((g * g).sum() for g in gradients))
    scale = c / xp.maximum(norm, c)
    for g in gradients:
        g *= scale
    return norm


def clip_by_norm(
    net: Nets | Optimizer | Parameter,
    max_norm: float,
    *,
    axes: Axes | Callable[[tuple[int, ...]], Axes] = None,
) -> None:
    """Shorten each parameter's gradient on its own, along `axes`, to a norm of at most `max_norm`.

    The norm is taken over `axes`, so there is one for each index of the other axes, and each is
    clipped as in `clip_by_global_norm`. For a Linear weight (in, out), ``axes=0`` clips what flows
    into each output unit.

    Parameters
    ----------
    net
        A layer or net, several of them, an optimizer, or one parameter.
    max_norm
        The longest norm that is left, > 0.
    axes
        None for each whole tensor, an axis, a tuple of axes, or a function from a parameter's shape
        to one of these: tensors of a net differ in rank, and with ``axes=all_but_last`` every one
        of them is clipped per output unit.

    Raises
    ------
    ValueError
        If `max_norm` isn't positive, a parameter lacks one of the axes (nothing has changed then),
        or there are no parameters.
    TypeError
        If `net` is none of these.
    """
    c = _positive("max_norm", max_norm)
    parameters = [net] if isinstance(net, Parameter) else _parameters(net)
    chosen = [_axes_of(p.shape, axes(p.shape) if callable(axes) else axes) for p in parameters]
    for p, own in zip(parameters, chosen, strict=True):
        xp = backend.of(p.grad).xp
        norm = xp.sqrt((p.grad * p.grad).sum(axis=own, keepdims=True))
        p.grad *= c / xp.maximum(norm, c)


def all_but_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return every axis but the last, which is that of the output units (not so in a
    ConvTranspose2d's weight).
    """
    return tuple(range(len(shape) - 1))


def clip_weights(net: Nets | Optimizer, bound: float) -> None:
    """Clip every parameter to [-bound, bound], after each critic step of the first Wasserstein GAN.

    ``w ← clip(w, -c, c)`` keeps D's slope bounded, if crudely (Arjovsky et al. 2017, Algorithm 1,
    line 7; c = 0.01). All parameters are clipped, as in the paper: the γ of a normalisation, which
    starts at 1, too.

    Parameters
    ----------
    net
        A layer or net, several of them, or an optimizer.
    bound
        c > 0.

    Raises
    ------
    ValueError
        If `bound` isn't positive, or there are no parameters.
    TypeError
        If `net` is neither net nor optimizer.
    """
    c = _positive("bound", bound)
    for value in _vectors("value", _parameters(net)):
        backend.of(value).xp.clip(value, -c, c, out=value)


# ---------------------------------------------------------------- averaging


class ExponentialMovingAverage:
    r"""A copy of a net whose parameters follow it slowly: ``θ̄ ← θ̄ + (1 - d)(θ - θ̄)``.

    The generator of a GAN circles round its equilibrium rather than settling; the average of the
    circle lies nearer to its centre than any point on it, and its samples are better (Polyak &
    Juditsky 1992; Yazıcı et al. 2019). Buffers (running statistics) are averages already and are
    copied; an average with the statistics of its first day makes noise.

    With ``warmup = w > 0`` the decay starts low, so that the random initial weights are soon
    forgotten: ``d_t = min(d, t / (w + t))`` after t earlier updates. The first update then copies
    the net; w = 1 is the plain mean of all nets so far, until d is reached; w = 9 is TensorFlow's
    ``(1 + n) / (10 + n)`` for n = t - 1.

    Parameters
    ----------
    net
        The net to follow; its copy is made now.
    decay
        d, 0 <= d < 1; 0.999 remembers about the last 1000 updates.
    warmup
        w >= 0; 0 is none.

    Attributes
    ----------
    net
        The averaged net, a net like any other.
    t
        How many updates have been made.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range.
    TypeError
        If `net` is no net.
    """

    def __init__(self, net: Layer, *, decay: float, warmup: float = 0.0) -> None:
        if not isinstance(net, Layer):
            raise TypeError(
                f"ExponentialMovingAverage needs a layer or net, got {type(net).__name__}."
            )
        self.decay, self.warmup = _fraction("decay", decay), _not_negative("warmup", warmup)
        self.t = 0
        self.source = net
        self.net = copy.deepcopy(net)
        self.net.zero_grad()

    def update(self) -> None:
        """Move the average towards the net as it is now.

        Raises
        ------
        ValueError
            If the net and its average live on different devices, or no longer have the same
            parameters.
        """
        ours, theirs = _parameters(self.net), _parameters(self.source)
        _require_twins(ours, theirs)
        d = min(self.decay, self.t / (self.warmup + self.t)) if self.warmup else self.decay
        for average, value in _vector_pairs(ours, theirs):
            average += (1 - d) * (value - average)
        for average, value in zip(
            self.net.buffers().values(), self.source.buffers().values(), strict=True
        ):
            average[...] = value
        self.t += 1

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the averaged net's state (names begin with ``net.``), t and the
        hyper-parameters.
        """
        numbers = {name: numpy.asarray(getattr(self, name)) for name in ("t", "decay", "warmup")}
        return numbers | {f"net.{name}": array for name, array in self.net.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state, hyper-parameters included, from whatever device; all or nothing.

        Raises
        ------
        ValueError
            If a name is missing or unknown, a shape differs, or a number is out of range; nothing
            has changed then.
        """
        names = [f"net.{name}" for name in (self.net.parameters() | self.net.buffers())]
        _require_names(type(self).__name__, state, ("t", "decay", "warmup", *names))
        t = _count("t", _number(state["t"]))
        decay = _fraction("decay", _number(state["decay"]))
        warmup = _not_negative("warmup", _number(state["warmup"]))
        self.net.load_state_dict({name.removeprefix("net."): state[name] for name in names})
        self.t, self.decay, self.warmup = t, decay, warmup


# ---------------------------------------------------------------- the parameters meant


def _parameters(net: Nets | Optimizer) -> list[Parameter]:
    """All parameters, each once, in order."""
    if isinstance(net, Optimizer):
        return net.flat.parameters
    nets = [net] if isinstance(net, Layer) else list(net) if isinstance(net, Iterable) else []
    if not nets or not all(isinstance(one, Layer) for one in nets):
        raise TypeError(
            f"Needed a layer, a net or a sequence of them, got {net!r}; give for example a "
            "Sequential."
        )
    found = {id(p): p for one in nets for p in one.parameters().values()}
    if not found:
        raise ValueError(f"{net!r} has no parameters; give a net with at least one.")
    return list(found.values())


def _alike(parameters: list[Parameter]) -> list[Parameter]:
    """Refuse parameters that one vector can't hold as they are."""
    first = parameters[0].value
    for p in parameters:
        if not backend.same_device(p.value, first):
            raise TypeError(
                f"Some parameters live on {backend.device_of(first)!r}, others on "
                f"{backend.device_of(p.value)!r}; "
                f"move all to one device with net.to(device)."
            )
        if p.value.dtype != first.dtype:
            raise ValueError(
                f"Some parameters are {first.dtype}, others {p.value.dtype}; bring all to one "
                "precision with "
                f"net.astype(dtype)."
            )
    return parameters


def _is_flat(parameters: list[Parameter]) -> bool:
    home = parameters[0].home
    return home is not None and home.holds(parameters)


def _vectors(what: str, parameters: list[Parameter]) -> list[Array]:
    """Their ``value`` or ``grad`` as one vector where they fill a flat one, else one by one.

    Laying them out here would take them away from an optimizer over a larger net.
    """
    whole = [parameters[0].home] if _is_flat(parameters) else parameters
    return [getattr(one, what) for one in whole]


def _vector_pairs(ours: list[Parameter], theirs: list[Parameter]) -> Iterable[tuple[Array, Array]]:
    if _is_flat(theirs):
        flatten(ours)
    if _is_flat(ours) and _is_flat(theirs):
        return zip(_vectors("value", ours), _vectors("value", theirs), strict=True)
    return ((mine.value, other.value) for mine, other in zip(ours, theirs, strict=True))


def _require_twins(ours: list[Parameter], theirs: list[Parameter]) -> None:
    if [p.shape for p in ours] != [p.shape for p in theirs]:
        raise ValueError(
            "The net has other parameters than when its average was begun; begin a new average."
        )
    if not backend.same_device(ours[0].value, theirs[0].value):
        raise ValueError(
            f"The average lives on {backend.device_of(ours[0].value)!r}, the net on "
            f"{backend.device_of(theirs[0].value)!r}; move one of them with .to(device)."
        )


def _axes_of(shape: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    """Turn `axes` into a tuple of axes that this shape has."""
    rank = len(shape)
    if axes is None:
        return tuple(range(rank))
    chosen = tuple(axes) if isinstance(axes, (tuple, list)) else (axes,)
    if not all(-rank <= axis < rank for axis in chosen):
        raise ValueError(
            f"A parameter of shape {shape} hasn't the axes {chosen}; clip one parameter at a "
            "time, or give a "
            f"function from shape to axes."
        )
    return chosen


# ---------------------------------------------------------------- the numbers allowed


def _real(name: str, value: Any, needed: str, fits: Callable[[float], bool]) -> float:
    if not (isinstance(value, Real) and math.isfinite(value) and fits(float(value))):
        raise ValueError(f"{name} must be {needed}, got {value!r}.")
    return float(value)


def _positive(name: str, value: Any) -> float:
    return _real(name, value, "a positive number", lambda x: x > 0)


def _not_negative(name: str, value: Any) -> float:
    return _real(name, value, "a number >= 0", lambda x: x >= 0)


def _fraction(name: str, value: Any) -> float:
    return _real(name, value, "a number in [0, 1)", lambda x: 0 <= x < 1)


def _count(name: str, value: Any) -> int:
    return int(_real(name, value, "a whole number >= 0", lambda x: x >= 0 and x == int(x)))


# ---------------------------------------------------------------- states


def _number(array: Any) -> Any:
    """Turn a small array of a state into Python numbers."""
    return backend.to_numpy(array).tolist()


def _require_names(owner: str, state: Mapping[str, Any], names: Iterable[str]) -> None:
    own = set(names)
    missing, unknown = own - state.keys(), state.keys() - own
    if missing or unknown:
        raise ValueError(
            f"The state doesn't fit this {owner}: missing {sorted(missing) or 'nothing'}, unknown "
            f"{sorted(unknown) or 'nothing'}; load it into an object of the kind that it was "
            "saved from."
        )
