"""`digits`: the 1,797 handwritten digits of 8x8 pixels that scikit-learn carries. No network, no file."""

import numpy as np

from cardigan.data.sources.source import Source, Stack


def open_digits(name: str) -> Source:
    """The digits, grey, their values 0..16 spread over 0..255; no split of their own."""
    return Source(name, {"train": _read}, tuple("0123456789"))


def _read() -> Stack:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Stack(np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target.astype(np.int64))
