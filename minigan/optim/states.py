"""What the states of optimizers, averages and schedulers have in common: arrays by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minigan import backend
from minigan.nn.state import require_mapping


def number(array: Any) -> Any:
    """Return a small array of a state as a Python number, or a list of them."""
    return backend.to_numpy(array).tolist()


def require_names(owner: str, state: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse a state that lacks one of `names` or holds another."""
    require_mapping(state)
    own = set(names)
    missing, unknown = own - state.keys(), state.keys() - own
    if missing or unknown:
        raise ValueError(
            f"The state doesn't fit this {owner}: missing {sorted(missing) or 'nothing'}, unknown "
            f"{sorted(unknown) or 'nothing'}; load it into an object of the kind that it was saved "
            "from."
        )
