"""LPIPS with random backbones: by loops, and against torchmetrics' with the published weights of channels."""

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.extractors import lpips as module
from cardigan.extractors.lpips import BACKBONES, LPIPS, Kind, lpips, packaged, unit
from cardigan.extractors.vgg import look

KINDS: tuple[Kind, ...] = ("alex", "vgg")
SIDES = {"alex": (31, 40), "vgg": (16, 19)}


def state_of(kind: Kind) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in BACKBONES[kind].make().state_dict().items()}
    return {
        name: torch.randn(shape, generator=stream) * (2 / max(1, shape[1:].numel())) ** 0.5
        for name, shape in shapes.items()
    }


def linear_of(kind: Kind) -> dict[str, Tensor]:
    """As the package's files: one convolution of a single output for each map."""
    stream = torch.Generator().manual_seed(1)
    channels = enumerate(BACKBONES[kind].channels)
    return {f"lin{index}.model.1.weight": torch.rand(1, each, 1, 1, generator=stream) for index, each in channels}


@pytest.fixture(scope="module")
def states() -> dict[Kind, dict[str, Tensor]]:
    return {kind: state_of(kind) for kind in KINDS}


@pytest.fixture
def learned() -> Callable[[Kind], Path]:
    """The files that torchmetrics ships; the very bytes of the package lpips."""
    spec = find_spec("torchmetrics")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("torchmetrics is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "functional" / "image" / "lpips_models"
    return lambda kind: folder / f"{kind}.pth"


def pictures(kind: Kind, seed: int = 0) -> Tensor:
    return torch.rand(2, 3, *SIDES[kind], generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_formula_by_loops(kind: Kind, states: dict[Kind, dict[str, Tensor]]) -> None:
    linear, (one, other) = linear_of(kind), (pictures(kind), pictures(kind, seed=1))
    eye = LPIPS(kind, states[kind], linear, "")
    sides = [look("", eye.network, each, 1) for each in (one, other)]
    expected = [0.0, 0.0]
    for layer, (mine, theirs) in enumerate(zip(*sides, strict=True)):
        weight = linear[f"lin{layer}.model.1.weight"].flatten().double()
        assert mine.shape[1] == len(weight) and mine.std() > 0.01
        for index in range(2):
            values = []
            for row in range(mine.shape[2]):
                for column in range(mine.shape[3]):
                    a, b = (side[index, :, row, column].double() for side in (mine, theirs))
                    difference = a / (a.norm() + 1e-10) - b / (b.norm() + 1e-10)
                    values.append(float((weight * difference * difference).sum()))
            expected[index] += sum(values) / len(values)
    assert eye(one, other).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_torchmetrics_with_the_published_weights(
    kind: Kind,
    states: dict[Kind, dict[str, Tensor]],
    learned: Callable[[Kind], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It asks for torchvision's networks and is given ours, where the same layers stand at the same places."""
    path = tmp_path / "random.pth"
    torch.save(states[kind], path)
    eye = lpips(kind, path=path, linear=learned(kind))
    theirs = file_alone(learned(kind).parents[1] / "lpips.py", monkeypatch)
    monkeypatch.setattr(theirs, "_get_tv_model_features", lambda *_: eye.network.features)
    reference = theirs._LPIPS(pretrained=True, net=kind)
    one, other = pictures(kind), pictures(kind, seed=1)
    expected = reference(one, other).flatten()
    assert expected.min() > 0.01
    torch.testing.assert_close(eye(one, other), expected, rtol=1e-4, atol=1e-6)


def file_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module at `path` of torchmetrics without the package, which imports torchvision through torch-fidelity."""
    for name in ("torchmetrics", "torchmetrics.utilities", "torchmetrics.utilities.imports"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["torchmetrics.utilities.imports"]._TORCHVISION_AVAILABLE = False  # type: ignore[attr-defined]
    spec = spec_from_file_location("lpips_of_torchmetrics", path)
    assert spec is not None and spec.loader is not None
    found = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, found)  # it looks for its own file
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_published_weights_are_those_of_the_paper(kind: Kind, learned: Callable[[Kind], Path]) -> None:
    digest = {"alex": "df73285e35b22355", "vgg": "a78928a0af1e5f0f"}[kind]
    assert module.sha256(learned(kind)).startswith(digest)
    found = module._linear(kind, module.read(learned(kind)))
    assert [each.shape for each in found] == [(channels, 1, 1) for channels in BACKBONES[kind].channels]
    assert all(each.min() >= 0 and each.max() > 0 for each in found)


def test_a_distance(states: dict[Kind, dict[str, Tensor]]) -> None:
    eye, one, other = LPIPS("vgg", states["vgg"], linear_of("vgg"), ""), pictures("vgg"), pictures("vgg", seed=1)
    assert eye(one, one).tolist() == [0, 0]
    assert torch.equal(eye(one, other), eye(other, one)) and eye(one, other).min() > 0
    nearer = one + 0.1 * (other - one)
    assert (eye(one, nearer) < eye(one, other)).all()
    grey = one.mean(1, keepdim=True)
    torch.testing.assert_close(
        eye(grey, other[:, :1]), eye(grey.expand(-1, 3, -1, -1), other[:, :1].expand(-1, 3, -1, -1))
    )


def test_gradients_are_finite_even_where_nothing_is_active(states: dict[Kind, dict[str, Tensor]]) -> None:
    dead = {name: value if name.endswith("weight") else value - 100 for name, value in states["vgg"].items()}
    for state in (states["vgg"], dead):
        samples = pictures("vgg").requires_grad_()
        LPIPS("vgg", state, linear_of("vgg"), "").distance(samples, pictures("vgg", seed=1)).sum().backward()
        assert samples.grad is not None and torch.isfinite(samples.grad).all()
    nothing = torch.zeros(1, 3, 2, 2, requires_grad=True)
    found = unit(nothing)
    found.sum().backward()
    assert not found.any() and nothing.grad is not None and torch.isfinite(nothing.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_that_are_too_small_or_differ_are_refused(kind: Kind, states: dict[Kind, dict[str, Tensor]]) -> None:
    eye, least = LPIPS(kind, states[kind], linear_of(kind), ""), min(SIDES[kind])
    assert eye(torch.zeros(1, 3, least, least), torch.ones(1, 3, least, least)).shape == (1,)
    with pytest.raises(
        CardiganError, match=f"pictures of {least - 1}x64; lpips-{kind} needs sides of at least {least}"
    ):
        eye(torch.zeros(1, 3, least - 1, 64), torch.zeros(1, 3, least - 1, 64))
    with pytest.raises(CardiganError, match="allowed: equal shapes"):
        eye.distance(torch.zeros(1, 3, 32, 32), torch.zeros(2, 3, 32, 32))


def test_the_packages_files_are_read_and_nothing_in_it_is_run(
    states: dict[Kind, dict[str, Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tmp_path / "lpips" / "weights" / "v0.1"
    files.mkdir(parents=True)
    (tmp_path / "lpips" / "__init__.py").write_text("raise RuntimeError('imported')")
    torch.save(linear_of("alex"), files / "alex.pth", _use_new_zipfile_serialization=False)
    torch.save(states["alex"], tmp_path / "backbone.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lpips", raising=False)
    assert packaged("alex") == files / "alex.pth"
    eye = lpips("alex", path=tmp_path / "backbone.pth")
    assert torch.equal(eye.weights[2], linear_of("alex")["lin2.model.1.weight"][0])
    assert eye.name == "lpips-alex" and len(eye.digest) == 33 and "lpips" not in sys.modules
    with pytest.raises(CardiganError, match="pip install --no-deps lpips"):
        packaged("vgg")


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(CardiganError, match="needs the weights in the package lpips: pip install --no-deps lpips"):
        lpips()


def test_a_module_of_the_same_name_is_not_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ModuleType("lpips")
    found.__spec__ = ModuleSpec("lpips", None)
    monkeypatch.setitem(sys.modules, "lpips", found)
    with pytest.raises(CardiganError, match="pip install"):
        packaged("alex")


def test_weights_of_another_network_are_refused(states: dict[Kind, dict[str, Tensor]]) -> None:
    with pytest.raises(CardiganError, match="not the weights of LPIPS for vgg: they lack lin1 of 128 channels"):
        LPIPS("vgg", states["vgg"], linear_of("alex"), "")
    with pytest.raises(CardiganError, match="not weights of the alex network of LPIPS") as caught:
        LPIPS("alex", states["vgg"], linear_of("alex"), "")
    assert "\n" not in str(caught.value)


def test_known_weights_agree_with_the_hash_in_their_name() -> None:
    assert module.ALEXNET.file == f"alexnet-owt-{module.ALEXNET.sha256[:8]}.pth" and len(module.ALEXNET.sha256) == 64
