"""Other libraries' metrics, for tests that expect the same numbers of the same features."""

import importlib
import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class Peers:
    """What there is of torchmetrics and torch-fidelity; a test that asks for one that is not installed is skipped."""

    def __init__(self) -> None:
        before = set(sys.modules)
        self._fidelity = _fidelity()
        self._torchmetrics = _parts("torchmetrics.image", ("fid", "kid", "inception"))
        for name in set(sys.modules) - before:  # torch-fidelity was made to believe in torchvision: nobody else should
            if name.partition(".")[0] == "torch_fidelity":
                del sys.modules[name]

    @property
    def torchmetrics(self) -> Any:
        return self._torchmetrics or pytest.skip("torchmetrics is not installed")

    @property
    def fidelity(self) -> Any:
        return self._fidelity or pytest.skip("torch-fidelity is not installed")


class _StandIn(ModuleType):
    """A module that has everything; its functions of features need nothing of torchvision."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (), {})


def _fidelity() -> SimpleNamespace | None:
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("torchvision") is None:
            for name in ("", ".datasets", ".transforms", ".transforms.functional"):
                patch.setitem(sys.modules, f"torchvision{name}", _StandIn(f"torchvision{name}"))
        return _parts("torch_fidelity", ("metric_fid", "metric_isc", "metric_kid", "metric_prc"))


def _parts(package: str, names: tuple[str, ...]) -> SimpleNamespace | None:
    if importlib.util.find_spec(package.partition(".")[0]) is None:
        return None
    return SimpleNamespace(**{name: importlib.import_module(f"{package}.{name}") for name in names})
