"""Shared by the tests of metrics: other libraries that they are held against."""

import pytest
from peers import Peers


@pytest.fixture(scope="session")
def peers() -> Peers:
    """Imported once, and only for the tests that ask."""
    return Peers()
