"""Shared by the tests of games."""

import pytest


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory):
    """A folder for the classifiers that runs are scored with: each is trained only once."""
    return str(tmp_path_factory.mktemp("classifiers"))
