"""Tests that need a CUDA device that answers; skipped, with the reason, where none does."""

import pytest

from minigan.backend import devices


def pytest_collection_modifyitems(config, items):
    here = [item for item in items if "tests/gpu/" in item.path.as_posix()]
    if not here:
        return
    reason = devices._cuda_answers()
    for item in here:
        item.add_marker(pytest.mark.gpu)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"no CUDA device answers: {reason}"))
