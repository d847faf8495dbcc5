"""What discriminators of patches and of pixels must hold, and what they are by their papers."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.networks import DISCRIMINATORS
from cardigan.networks.base import Discriminator, DiscriminatorFamily
from cardigan.networks.layers.normalisation import BatchNorm
from cardigan.networks.patch import Patch
from cardigan.networks.unet_discriminator import UNetDiscriminator
from cardigan.sample import Form
from cardigan.settings import resolve

VARIANTS: dict[str, DiscriminatorFamily] = {
    "patch": Patch(width=4, depth=2),
    "patch-layer": Patch(width=3, depth=1, normalisation="layer"),
    "patch-batch": Patch(width=4, depth=2, normalisation="batch"),
    "patch-plain": Patch(width=5, depth=2, normalisation="none"),
    "patch-spectral": Patch(width=4, depth=2, normalisation="none", spectral=True),
    "patch-scales": Patch(width=4, depth=1, scales=2),
    "unet-discriminator": UNetDiscriminator(width=3),
}
FORMS = [
    Form((3, 16, 16), source=(3, 16, 16)),
    Form((1, 17, 23), source=(4, 17, 23)),
    Form((4, 28, 24), source=(2, 7, 6)),
    Form((2, 12, 20)),
]
every_discriminator = pytest.mark.parametrize("name", VARIANTS)
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: "x".join(map(str, form.shape)))


def build(name: str, form: Form = FORMS[0], conditional: bool = True) -> Discriminator:
    return VARIANTS[name].build(form, conditional)


def pictures(count: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(count, *shape).mul(0.5).tanh()


def inputs(count: int, form: Form) -> tuple[Tensor, Tensor | None]:
    return pictures(count, form.shape), None if form.source is None else pictures(count, form.source)


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@every_discriminator
@every_form
@pytest.mark.parametrize("count", [1, 3])
def test_shapes_and_gradients(name: str, form: Form, count: int) -> None:
    discriminator = build(name, form, form.source is not None)
    sample, source = inputs(count, form)
    judgement = discriminator(sample, source, features=True)
    assert len(judgement.logits) == (2 if name == "patch-scales" else 1)
    assert all(each.dim() == 3 and len(each) == count and each.dtype == torch.float32 for each in judgement.logits)
    assert judgement.features and all(each.dim() == 4 and len(each) == count for each in judgement.features)
    assert not discriminator(sample, source).features
    assert judgement.class_logits is None and judgement.mask is None
    sum((each * torch.randn_like(each)).sum() for each in judgement.logits).backward()  # type: ignore[union-attr]
    for key, parameter in discriminator.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key


@every_discriminator
def test_other_sizes(name: str) -> None:
    discriminator = build(name).eval()
    for height, width in [(12, 13), (15, 40), (33, 18)]:
        logits = discriminator(*inputs(1, Form((3, height, width), source=(3, height, width)))).logits
        if name == "unet-discriminator":
            assert logits[0].shape == (1, height, width)
        assert all(each.numel() and each.isfinite().all() for each in logits)


def test_pixels_of_any_size() -> None:
    discriminator = UNetDiscriminator(width=2).build(Form((1, 8, 8)), False)
    for height, width in [(1, 1), (3, 5), (8, 9), (30, 17)]:
        assert discriminator(torch.zeros(1, 1, height, width)).logits[0].shape == (1, height, width)


@every_discriminator
@pytest.mark.parametrize("conditional", [False, True])
def test_only_conditional_ones_read_sources(name: str, conditional: bool) -> None:
    form = Form((3, 16, 16), source=(1, 8, 8))
    discriminator = build(name, form, conditional).eval()
    sample, source = inputs(2, form)
    first, second = (discriminator(sample, each).logits[0] for each in (source, -source))  # type: ignore[operator]
    assert torch.equal(first, second) != conditional
    if conditional:
        with pytest.raises(CardiganError, match="beside their sources, and none were given"):
            discriminator(sample)
    else:
        assert torch.equal(discriminator(sample).logits[0], first)


def test_sources_are_brought_to_the_size_of_samples() -> None:
    form = Form((1, 16, 16), source=(1, 4, 4))
    discriminator = build("patch", form).eval()
    sample, source = inputs(2, form)
    enlarged = F.interpolate(source, size=(16, 16), mode="bilinear", align_corners=False)
    assert torch.equal(discriminator(sample, source).logits[0], discriminator(sample, enlarged).logits[0])
    assert discriminator(sample, pictures(2, (1, 40, 24))).logits[0].shape == (2, 2, 2)


@every_discriminator
def test_one_sample_is_judged_as_in_a_batch(name: str) -> None:
    discriminator = build(name).eval()
    sample, source = inputs(3, FORMS[0])
    together = discriminator(sample, source).logits[0]
    alone = torch.cat([discriminator(*each).logits[0] for each in zip(sample.split(1), source.split(1), strict=True)])  # type: ignore[union-attr]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@every_discriminator
@every_form
def test_a_gradient_penalty_reaches_the_weights(name: str, form: Form) -> None:
    discriminator = build(name, form, form.source is not None)
    sample, source = inputs(3, form)
    sample.requires_grad_()
    logits = sum(each.square().sum() for each in discriminator(sample, source).logits)
    (gradient,) = torch.autograd.grad(logits, sample, create_graph=True)  # type: ignore[arg-type]
    gradient.square().sum().backward()
    for key, parameter in discriminator.named_parameters():
        if "weight" in key:
            assert parameter.grad is not None and parameter.grad.isfinite().all(), key
            assert parameter.grad.abs().sum() > 0, key


@every_discriminator
def test_bf16_and_channels_last_change_little(name: str) -> None:
    """The gradient of a loss with R1 keeps its direction; without R1 where the batch is normalised."""
    form = Form((3, 17, 23), source=(1, 17, 23))
    discriminator = build(name, form)
    sample, source = inputs(8, form)
    penalised = not any(isinstance(each, BatchNorm) for each in discriminator.modules())

    def gradient(bf16: bool) -> Tensor:
        own, seen = copy.deepcopy(discriminator), sample
        if bf16:
            own = own.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            seen = sample.to(memory_format=torch.channels_last)
        seen = seen.detach().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = own(seen, source).logits
            loss = sum(F.softplus(each).mean() for each in logits)
            if penalised:
                total = sum(each.sum() for each in logits)
                (slope,) = torch.autograd.grad(total, seen, create_graph=True)  # type: ignore[arg-type]
                loss = loss + slope.square().mean()
        assert all(each.dtype == torch.float32 for each in logits)
        loss.backward()  # type: ignore[union-attr]
        return torch.cat([each.grad.flatten() for each in own.parameters() if each.grad is not None])

    assert F.cosine_similarity(gradient(True), gradient(False), dim=0) > 0.98


@every_discriminator
def test_weights_survive_saving_and_copying(name: str, tmp_path: Path) -> None:
    first, second = build(name), build(name)
    sample, source = inputs(2, FORMS[0])
    first(sample, source)  # running statistics and power iterations move, and must be saved
    save_file(first.state_dict(), tmp_path / "discriminator.safetensors")
    second.load_state_dict(load_file(tmp_path / "discriminator.safetensors"))
    for other in (second, copy.deepcopy(first)):
        for mine, same in zip(first.eval()(sample, source).logits, other.eval()(sample, source).logits, strict=True):
            assert torch.equal(mine, same)


@every_discriminator
def test_double_precision_and_equal_seeds(name: str) -> None:
    outcomes = []
    for _ in range(2):
        torch.manual_seed(5)
        discriminator = build(name, conditional=False).double()
        outcomes.append(discriminator(pictures(2, (3, 16, 16)).double()).logits[0])
    assert outcomes[0].dtype == torch.float64
    assert torch.equal(*outcomes)


def averaging(discriminator: Discriminator) -> Discriminator:
    """The same with weights that only average: nothing cancels, whatever is seen has an influence."""
    for parameter in discriminator.double().parameters():
        nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.dim() > 1 else 0.0)
    return discriminator


@pytest.mark.parametrize(("depth", "patch"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_patches_have_the_published_size(depth: int, patch: int) -> None:
    """Changing one pixel changes those logits whose patch holds it: patch i starts at 2^depth (i - 3) + 1."""
    side = 2 * patch
    discriminator = averaging(Patch(width=1, depth=depth, normalisation="none").build(Form((1, side, side)), False))
    picture = torch.rand(1, 1, side, side, dtype=torch.float64)
    starts = 2**depth * (torch.arange((side >> depth) - 2) - 3) + 1
    before = discriminator(picture).logits[0]
    assert before.shape == (1, len(starts), len(starts))
    for row, column in [(0, side - 1), (patch, patch + 1), (patch + 2**depth - 1, 5)]:
        changed = picture.clone()
        changed[0, 0, row, column] += 1
        differs = (discriminator(changed).logits[0] - before)[0] != 0
        holds = [(starts <= place) & (place < starts + patch) for place in (row, column)]
        assert torch.equal(differs, holds[0][:, None] & holds[1][None])


def test_scales_see_halved_pictures() -> None:
    form = Form((3, 48, 32), source=(3, 48, 32))
    discriminator = Patch(width=4, depth=1, scales=3).build(form, False).eval()
    picture = pictures(2, form.shape)
    judgement = discriminator(picture, features=True)
    assert [each.shape[1:] for each in judgement.logits] == [(22, 14), (10, 6), (4, 2)]
    assert len(judgement.features) == 3 * 2
    halved = F.avg_pool2d(picture, 3, 2, 1, count_include_pad=False)
    by_hand, _ = discriminator.networks[1](halved)  # type: ignore[index, operator]
    assert torch.equal(judgement.logits[1], by_hand)
    assert size(discriminator) == 3 * size(Patch(width=4, depth=1).build(form, False))


def test_a_pixel_is_judged_by_its_surroundings() -> None:
    """Neither the 3x3 convolutions at full size alone nor the whole picture: three halvings and doublings."""
    discriminator = averaging(UNetDiscriminator(width=1).build(Form((1, 96, 96)), False))
    picture = torch.rand(1, 1, 96, 96, dtype=torch.float64, requires_grad=True)
    discriminator(picture)  # power iterations find the new weights
    (gradient,) = torch.autograd.grad(discriminator.eval()(picture).logits[0][0, 48, 48], picture)
    seen = gradient[0, 0].nonzero()
    assert (seen.min(0).values < 48 - 16).all() and (seen.max(0).values > 48 + 16).all()
    assert (seen.min(0).values > 0).all() and (seen.max(0).values < 95).all()
    assert gradient[0, 0].argmax() == 48 * 96 + 48


def test_published_sizes() -> None:
    """pix2pix: 2.769 M; CycleGAN's 2.765 M have biases instead of gains and biases; Real-ESRGAN: 4.377 M."""
    form = Form((3, 256, 256), source=(3, 256, 256))
    assert size(Patch(normalisation="batch").build(form, True)) == 2_768_705
    assert size(Patch().build(form, False)) == 2_764_737 + 128 + 256 + 512
    assert size(UNetDiscriminator().build(form, False)) == 4_376_897


