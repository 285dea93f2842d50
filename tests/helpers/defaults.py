"""The defaults of functions and classes: what callers rely on who don't give them."""

import inspect


def defaults(what):
    """Return the parameters of a function or class that have a default, with their defaults."""
    parameters = inspect.signature(what).parameters.items()
    return {name: p.default for name, p in parameters if p.default is not p.empty}
