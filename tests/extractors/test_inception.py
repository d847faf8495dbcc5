"""The Inception network against torch-fidelity's and pytorch-fid's, with the same random weights."""

import hashlib
import importlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.extractors import weights
from cardigan.extractors.inception import Inception, Network, inception
from cardigan.resizing import tensorflow_bilinear


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """Random weights under which activations neither vanish nor explode, so that every block is heard in the end."""
    stream = torch.Generator().manual_seed(4)
    made = {}
    for name, value in Network().state_dict().items():
        noise = torch.randn(value.shape, generator=stream)
        if name.endswith("conv.weight"):
            noise *= (2 / value[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            noise = noise.abs() * 0.2 + 0.8
        elif name.endswith("bn.weight"):
            noise = noise * 0.2 + 1
        elif name.endswith(("bn.bias", "running_mean")):
            noise *= 0.2
        elif name == "fc.weight":
            noise *= 0.05
        made[name] = torch.zeros((), dtype=torch.int64) if name.endswith("num_batches_tracked") else noise
    return made


@pytest.fixture(scope="module")
def file(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def extractor(state: dict[str, Tensor]) -> Inception:
    return Inception(state, digest="of the test")


@pytest.fixture
def without_torchvision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for torchvision, so that what only mentions it can be imported; all of it is forgotten afterwards."""
    if find_spec("torch_fidelity") is None or find_spec("pytorch_fid") is None:
        pytest.skip("torch-fidelity and pytorch-fid are not installed")
    before = set(sys.modules)
    for part in ("", ".datasets", ".models", ".transforms", ".transforms.functional"):
        monkeypatch.setitem(sys.modules, f"torchvision{part}", _Anything(f"torchvision{part}"))
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("torch_fidelity", "pytorch_fid"):
            del sys.modules[name]


class _Anything(ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (torch.nn.Module,), {})


def reference(path: Path) -> Any:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    return FeatureExtractorInceptionV3("test", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path))


def pictures(count: int, channels: int, height: int, width: int) -> Tensor:
    return torch.randint(0, 256, (count, channels, height, width), generator=torch.Generator().manual_seed(7)).byte()


def off(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, as a share of the largest value."""
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@pytest.mark.usefixtures("without_torchvision")
def test_features_and_logits_equal_torch_fidelity(extractor: Inception, file: Path) -> None:
    theirs = reference(file)
    for height, width in [(28, 28), (32, 32), (64, 48), (299, 299), (400, 400)]:
        seen = pictures(2, 3, height, width)
        wanted = theirs(seen)
        found = extractor(seen.float() / 127.5 - 1)
        assert found.logits is not None
        assert found.values.shape == (2, 2048) and found.logits.shape == (2, 1008)
        assert wanted[0].std() > 1e-2 and (wanted[0][0] - wanted[0][1]).abs().max() > 1e-2, "the test sees nothing"
        assert off(found.values, wanted[0]) < 1e-5
        assert off(found.logits, wanted[1]) < 1e-5


@pytest.mark.usefixtures("without_torchvision")
def test_resizing_equals_torch_fidelity_to_the_bit() -> None:
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

    for height, width in [(1, 1), (28, 28), (31, 57), (299, 299), (400, 1000)]:
        seen = pictures(3, 3, height, width).float()
        wanted = interpolate_bilinear_2d_like_tensorflow1x(seen, size=(299, 299), align_corners=False)
        assert torch.equal(tensorflow_bilinear(seen, 299), wanted)


@pytest.mark.usefixtures("without_torchvision")
def test_state_of_torch_fidelity_has_the_same_names_and_shapes(state: dict[str, Tensor], file: Path) -> None:
    theirs = reference(file).state_dict()
    assert {name: value.shape for name, value in theirs.items()} == {name: value.shape for name, value in state.items()}


@pytest.mark.usefixtures("without_torchvision")
@pytest.mark.parametrize(
    ("block", "theirs", "channels", "side"),
    [
        ("Mixed_5b", "FIDInceptionA", 192, 35),
        ("Mixed_6c", "FIDInceptionC", 768, 17),
        ("Mixed_7b", "FIDInceptionE_1", 1280, 8),
        ("Mixed_7c", "FIDInceptionE_2", 2048, 8),
    ],
)
def test_pooling_of_blocks_equals_pytorch_fid(
    extractor: Inception, block: str, theirs: str, channels: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytorch-fid builds its blocks on torchvision's; their own forward passes are what it changed."""
    blocks = _Anything("torchvision.models.inception")
    for name in "ACE":
        setattr(blocks, f"Inception{name}", torch.nn.Module)
    models = sys.modules["torchvision.models"]
    monkeypatch.setattr(models, "inception", blocks, raising=False)
    monkeypatch.setattr(sys.modules["torchvision"], "models", models, raising=False)
    module = importlib.import_module("pytorch_fid.inception")
    ours = extractor.network.get_submodule(block)
    activations = torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(ours(activations), getattr(module, theirs).forward(ours, activations), rtol=1e-5)


def test_grey_is_repeated_and_alpha_laid_on_white(extractor: Inception) -> None:
    grey = pictures(2, 1, 32, 32).float() / 127.5 - 1
    colour = extractor(grey.expand(-1, 3, -1, -1))
    assert torch.equal(extractor(grey).values, colour.values)
    opaque = torch.cat([grey.expand(-1, 3, -1, -1), torch.ones_like(grey)], 1)
    assert torch.equal(extractor(opaque).values, colour.values)
    clear = torch.cat([grey.expand(-1, 3, -1, -1), -torch.ones_like(grey)], 1)
    assert torch.equal(extractor(clear).values, extractor(torch.ones(2, 3, 32, 32)).values)


def test_samples_are_seen_as_their_files_would_be(extractor: Inception) -> None:
    samples = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2.4 - 1.2
    stored = ((samples + 1) * 127.5).round().clamp(0, 255).byte()
    assert torch.equal(extractor(samples).values, extractor(stored.float() / 127.5 - 1).values)


def test_gradients_reach_the_samples(extractor: Inception) -> None:
    samples = (torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1).requires_grad_()
    extractor.extract(samples).values.sum().backward()
    assert samples.grad is not None and samples.grad.abs().min() > 0


def test_what_is_no_picture_is_refused(extractor: Inception) -> None:
    for shape in [(4, 2), (4, 5, 8, 8)]:
        with pytest.raises(CardiganError, match="no pictures"):
            extractor(torch.zeros(shape))


def test_published_file_is_found_verified_and_named(
    file: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    known = weights.Weights(file.name, "http://127.0.0.1:9/nowhere", digest, file.stat().st_size)
    monkeypatch.setitem(weights.KNOWN, "inception", known)
    monkeypatch.setenv(weights.VARIABLE, str(file.parent))
    found = inception()
    assert (found.name, found.digest, found.dimension) == ("inception", digest, 2048)
    assert torch.equal(found.network.fc.weight, state["fc.weight"])


def test_weights_of_another_network_are_refused_in_one_line(state: dict[str, Tensor]) -> None:
    with pytest.raises(CardiganError, match="not weights of the Inception network"):
        Inception({name: value for name, value in state.items() if name != "fc.bias"}, digest="")


def test_loading_draws_no_random_numbers(state: dict[str, Tensor]) -> None:
    before = torch.get_rng_state()
    Inception(state, digest="")
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_saved_before_batches_were_counted_load(state: dict[str, Tensor]) -> None:
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    assert not any(value.is_meta for value in Inception(old, digest="").network.state_dict().values())


def test_known_weights_agree_with_the_hash_in_their_name() -> None:
    known = weights.KNOWN["inception"]
    assert known.file == f"pt_inception-2015-12-05-{known.sha256[:8]}.pth" and len(known.sha256) == 64
