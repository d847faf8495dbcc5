"""Single layers against what they are defined to be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from variants import VARIANTS

from cardigan.networks.layers.attention import SelfAttention
from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.layers.normalisation import BatchNorm, Normalisation
from cardigan.networks.layers.pixels import ToPixels, TransposedConvolution
from cardigan.networks.layers.resampling import DownConvolution, UpConvolution
from cardigan.networks.layers.spectral import normalise_spectrally
from cardigan.networks.mlp import MLP
from cardigan.randomness import Random, use
from cardigan.sample import Form


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_dropout_is_unbiased_at_the_probability_asked_for(p: float) -> None:
    count = 200_000
    with use(Random(0)):
        out = Dropout(p)(torch.ones(count // 100, 100))
    kept = round((1 - p) * 256) / 256
    assert kept == pytest.approx(1 - p, abs=1 / 512)
    assert (out > 0).double().mean().item() == pytest.approx(kept, abs=4 * (kept * (1 - kept) / count) ** 0.5)
    assert out.max().item() == pytest.approx(1 / kept, rel=1e-6)  # so that the mean is exactly 1


def test_dropout_is_the_identity_in_eval_mode_and_at_zero() -> None:
    x = torch.randn(4, 5)
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    with pytest.raises(ValueError, match="must lie in"):
        Dropout(1.0)


def test_dropout_differs_from_call_to_call_and_outside_of_a_stream() -> None:
    x, dropout = torch.ones(8, 32), Dropout(0.5)
    with use(Random(0)):
        assert not torch.equal(dropout(x), dropout(x))
    assert not torch.equal(dropout(x), dropout(x))


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_of_a_batch_see_slices_of_one_mask(shards: int) -> None:
    discriminator = MLP(width=16).build_discriminator(Form((2,))).double()
    x = torch.randn(8, 2, dtype=torch.float64)
    with use(Random("turn", 3)):
        whole = [discriminator(x).logits[0] for _ in range(2)]
    parts = []
    for shard in range(shards):
        with use(Random("turn", 3, shard=shard, shards=shards)):
            parts.append([discriminator(x.chunk(shards)[shard]).logits[0] for _ in range(2)])
    for call in range(2):
        torch.testing.assert_close(torch.cat([part[call] for part in parts]), whole[call])


def test_upconvolution_is_nearest_doubling_and_convolution() -> None:
    layer, x = UpConvolution(3, 5).double(), torch.randn(2, 3, 5, 7, dtype=torch.float64)
    expected = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("outputs", [1, 3, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_transposed_convolution_is_torchs(outputs: int, bias: bool) -> None:
    layer, x = TransposedConvolution(4, outputs, bias).double(), torch.randn(2, 4, 5, 7, dtype=torch.float64)
    expected = nn.ConvTranspose2d.forward(layer, x)
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.testing.assert_close(layer(x.contiguous(memory_format=layout)), expected)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_last_convolution_is_torchs(outputs: int) -> None:
    layer, x = ToPixels(4, outputs).double(), torch.randn(2, 4, 5, 7, dtype=torch.float64)
    expected = nn.Conv2d.forward(layer, x)
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.testing.assert_close(layer(x.contiguous(memory_format=layout)), expected)


def test_downconvolution_is_convolution_and_mean_pooling() -> None:
    layer, x = DownConvolution(3, 5).double(), torch.randn(2, 3, 9, 6, dtype=torch.float64)
    expected = F.avg_pool2d(F.conv2d(x, layer.weight, layer.bias, padding=1), 2)
    torch.testing.assert_close(layer(x), expected)


def test_attention_by_hand() -> None:
    layer, x = SelfAttention(8), torch.randn(1, 8, 2, 2)
    assert torch.equal(layer(x), x)
    nn.init.constant_(layer.gain, 2.0)
    # With 2x2 pixels there is one pooled key, so that all weights are 1: everyone receives the largest value.
    value = layer.value(x).amax((2, 3), keepdim=True).expand(-1, -1, 2, 2)
    torch.testing.assert_close(layer(x), x + 2 * layer.out(value))
    assert layer(torch.randn(2, 8, 1, 3)).shape == (2, 8, 1, 3)


@pytest.mark.parametrize(
    "layer",
    [
        SelfAttention(4),
        UpConvolution(4, 2),
        UpConvolution(4, 5),
        TransposedConvolution(4, 1),
        ToPixels(4, 1),
        DownConvolution(4, 2),
        Normalisation("batch", 4),
        Normalisation("layer", 4),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_first_and_second_derivatives(layer: nn.Module) -> None:
    layer = layer.double()
    for parameter in layer.parameters():
        parameter.data.add_(0.5)
    x = torch.randn(2, 4, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x, atol=1e-4)


def test_batch_norm_is_torchs() -> None:
    ours, torchs = BatchNorm(3), nn.BatchNorm2d(3)
    for _ in range(3):
        x = torch.randn(4, 3, 5, 5) * 2 + 1
        torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_batch_norm_of_a_lone_value_uses_what_it_has_seen() -> None:
    norm = BatchNorm(3)
    norm(torch.randn(100, 3) + 5)
    lone = torch.randn(1, 3)
    before = norm.running_mean.clone()
    torch.testing.assert_close(norm(lone), norm.eval()(lone))
    assert torch.equal(norm.running_mean, before)


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_every_class_has_its_gain_and_bias(kind: str) -> None:
    conditional, plain = Normalisation(kind, 4, classes=3), Normalisation(kind, 4)  # type: ignore[arg-type]
    x, labels = torch.randn(5, 4, 3, 3), torch.tensor([0, 1, 2, 1, 0])
    torch.testing.assert_close(conditional(x, labels), plain(x))
    nn.init.constant_(conditional.gain.weight[1], 3.0)  # type: ignore[union-attr, index]
    nn.init.constant_(conditional.shift.weight[2], 7.0)  # type: ignore[union-attr, index]
    gain, shift = torch.ones(5, 1, 1, 1), torch.zeros(5, 1, 1, 1)
    gain[labels == 1], shift[labels == 2] = 3, 7
    torch.testing.assert_close(conditional(x, labels), plain(x) * gain + shift)


@pytest.mark.parametrize("name", ["dcgan-spectral", "resnet-layer"])
def test_largest_singular_values_are_one(name: str) -> None:
    network = VARIANTS[name].build_discriminator(Form((3, 17, 23), 3), "projection")
    for _ in range(40):
        network(torch.randn(1, 3, 17, 23), torch.zeros(1, dtype=torch.int64))
    layers = [each for each in network.modules() if isinstance(each, nn.Linear | nn.Conv2d | nn.Embedding)]
    assert layers
    for layer in layers:
        weight = layer.weight.detach().flatten(1).numpy()
        assert np.linalg.svd(weight, compute_uv=False)[0] == pytest.approx(1, abs=0.05)


def test_spectral_norm_in_eval_mode_and_under_autocast() -> None:
    layer = nn.Sequential(nn.Linear(6, 5))
    normalise_spectrally(layer)
    x = torch.randn(3, 6)
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    layer.eval()(x)
    assert all(torch.equal(value, state[key]) for key, value in layer.state_dict().items())
    layer.train()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer[0].weight.dtype == torch.float32


def test_spectral_norm_has_the_gradient_of_the_quotient() -> None:
    """d(W / sigma) with sigma = u'Wv, u and v held fixed: by hand, for a single use of W."""
    layer = nn.Linear(4, 3, bias=False)
    network = nn.Sequential(layer)
    normalise_spectrally(network)
    network.eval()
    parametrisation = layer.parametrizations.weight[0]  # type: ignore[union-attr, index]
    weight, upstream = layer.parametrizations.weight.original, torch.randn(3, 4)  # type: ignore[union-attr]
    (layer.weight * upstream).sum().backward()
    left, right = parametrisation.left, parametrisation.right
    sigma = left @ weight @ right
    expected = upstream / sigma - (upstream * weight).sum() / sigma**2 * torch.outer(left, right)
    torch.testing.assert_close(weight.grad, expected)
