import os
from pathlib import Path

import pytest


@pytest.fixture
def real() -> Path:
    """The folder of real data; the test is skipped where there is none."""
    if not os.environ.get("CARDIGAN_DATA"):
        pytest.skip("needs real data: CARDIGAN_DATA is not set")
    return Path(os.environ["CARDIGAN_DATA"])
