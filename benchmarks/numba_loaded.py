"""Numba with the rest of its modules, some two hundred, which it imports when it is first asked for
a function.

For the benchmark of memory, which doesn't count imports.
"""

from numba.core.registry import cpu_target

cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()
