"""What every family must hold, with every use of labels, every shape and any batch size."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from variants import SHAPES, VARIANTS

from cardigan.networks.base import Discriminator, Generator, Judgement, Labels
from cardigan.networks.layers.attention import SelfAttention
from cardigan.networks.layers.normalisation import BatchNorm
from cardigan.randomness import Random, use
from cardigan.sample import Form

CLASSES = 3
CASES = [
    pytest.param(name, shape, id=f"{name}-{'x'.join(map(str, shape))}")
    for name in VARIANTS
    for shape in [*SHAPES, *([(2,)] if name.startswith("mlp") else [])]
]
every_case = pytest.mark.parametrize(("name", "shape"), CASES)
every_family = pytest.mark.parametrize("name", VARIANTS)
every_labels = pytest.mark.parametrize("labels", ["none", "projection", "auxiliary"])


def build(name: str, shape: tuple[int, ...], labels: Labels = "none") -> tuple[Generator, Discriminator]:
    """Both players, moved off the points where a new network is blind: attention of gain 0, equal gains per class."""
    form = Form(shape, CLASSES)
    generator, discriminator = (
        VARIANTS[name].build_generator(form, labels),
        VARIANTS[name].build_discriminator(form, labels),
    )
    for module in [*generator.modules(), *discriminator.modules()]:
        if isinstance(module, SelfAttention):
            nn.init.constant_(module.gain, 0.5)
        if isinstance(module, nn.Embedding) and not hasattr(module, "parametrizations"):
            module.weight.data.add_(0.3 * torch.randn_like(module.weight))
    return generator, discriminator


def inputs(generator: Generator, count: int) -> tuple[Tensor, Tensor]:
    return generator.sample_latents(count, Random(1)), torch.arange(count) % CLASSES


def loss_of(judgement: Judgement, labels: Tensor) -> Tensor:
    loss = judgement.logits[0].sum()
    return loss if judgement.class_logits is None else loss + F.cross_entropy(judgement.class_logits, labels)


@every_labels
@every_case
@pytest.mark.parametrize("count", [1, 2, 5])
def test_shapes_ranges_and_gradients(name: str, shape: tuple[int, ...], labels: Labels, count: int) -> None:
    generator, discriminator = build(name, shape, labels)
    latents, classes = inputs(generator, count)
    with use(Random(2)):
        samples = generator(latents, classes)
        judgement = discriminator(samples, classes, features=True)
    assert samples.shape == (count, *shape)
    assert samples.dtype == torch.float32
    if len(shape) == 3:
        assert samples.abs().max() <= 1
    assert [each.shape for each in judgement.logits] == [(count,)]
    assert (judgement.class_logits is not None) == (labels == "auxiliary")
    assert judgement.class_logits is None or judgement.class_logits.shape == (count, CLASSES)
    assert judgement.features and all(len(each) == count for each in judgement.features)
    loss_of(judgement, classes).backward()
    for player in (generator, discriminator):
        for key, parameter in player.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key
            assert parameter.grad.abs().sum() > 0, key


@every_labels
@every_case
def test_a_gradient_penalty_reaches_the_weights(name: str, shape: tuple[int, ...], labels: Labels) -> None:
    generator, discriminator = build(name, shape, labels)
    _, classes = inputs(generator, 3)
    real = torch.randn(3, *shape).tanh().requires_grad_()
    with use(Random(3)):
        logits = discriminator(real, classes).logits[0]
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    gradient.square().sum().backward()
    for key, parameter in discriminator.named_parameters():
        if "weight" in key and "classifier" not in key:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key
            assert parameter.grad.abs().sum() > 0, key


@every_family
def test_penalties_differentiate_generators_too(name: str) -> None:
    generator, _ = build(name, (1, 28, 28))
    latents = inputs(generator, 3)[0].requires_grad_()
    (gradient,) = torch.autograd.grad(generator(latents).square().sum(), latents, create_graph=True)
    gradient.square().sum().backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in generator.parameters())


@every_labels
@every_family
def test_only_conditional_networks_read_labels(name: str, labels: Labels) -> None:
    generator, discriminator = (player.eval() for player in build(name, (1, 28, 28), labels))
    latents, classes = inputs(generator, 4)
    others = (classes + 1) % CLASSES
    samples = torch.randn(4, 1, 28, 28)
    differs = not torch.equal(generator(latents, classes), generator(latents, others))
    assert differs == (labels != "none")
    differs = not torch.equal(discriminator(samples, classes).logits[0], discriminator(samples, others).logits[0])
    assert differs == (labels == "projection")


@every_family
def test_equal_streams_give_equal_bits(name: str) -> None:
    outcomes = []
    for _ in range(2):
        torch.manual_seed(5)
        generator, discriminator = build(name, (1, 28, 28))
        with use(Random(6)):
            outcomes.append(discriminator(generator(inputs(generator, 4)[0])).logits[0])
    assert torch.equal(*outcomes)


@every_family
def test_bf16_and_channels_last_change_little(name: str) -> None:
    """Outputs stay float32; the gradient of a loss with R1 keeps its direction.

    Normalising residuals over a small batch magnifies bf16's rounding (cosine 0.8 with R1): less is asked there.
    """
    generator, discriminator = build(name, (3, 17, 23))
    penalised = not any(isinstance(each, BatchNorm) for each in discriminator.modules())
    latents = inputs(generator, 8)[0]

    def gradient(bf16: bool) -> Tensor:
        players = [copy.deepcopy(generator), copy.deepcopy(discriminator)]
        if bf16:
            players = [player.to(memory_format=torch.channels_last) for player in players]  # type: ignore[call-overload]
        with use(Random(7)), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            samples = players[0](latents)
            logits = players[1](samples).logits[0]
            loss = F.softplus(logits).sum()
            if penalised:
                (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
                loss = loss + slope.square().sum()
        assert samples.dtype == logits.dtype == torch.float32
        loss.backward()
        return torch.cat([each.grad.flatten() for each in players[1].parameters() if each.grad is not None])

    assert F.cosine_similarity(gradient(True), gradient(False), dim=0) > (0.98 if penalised else 0.9)


@every_labels
@every_family
def test_weights_survive_saving_and_copying(name: str, labels: Labels, tmp_path: Path) -> None:
    first, second = build(name, (1, 28, 28), labels), build(name, (1, 28, 28), labels)
    latents, classes = inputs(first[0], 4)
    with use(Random(8)):  # running statistics and power iterations move, and must be saved
        first[1](first[0](latents, classes), classes)
    for player, restored in zip(first, second, strict=True):
        save_file(player.state_dict(), tmp_path / "player.safetensors")
        restored.load_state_dict(load_file(tmp_path / "player.safetensors"))
    for copied in (second, copy.deepcopy(first)):
        samples, same = (players[0].eval()(latents, classes) for players in (first, copied))
        assert torch.equal(samples, same)
        real, alike = (players[1].eval()(samples, classes).logits[0] for players in (first, copied))
        assert torch.equal(real, alike)


@every_family
def test_latents_and_centre(name: str) -> None:
    settings = VARIANTS[name]
    uniform = settings.model_copy(update={"latent": settings.latent.model_copy(update={"distribution": "uniform"})})
    for family, bound in ((settings, 6.0), (uniform, 1.0)):
        generator = family.build_generator(Form((1, 28, 28)))
        latents = generator.sample_latents(64, Random(0))
        assert latents.shape == (64, settings.latent.dimension)
        assert -bound <= latents.min() < -0.9 and 0.9 < latents.max() <= bound
        assert torch.equal(generator.centre().expand(3, -1), torch.zeros(3, settings.latent.dimension))
        assert torch.equal(generator.map(latents), latents)


@every_family
def test_double_precision(name: str) -> None:
    generator, discriminator = (player.double() for player in build(name, (1, 28, 28)))
    samples = generator(inputs(generator, 2)[0].double())
    assert samples.dtype == discriminator(samples).logits[0].dtype == torch.float64
