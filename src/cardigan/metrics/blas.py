"""One thread for the linear algebra of SciPy, which waits for its own threads more than it gains by them.

Measured on two cores with other work on the machine, a generalised eigenvalue problem in float64, one thread and two:
0.02 s and up to 0.27 s at 256 dimensions, 2.0 s and 5.4 to 24 s at 2048. torch, with two: up to 0.19 s and 5.8 s.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """For the length of a with block; it binds NumPy and SciPy, torch keeps its threads."""
    return _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401  loads the library that is to be found
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()