def test_initial_weights() -> None:
    network = Patch().build(Form((3, 64, 64)), False).networks[0]
    assert network.stages[2][0].weight.std().item() == pytest.approx(0.02, rel=0.02)  # type: ignore[union-attr, index]
    assert network.end.bias.item() == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["patch-spectral", "unet-discriminator"])
def test_largest_singular_values_are_one(name: str) -> None:
    network = build(name, conditional=False)
    for _ in range(40):
        network(pictures(1, (3, 16, 16)))
    free = 2 if name == "unet-discriminator" else 0
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
    normalised = [each for each in layers if hasattr(each, "parametrizations")]
    assert len(normalised) == len(layers) - free
    for layer in normalised:
        weight = layer.weight.detach().flatten(1).numpy()
        assert np.linalg.svd(weight, compute_uv=False)[0] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("tag", DISCRIMINATORS)
def test_names_of_recipes(tag: str) -> None:
    family = resolve(tag, DISCRIMINATORS, "family")()
    assert family.family == tag
    assert type(family).model_validate(family.model_dump(mode="json")) == family


@pytest.mark.parametrize(
    ("family", "form", "conditional", "said"),
    [
        (Patch(), Form((2,)), False, r"game\.discriminator\.family: 'patch' judges pictures, .* \(2,\)"),
        (UNetDiscriminator(), Form((2,)), False, r"game\.discriminator\.family: 'unet-discriminator' judges pictures"),
        (Patch(), Form((3, 64, 64)), True, r"game\.discriminator\.family: 'patch' .* have none; allowed"),
        (UNetDiscriminator(), Form((3, 64, 64), source=(9,)), True, r"game\.discriminator\.family: .* shape \(9,\)"),
        (Patch(), Form((3, 16, 90)), False, r"game\.discriminator\.depth: 3 stages .* 16x90; allowed: 1 to 2"),
        (Patch(scales=2), Form((3, 28, 28)), False, r"scales 2 leave nothing of pictures of 28x28; allowed: 1 to 2"),
        (Patch(depth=1), Form((3, 5, 5)), False, r"game\.discriminator\.depth: .* 5x5; allowed: larger pictures"),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(
    family: DiscriminatorFamily, form: Form, conditional: bool, said: str
) -> None:
    with pytest.raises(CardiganError, match=said) as refusal:
        family.build(form, conditional)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("scales", [1, 2])
def test_the_smallest_pictures_that_are_taken_give_one_logit(depth: int, scales: int) -> None:
    side = (3 << depth) * scales - (scales - 1)
    family = Patch(width=1, depth=depth, scales=scales)
    assert family.build(Form((1, side, side)), False)(torch.zeros(1, 1, side, side)).logits[-1].shape == (1, 1, 1)
    with pytest.raises(CardiganError):
        family.build(Form((1, side - 1, side)), False)


@pytest.mark.parametrize("fields", [{"depth": 0}, {"scales": 0}, {"normalisation": "spectral"}, {"widht": 3}])
def test_bad_fields_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Patch.model_validate(fields)
