"""Shared by all tests: one thread each, since many small networks on many threads mostly wait for one another."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of their own, for the commands that they start too: the user's is neither used nor filled."""
    place = tmp_path_factory.mktemp("cache")
    before = os.environ.get("CARDIGAN_CACHE")
    os.environ["CARDIGAN_CACHE"] = str(place)
    yield place
    if before is None:
        del os.environ["CARDIGAN_CACHE"]
    else:
        os.environ["CARDIGAN_CACHE"] = before
