"""VGG with random weights: places and names as torchvision's, maps as by hand, files of every kind."""

import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from cardigan.data import store
from cardigan.errors import CardiganError
from cardigan.extractors import vgg as module
from cardigan.extractors import weights
from cardigan.extractors.vgg import ESRGAN_LAYERS, LAYERS, LPIPS_LAYERS, PUBLISHED, VGG, names, vgg, vgg_trunk
from cardigan.objectives.perceptual import perceptual

FEW = ("relu1_2", "conv2_2")
MEAN, DEVIATION = (torch.tensor(each).view(3, 1, 1) for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The first two blocks, random, and something of a classifier, as the published files hold one."""
    return {**random_state("conv2_2"), "classifier.6.bias": torch.zeros(1000)}


def random_state(last: str) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in vgg_trunk("vgg16", [last]).state_dict().items()}
    return {
        name: torch.randn(shape, generator=stream)
        * (2 / max(1, shape[1:].numel())) ** 0.5
        * (1 if len(shape) > 1 else 0.1)
        for name, shape in shapes.items()
    }


def pictures(count: int = 2, channels: int = 3, height: int = 20, width: int = 16) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_layers_stand_where_torchvision_has_them() -> None:
    at_16, at_19 = names("vgg16"), names("vgg19")
    assert len(at_16) == 31 and len(at_19) == 37
    assert [at_16.index(each) for each in LPIPS_LAYERS] == [3, 8, 15, 22, 29]
    assert [at_19.index(each) for each in ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_4")] == [2, 7, 16, 25, 34]
    assert set(LAYERS) == set(PUBLISHED) == {"vgg16", "vgg19"} and LAYERS["vgg19"] == ESRGAN_LAYERS


@pytest.mark.parametrize(
    ("kind", "last", "places", "parameters"),
    [
        ("vgg16", "conv5_3", [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28], 14_714_688),
        ("vgg19", "conv5_4", [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34], 20_024_384),
    ],
)
def test_tensors_have_torchvisions_names(kind: module.Kind, last: str, places: list[int], parameters: int) -> None:
    with torch.device("meta"):
        network = vgg_trunk(kind, [last])
    wanted = {f"features.{place}.{part}" for place in places for part in ("weight", "bias")}
    assert set(network.state_dict()) == wanted
    assert sum(each.numel() for each in network.parameters()) == parameters


def test_maps_by_hand(state: dict[str, Tensor]) -> None:
    samples = pictures()
    x = ((samples + 1) / 2 - MEAN) / DEVIATION
    wanted = []
    for place in (0, 2, 5, 7):
        x = F.conv2d(x, state[f"features.{place}.weight"], state[f"features.{place}.bias"], padding=1)
        if place == 7:
            wanted.append(x)
        x = F.relu(x)
        if place == 2:
            wanted.append(x)
            x = F.max_pool2d(x, 2)
    found = VGG("vgg16", state, "of the test", FEW).maps(samples)
    assert [each.shape for each in found] == [(2, 64, 20, 16), (2, 128, 10, 8)]
    for mine, theirs in zip(found, wanted, strict=True):
        assert theirs.std() > 0.1, "the test sees nothing"
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert found[1].min() < 0, "conv2_2 is before its activation, and stays so"


def test_layers_come_in_the_networks_order(state: dict[str, Tensor]) -> None:
    assert VGG("vgg16", state, "", FEW[::-1]).layers == FEW


def test_grey_is_repeated_and_alpha_laid_on_white(state: dict[str, Tensor]) -> None:
    eye, grey = VGG("vgg16", state, "", FEW), pictures(channels=1)
    colour = eye.maps(grey.expand(-1, 3, -1, -1))
    assert all(torch.equal(one, other) for one, other in zip(eye.maps(grey), colour, strict=True))
    clear = torch.cat([grey.expand(-1, 3, -1, -1), -torch.ones_like(grey)], 1)
    white = eye.maps(torch.ones(2, 3, 20, 16))
    assert all(torch.equal(one, other) for one, other in zip(eye.maps(clear), white, strict=True))


def test_gradients_reach_the_samples_in_full_precision(state: dict[str, Tensor]) -> None:
    eye, samples = VGG("vgg16", state, "", FEW), pictures().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = eye.maps(samples)
        perceptual(found, eye.maps(pictures().flip(3))).sum().backward()
    assert all(each.dtype == torch.float32 for each in found)
    assert samples.grad is not None and torch.isfinite(samples.grad).all() and samples.grad.abs().max() > 0
    assert all(not each.requires_grad for each in eye.network.parameters())


def test_what_it_cannot_look_at_is_refused_in_one_line(state: dict[str, Tensor]) -> None:
    eye = VGG("vgg16", state, "", FEW)
    assert eye.maps(pictures(height=2, width=3))[1].shape[2:] == (1, 1)
    with pytest.raises(CardiganError, match="pictures of 1x9; vgg16 needs sides of at least 2 pixels"):
        eye.maps(torch.zeros(1, 3, 1, 9))
    for shape in ((4, 5), (2, 5, 8, 8)):
        with pytest.raises(CardiganError, match="no pictures"):
            eye.maps(torch.zeros(shape))
    with pytest.raises(CardiganError, match="vgg16 has no layer 'conv9_1'; allowed: conv1_1, relu1_1"):
        VGG("vgg16", state, "", ("conv9_1",))


@pytest.mark.parametrize("form", ["zip", "legacy", "parameters", "safetensors"])
def test_every_kind_of_file_is_read(state: dict[str, Tensor], form: str, tmp_path: Path) -> None:
    path = tmp_path / ("mine.safetensors" if form == "safetensors" else "mine.pth")
    if form == "safetensors":
        save_file(state, path)
    elif form == "parameters":  # as torchvision's oldest files
        torch.save({name: nn.Parameter(value) for name, value in state.items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    eye = vgg("vgg16", FEW, path=path)
    assert eye.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert torch.equal(eye.network.state_dict()["features.5.weight"], state["features.5.weight"])


def test_published_file_is_found_verified_and_named(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "published.pth"
    torch.save(state, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    known = weights.Weights(path.name, "http://127.0.0.1:9/nowhere", digest, path.stat().st_size)
    monkeypatch.setitem(PUBLISHED, "vgg16", known)
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path))
    eye = vgg("vgg16", FEW)
    assert (eye.name, eye.digest, eye.layers) == ("vgg16", digest, FEW)
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(CardiganError, match="not the published file"):
        vgg("vgg16", FEW)


def test_weights_that_are_not_to_be_had_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    known = PUBLISHED["vgg19"]
    nowhere = weights.Weights(known.file, "http://127.0.0.1:9/vgg19.pth", known.sha256, known.size)
    monkeypatch.setitem(PUBLISHED, "vgg19", nowhere)
    with pytest.raises(CardiganError, match=r"vgg19-dcbb9e9d\.pth could not be downloaded: .*; place .* at ") as caught:
        vgg()
    assert "\n" not in str(caught.value)
    with pytest.raises(CardiganError, match="no file of weights"):
        vgg(path=tmp_path / "absent.pth")


def test_weights_of_another_network_are_refused_in_one_line(state: dict[str, Tensor]) -> None:
    for other in ({}, {**state, "features.5.weight": torch.zeros(1)}):
        with pytest.raises(CardiganError, match="not weights of vgg16") as caught:
            VGG("vgg16", other, "", FEW)
        assert "\n" not in str(caught.value)


def test_loading_draws_no_random_numbers(state: dict[str, Tensor]) -> None:
    before = torch.get_rng_state()
    VGG("vgg16", state, "", FEW)
    assert torch.equal(torch.get_rng_state(), before)


def test_known_weights_agree_with_the_hash_in_their_name() -> None:
    for kind, known in PUBLISHED.items():
        assert known.file == f"{kind}-{known.sha256[:8]}.pth" and len(known.sha256) == 64
        assert known.url.endswith(f"/{known.file}")
