"""Shared by all tests: Hypothesis draws the same examples in every run."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "deterministic",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("deterministic")


@pytest.fixture(autouse=True)
def recipe_files_trusted_here(tmp_path_factory, monkeypatch):
    """Keep the list of trusted recipe files out of the user's own folder."""
    folder = tmp_path_factory.mktemp("trusted")
    monkeypatch.setenv("MINIGAN_TRUSTED", str(folder / "trusted-recipes.txt"))
