"""Sizes that settings give, against numbers computed by hand or published; and refusals."""

from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from variants import VARIANTS

from cardigan.errors import CardiganError
from cardigan.networks.base import Family
from cardigan.networks.dcgan import DCGAN
from cardigan.networks.layers.attention import SelfAttention
from cardigan.networks.mlp import MLP
from cardigan.networks.resnet import ResNet
from cardigan.sample import Form

MNIST, CIFAR = Form((1, 28, 28), 10), Form((3, 32, 32), 10)


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_tutorial_mlp() -> None:
    layers = [100, 256, 512, 1024, 784]
    by_hand = sum((inputs + 1) * outputs for inputs, outputs in pairwise(layers))
    assert size(MLP().build_generator(MNIST)) == by_hand == 1_486_352
    layers = [784, 1024, 512, 256, 1]
    by_hand = sum((inputs + 1) * outputs for inputs, outputs in pairwise(layers))
    assert size(MLP().build_discriminator(MNIST)) == by_hand == 1_460_225


def test_dcgan_of_64_pixels() -> None:
    """The numbers of PyTorch's official example, which has no biases at all: here they are where nothing follows."""
    form = Form((3, 64, 64))
    assert size(DCGAN().build_generator(form)) == 3_576_704 + 3
    assert size(DCGAN().build_discriminator(form)) == 2_765_568 + 64 + 1


def test_dcgan_of_28_pixels() -> None:
    """100 -> 7x7x128 -> 14x14x64 -> 28x28x1, gains and biases after each but the last."""
    assert size(DCGAN().build_generator(MNIST)) == 100 * 6272 + 256 + 128 * 64 * 16 + 128 + 64 * 16 + 1
    assert size(DCGAN().build_discriminator(MNIST)) == 16 * 64 + 64 + 64 * 128 * 16 + 256 + 6272 + 1


def test_small_convolutional_network() -> None:
    """64 -> 7x7x128 -> 14x14x64 -> 28x28x32 -> 28x28x1 against 32-64-128."""
    plain = {"normalisation": "none"}
    family = DCGAN(
        width=32,
        init="default",
        latent={"dimension": 64},
        generator={**plain, "upsample": "resize", "refine": True},
        discriminator={**plain, "depth": 3},
    )
    by_hand = 65 * 6272 + (128 * 9 + 1) * 64 + (64 * 9 + 1) * 32 + (32 * 9 + 1)
    assert size(family.build_generator(MNIST)) == by_hand
    by_hand = (16 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 16 + 1) * 128 + 128 * 9 + 1
    assert size(family.build_discriminator(MNIST)) == by_hand


def test_sngan_of_32_pixels() -> None:
    """The published implementations count 4,276,739, with nine biases of 256 that batch normalisation undoes."""
    family = ResNet(generator={"width": 256}, discriminator={"spectral": True})
    assert size(family.build_generator(CIFAR)) == 4_276_739 - 9 * 256
    assert size(family.build_discriminator(CIFAR)) == 1_053_825


@pytest.mark.parametrize(("side", "start"), [(8, 4), (17, 5), (28, 7), (32, 4), (48, 6), (64, 4), (128, 4)])
def test_generators_start_at_four_to_seven_pixels(side: int, start: int) -> None:
    form = Form((1, side, side))
    for family in (DCGAN(width=1), ResNet(width=1)):
        generator = family.build_generator(form)
        assert generator.size[1:] == (start, start)
        assert generator(torch.zeros(1, generator.latent.dimension)).shape == (1, 1, side, side)


@pytest.mark.parametrize("family", [DCGAN(width=2), ResNet(width=2)])
@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 3, 5), (1, 4, 70), (2, 9, 8)])
def test_small_and_narrow_pictures(family: Family, shape: tuple[int, ...]) -> None:
    generator, discriminator = family.build_generator(Form(shape)), family.build_discriminator(Form(shape))
    samples = generator(torch.zeros(2, generator.latent.dimension))
    assert samples.shape == (2, *shape)
    assert discriminator(samples).logits[0].shape == (2,)


def test_attention_stands_at_the_side_asked_for() -> None:
    family = ResNet(width=8, attention=16)
    generator, discriminator = family.build_generator(CIFAR), family.build_discriminator(CIFAR)
    assert [isinstance(each, SelfAttention) for each in generator.attention] == [False, True, False]
    assert [isinstance(each, SelfAttention) for each in discriminator.attention] == [True, False, False, False]


def test_points_are_not_bounded() -> None:
    generator = MLP(width=128, growth=1).build_generator(Form((2,)))
    assert generator(torch.randn(200, 100) * 100).abs().max() > 1
    assert size(generator) == 101 * 128 + 2 * 129 * 128 + 129 * 2


def test_players_have_their_own_width_and_depth() -> None:
    family = MLP(width=8, growth=1, generator={"width": 16, "depth": 1})
    assert size(family.build_generator(MNIST)) == 101 * 16 + 17 * 784
    assert size(family.build_discriminator(MNIST)) == 785 * 8 + 2 * 9 * 8 + 9


def test_initialisation_of_dcgan() -> None:
    generator = DCGAN().build_generator(Form((3, 64, 64)))
    assert generator.start.weight.std().item() == pytest.approx(0.02, rel=0.01)
    assert generator.norms[0].norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert generator.norms[0].norm.weight.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_survive_plain_data(name: str) -> None:
    family = VARIANTS[name]
    assert type(family).model_validate(family.model_dump(mode="json")) == family


def test_changing_one_field_of_the_latent_keeps_the_others() -> None:
    assert MLP(latent={"distribution": "uniform"}).latent.dimension == 100
    assert ResNet(latent={"distribution": "uniform"}).latent.dimension == 128


@pytest.mark.parametrize(
    ("family", "form", "labels", "said"),
    [
        (MLP(), Form((2,)), "projection", r"game\.labels: 'projection'"),
        (DCGAN(), Form((1, 28, 28)), "auxiliary", r"game\.labels: 'auxiliary'"),
        (ResNet(), Form((1, 28, 28)), "projection", r"game\.labels: 'projection'"),
        (MLP(depth=20), MNIST, "none", r"game\.networks\.depth: 20 layers"),
        (DCGAN(depth=6), MNIST, "none", r"game\.networks\.depth: 6 stages .* 1 to 4"),
        (DCGAN(), Form((2,)), "none", r"game\.networks\.family: 'dcgan' .* mlp"),
        (ResNet(), Form((1, 1, 9)), "none", r"game\.networks\.family: 'resnet'"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(family: Family, form: Form, labels: str, said: str) -> None:
    for build in (family.build_generator, family.build_discriminator):
        with pytest.raises(CardiganError, match=said) as refusal:
            build(form, labels)  # type: ignore[arg-type]
        assert "\n" not in str(refusal.value)


def test_the_key_of_the_player_is_named() -> None:
    with pytest.raises(CardiganError, match=r"game\.networks\.generator\.depth: 7"):
        ResNet(generator={"depth": 7}).build_generator(CIFAR)
    with pytest.raises(CardiganError, match=r"game\.networks\.discriminator\.depth: 7"):
        DCGAN(discriminator={"depth": 7}).build_discriminator(CIFAR)


def test_a_conditional_network_asks_for_labels() -> None:
    for family in (MLP(width=8), DCGAN(width=2), ResNet(width=2)):
        generator = family.build_generator(MNIST, "projection")
        with pytest.raises(CardiganError, match="conditional on class labels"):
            generator(torch.zeros(1, generator.latent.dimension))
        with pytest.raises(CardiganError, match="conditional on class labels"):
            family.build_discriminator(MNIST, "projection")(torch.zeros(1, 1, 28, 28))


@pytest.mark.parametrize("fields", [{"widht": 3}, {"width": 0}, {"growth": 0.5}, {"discriminator": {"dropout": 1}}])
def test_bad_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MLP.model_validate(fields)
