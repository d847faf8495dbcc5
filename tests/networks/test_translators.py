"""What every translator must hold, and what each is by its paper."""

import copy
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.networks import TRANSLATORS
from cardigan.networks.base import Translator, TranslatorFamily
from cardigan.networks.compact import Compact
from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.layers.normalisation import BatchNorm, InstanceNorm, Normalisation
from cardigan.networks.layers.sources import cropped, padded
from cardigan.networks.resnet_translator import ResNetTranslator
from cardigan.networks.rrdb import RRDB
from cardigan.networks.unet import UNet
from cardigan.randomness import Random, use
from cardigan.sample import Form
from cardigan.settings import resolve

VARIANTS: dict[str, TranslatorFamily] = {
    "unet": UNet(width=4),
    "unet-gated": UNet(width=3, depth=2, normalisation="none", gated=True, upsample="transposed"),
    "unet-dropout": UNet(width=4, depth=3, gated=True, dropout=0.3),
    "unet-residual": UNet(width=4, depth=2, normalisation="batch", output="residual"),
    "unet-layer": UNet(width=5, depth=1, normalisation="layer"),
    "unet-residual-coarse": UNet(width=4, depth=2, normalisation="none", output="residual", refine=False),
    "unet-refined": UNet(width=3, depth=1, gated=True, refine=True),
    "resnet-translator": ResNetTranslator(width=4, blocks=2),
    "resnet-translator-plain": ResNetTranslator(width=3, halvings=1, blocks=1, normalisation="none"),
    "resnet-translator-batch": ResNetTranslator(width=4, halvings=0, blocks=3, normalisation="batch"),
    "rrdb": RRDB(width=4, blocks=1, growth=3),
    "compact": Compact(width=4, depth=2),
    "compact-bicubic": Compact(width=5, depth=1, base="bicubic"),
}
ENLARGING = [name for name in VARIANTS if name.startswith(("rrdb", "compact"))]
BOUNDED = [name for name in VARIANTS if name not in ENLARGING and "residual" not in name]
CASES = [
    *[(name, (3, 16, 16), (3, 16, 16)) for name in VARIANTS],
    *[(name, (1, 17, 23), (4, 17, 23)) for name in VARIANTS],
    *[(name, (3, 24, 40), (3, 12, 20)) for name in ENLARGING],
    *[(name, (2, 24, 32), (2, 6, 8)) for name in ENLARGING],
    *[(name, (1, 40, 24), (3, 5, 3)) for name in ENLARGING],
    ("compact-bicubic", (3, 15, 21), (4, 5, 7)),
]
every_case = pytest.mark.parametrize(("name", "shape", "source"), CASES)
every_translator = pytest.mark.parametrize("name", VARIANTS)


def build(name: str, shape: tuple[int, ...] = (3, 16, 16), source: tuple[int, ...] = (3, 16, 16)) -> Translator:
    return VARIANTS[name].build(Form(shape, source=source))


def pictures(count: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(count, *shape).mul(0.5).tanh()


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@every_case
@pytest.mark.parametrize("count", [1, 3])
def test_shapes_ranges_and_gradients(name: str, shape: tuple[int, ...], source: tuple[int, ...], count: int) -> None:
    translator = build(name, shape, source)
    with use(Random(2)):
        samples = translator(pictures(count, source))
    assert samples.shape == (count, *shape)
    assert samples.dtype == torch.float32
    assert translator.scale * source[1] == shape[1]
    assert name not in BOUNDED or samples.abs().max() <= 1
    (samples * torch.randn_like(samples)).sum().backward()
    for key, parameter in translator.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key


@every_translator
def test_any_size(name: str) -> None:
    translator = build(name).eval()
    for height, width in [(1, 1), (2, 3), (5, 7), (8, 40), (33, 18)]:
        assert translator(pictures(1, (3, height, width))).shape == (1, 3, height, width)
    assert translator(pictures(2, (3, 2 * translator.multiple, 3 * translator.multiple))).isfinite().all()


@pytest.mark.parametrize("name", ["unet", "resnet-translator", "rrdb", "compact"])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (4, 1), (2, 3), (3, 4)])
def test_any_channels(name: str, inputs: int, outputs: int) -> None:
    form = Form((outputs, 8, 8), source=(max(inputs, outputs) if name == "compact" else inputs, 8, 8))
    assert VARIANTS[name].build(form)(pictures(1, form.source)).shape == (1, outputs, 8, 8)  # type: ignore[arg-type]


@every_translator
def test_one_sample_is_made_as_in_a_batch(name: str) -> None:
    translator = build(name).eval()
    source = pictures(4, (3, 12, 20))
    one_by_one = torch.cat([translator(each[None]) for each in source])
    torch.testing.assert_close(translator(source), one_by_one, atol=1e-5, rtol=1e-4)


@every_translator
def test_second_derivatives(name: str) -> None:
    translator, source = build(name), pictures(2, (3, 16, 16)).requires_grad_()
    (gradient,) = torch.autograd.grad(translator(source).square().sum(), source, create_graph=True)
    gradient.square().sum().backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in translator.parameters())


@every_translator
def test_bf16_and_channels_last_change_little(name: str) -> None:
    translator, source = build(name, (3, 17, 23), (3, 17, 23)), pictures(8, (3, 17, 23))
    direction = torch.randn(8, 3, 17, 23)

    def gradient(bf16: bool) -> Tensor:
        own, seen = copy.deepcopy(translator), source
        if bf16:
            own = own.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            seen = source.to(memory_format=torch.channels_last)
        with use(Random(7)), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            samples = own(seen)
        assert samples.dtype == torch.float32
        (samples * direction).sum().backward()
        return torch.cat([each.grad.flatten() for each in own.parameters() if each.grad is not None])

    assert F.cosine_similarity(gradient(True), gradient(False), dim=0) > 0.98


@every_translator
def test_bf16_weights_and_double_precision(name: str) -> None:
    source = pictures(2, (3, 16, 16))
    assert build(name).double()(source.double()).dtype == torch.float64
    assert build(name).bfloat16()(source.bfloat16()).dtype == torch.float32


@every_translator
def test_weights_survive_saving_and_copying(name: str, tmp_path: Path) -> None:
    first, second = build(name), build(name)
    source = pictures(2, (3, 16, 16))
    first(source)  # running statistics move, and must be saved
    save_file(first.state_dict(), tmp_path / "translator.safetensors")
    second.load_state_dict(load_file(tmp_path / "translator.safetensors"))
    for other in (second, copy.deepcopy(first)):
        assert torch.equal(first.eval()(source), other.eval()(source))


@every_translator
def test_equal_seeds_give_equal_bits(name: str) -> None:
    outcomes = []
    for _ in range(2):
        torch.manual_seed(5)
        translator = build(name)
        with use(Random(6)):
            outcomes.append(translator(pictures(2, (3, 16, 16))))
    assert torch.equal(*outcomes)


FINITE = [
    (UNet(width=2, depth=1, normalisation="none"), 1),
    (UNet(width=2, depth=3, normalisation="batch"), 1),
    (UNet(width=2, depth=2, normalisation="batch", refine=True), 1),
    (UNet(width=2, depth=3, normalisation="none", gated=True, upsample="transposed", output="residual"), 1),
    (ResNetTranslator(width=2, blocks=2, normalisation="none"), 1),
    (ResNetTranslator(width=2, blocks=1, halvings=3, normalisation="batch"), 1),
    *[(RRDB(width=2, blocks=1, growth=2), scale) for scale in (1, 2, 4, 8)],
    *[(Compact(width=2, depth=1), scale) for scale in (1, 3)],
    *[(Compact(width=2, depth=3, base="bicubic"), scale) for scale in (1, 2, 8)],
]
every_finite = pytest.mark.parametrize(("family", "scale"), FINITE)


@every_finite
def test_a_tile_with_its_margin_is_made_like_the_whole(family: TranslatorFamily, scale: int) -> None:
    translator = family.build(Form((3, 16 * scale, 16 * scale), source=(3, 16, 16))).eval()
    for parameter in translator.parameters():
        parameter.data.mul_(2)
    step = translator.multiple
    margin = -(-translator.margin // step) * step
    side = 2 * margin + 2 * step
    source = pictures(1, (3, side + step, side))
    whole = translator(source)
    tile = translator(source[:, :, step : step + 2 * margin + step, : 2 * margin + step])
    inside = slice(scale * margin, scale * (margin + step))
    there = slice(scale * (margin + step), scale * (margin + 2 * step))
    torch.testing.assert_close(tile[:, :, inside, inside], whole[:, :, there, inside], atol=1e-4, rtol=0)


@every_finite
def test_margins_are_exact(family: TranslatorFamily, scale: int) -> None:
    """With weights that only average, nothing cancels: the columns of a source that a pixel depends on are seen."""
    translator = family.build(Form((1, 16 * scale, 16 * scale), source=(1, 16, 16))).double().eval()
    for parameter in translator.parameters():
        if parameter.dim() > 1:
            nn.init.constant_(parameter, 1 / parameter[0].numel())
    step, farthest = translator.multiple, 0
    middle = (translator.margin // step + 2) * step
    source = torch.rand(1, 1, 2 * step, 2 * middle + step, dtype=torch.float64, requires_grad=True)
    row = translator(source)[0, 0, 0]
    for pixel in range(scale * middle, scale * (middle + step)):
        (gradient,) = torch.autograd.grad(row[pixel], source, retain_graph=True)
        columns = gradient.abs().sum((0, 1, 2)).nonzero()
        own = pixel // scale
        farthest = max(farthest, own - int(columns.min()), int(columns.max()) - own)
    # Behind doublings the last pixel is reached only where scales divide so; it counts all the same.
    assert translator.margin - (scale > 1) <= farthest <= translator.margin


def test_margins_where_whole_maps_are_normalised() -> None:
    form = Form((3, 64, 64), source=(3, 64, 64))
    assert UNet(width=1).build(form).margin == 32
    assert UNet(width=1, normalisation="none").build(form).margin == 3 * (16 - 1)
    assert UNet(width=1, depth=2).build(form).margin == 9
    assert ResNetTranslator(width=1, blocks=1).build(form).margin == 6 + 9 + 8


def test_pix2pix_generator() -> None:
    """U-Net 256, 54.414 M published: the first and the innermost convolution have biases here."""
    form = Form((3, 256, 256), source=(3, 256, 256))
    translator = UNet(depth=8, normalisation="batch", upsample="transposed").build(form)
    levels = [64, 128, 256, 512, 512, 512, 512, 512]
    inward = 16 * (3 * 64 + sum(a * b for a, b in pairwise(levels)))
    outward = 16 * (512 * 512 + 3 * 1024 * 512 + 1024 * 256 + 512 * 128 + 256 * 64 + 128 * 3) + 3
    norms = 2 * (128 + 256 + 4 * 512) + 2 * (4 * 512 + 256 + 128 + 64)
    assert size(translator) == inward + outward + norms + 64 + 512 == 54_413_955 + 64 + 512


def test_cyclegan_generator() -> None:
    """Nine blocks, 11.378 M published, with biases before normalisations that have no gains: here two for each."""
    translator = ResNetTranslator(blocks=9).build(Form((3, 256, 256), source=(3, 256, 256)))
    normalised = 64 + 128 + 256 + 18 * 256 + 128 + 64
    assert size(translator) == 11_378_179 + normalised


def test_esrgan_generator() -> None:
    """16.70 M published for scale 4."""
    translator = RRDB().build(Form((3, 128, 128), source=(3, 32, 32)))
    assert size(translator) == 16_697_987
    first = translator.blocks[0].dense[0].layers[0].weight  # type: ignore[union-attr, index]
    assert first.std().item() == pytest.approx(0.1 * (2 / (9 * 64)) ** 0.5, rel=0.03)


def test_compact_generators() -> None:
    """1.21 M published for 32 layers and scale 4."""
    assert size(Compact(depth=32).build(Form((3, 64, 64), source=(3, 16, 16)))) == 1_213_296
    assert size(Compact(width=8, depth=1).build(Form((1, 16, 16), source=(1, 16, 16)))) == 80 + 8 + 584 + 8 + 73


@pytest.mark.parametrize("base", ["nearest", "bicubic"])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_compact_starts_at_the_enlarged_source(base: str, scale: int) -> None:
    family = Compact.model_validate({"width": 16, "depth": 8, "base": base})
    source = pictures(2, (4, 6, 5))
    made = family.build(Form((3, 6 * scale, 5 * scale), source=(4, 6, 5)))(source)
    enlarged = F.interpolate(source[:, :3], scale_factor=scale, mode=base)
    assert 1e-4 < (made - enlarged).square().mean().sqrt() < 0.05


def test_a_residual_unet_starts_near_the_source() -> None:
    for kind in ("none", "instance"):
        family = UNet.model_validate({"width": 16, "normalisation": kind, "output": "residual"})
        source = pictures(2, (4, 32, 32))
        correction = family.build(Form((3, 32, 32), source=(4, 32, 32)))(source) - source[:, :3]
        assert 1e-6 < correction.square().mean().sqrt() < 0.1, kind


def test_depth_of_unets() -> None:
    for sides, depth in [((4, 4), 1), ((28, 28), 3), ((64, 64), 4), ((48, 200), 4), ((2000, 1100), 8)]:
        form = Form((1, *sides), source=(1, *sides))
        assert UNet(width=1).build(form).multiple == 2**depth


def test_dropout_lies_in_the_deepest_half_of_the_doublings() -> None:
    form = Form((3, 256, 256), source=(3, 256, 256))
    for depth, expected in [(8, 3), (6, 3), (4, 2), (2, 1), (1, 0)]:
        translator = UNet(width=1, depth=depth, dropout=0.5).build(form)
        dropping = [each.dropped > 0 for each in translator.modules() if isinstance(each, Dropout)]
        assert dropping == [False] * depth + [True] * expected + [False] * (depth - 1 - expected)


def test_dropout_comes_from_the_stream_and_rests_in_eval_mode() -> None:
    translator, source = build("unet-dropout"), pictures(2, (3, 16, 16))
    with use(Random(0)):
        first, second = translator(source), translator(source)
    with use(Random(0)):
        again = translator(source)
    assert torch.equal(first, again) and not torch.equal(first, second)
    assert torch.equal(translator.eval()(source), translator(source))


def test_gates_close() -> None:
    translator = build("unet-gated")
    stage = translator.inward[0]  # type: ignore[index]
    nn.init.constant_(stage.gate.bias, -1e4)  # type: ignore[union-attr, arg-type]
    assert stage(pictures(1, (3, 8, 8))).abs().max() == 0  # type: ignore[operator]


def test_activations_on_the_way_in() -> None:
    source = pictures(2, (3, 16, 24)).requires_grad_()
    translator = ResNetTranslator(width=4, blocks=6).build(Form((3, 16, 16), source=(3, 16, 16)))
    seen = translator.encode(source)
    expected = [(3, 16, 24), (4, 16, 24), (8, 8, 12), (16, 4, 6), (16, 4, 6), (16, 4, 6)]
    assert [each.shape[1:] for each in seen] == expected
    assert torch.equal(seen[0], source)
    x = seen[3]
    for block in list(translator.blocks)[:4]:  # type: ignore[arg-type]
        x = block(x)
    assert torch.equal(seen[-1], x)
    sum(each.square().sum() for each in seen).backward()  # type: ignore[union-attr]
    assert source.grad is not None and source.grad.abs().sum() > 0
    assert len(ResNetTranslator(width=4, blocks=1).build(Form((3, 8, 8), source=(3, 8, 8))).encode(source)) == 5
    with pytest.raises(CardiganError, match="UNetTranslator gives no activations"):
        build("unet").encode(source)


def test_padding_repeats_edges_and_is_cut_off() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    longer = padded(x, 4, 5)
    assert longer.shape == (1, 1, 8, 8)
    assert torch.equal(longer[0, 0, 1], torch.tensor([3.0, 4, 5, 5, 5, 5, 5, 5]))
    assert torch.equal(longer[0, 0, 7], longer[0, 0, 1])
    assert torch.equal(cropped(longer, x), x)
    assert padded(x, 1) is x


def test_instance_norm_is_torchs() -> None:
    ours, torchs = Normalisation("instance", 3), nn.InstanceNorm2d(3, affine=True)
    for norm in (ours.norm, torchs):
        norm.weight.data, norm.bias.data = torch.tensor([1.0, 2, 3]), torch.tensor([3.0, 2, 1])
    for layout, count in product((torch.contiguous_format, torch.channels_last), (1, 4)):
        x = (torch.randn(count, 3, 5, 4) * 2 + 1).to(memory_format=layout)
        torch.testing.assert_close(ours(x), torchs(x))


def test_instance_norm_of_one_pixel_keeps_it() -> None:
    norm = InstanceNorm(3)
    norm.weight.data.fill_(2)
    norm.bias.data.fill_(1)
    x = torch.randn(1, 3, 1, 1)
    torch.testing.assert_close(norm(x), 2 * x + 1)
    assert torch.equal(InstanceNorm(3, affine=False)(x), x)
    assert norm.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_derivatives_of_instance_norm() -> None:
    norm = InstanceNorm(3).double()
    x = torch.randn(2, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, x)
    assert torch.autograd.gradgradcheck(norm, x, atol=1e-4)


def test_initial_weights() -> None:
    form = Form((3, 64, 64), source=(3, 64, 64))
    unet, resnet = UNet(normalisation="batch").build(form), ResNetTranslator(blocks=1).build(form)
    assert unet.inward[2].layer.weight.std().item() == pytest.approx(0.02, rel=0.02)  # type: ignore[union-attr, index]
    assert resnet.blocks[0].first.weight.std().item() == pytest.approx(0.02, rel=0.02)  # type: ignore[union-attr, index]
    gains = torch.cat([each.weight for each in unet.modules() if isinstance(each, BatchNorm)])  # type: ignore[misc]
    assert gains.mean().item() == pytest.approx(1, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("tag", TRANSLATORS)
def test_names_of_recipes(tag: str) -> None:
    family = resolve(tag, TRANSLATORS, "family")()
    assert family.family == tag
    assert type(family).model_validate(family.model_dump(mode="json")) == family


PICTURES = Form((3, 16, 16), source=(3, 16, 16))


@pytest.mark.parametrize(
    ("family", "form", "said"),
    [
        (UNet(), Form((3, 16, 16)), r"game\.generator\.family: 'unet' .* made from nothing; allowed"),
        (RRDB(), Form((2,), source=(2,)), r"game\.generator\.family: 'rrdb' .* sources of shape \(2,\); allowed"),
        (UNet(), Form((3, 32, 32), source=(3, 16, 16)), r"game\.generator\.family: 'unet' .* 32x32 from 16x16; .* 1 t"),
        (
            ResNetTranslator(),
            Form((3, 16, 16), source=(3, 32, 16)),
            r"game\.generator\.family: 'resnet-translator' .* 16x16 from 32x16",
        ),
        (RRDB(), Form((3, 48, 48), source=(3, 16, 16)), r"game\.generator\.family: 'rrdb' .* 1 or 2 or 4 or 8 times"),
        (Compact(), Form((3, 32, 48), source=(3, 16, 16)), r"game\.generator\.family: 'compact' .* 32x48 from 16x16"),
        (Compact(), Form((3, 16, 16), source=(1, 16, 16)), r"game\.generator\.family: 'compact' .* 1 channels .* rrdb"),
        (
            UNet(output="residual"),
            Form((3, 16, 16), source=(1, 16, 16)),
            r"game\.generator\.output: 'residual' .* tanh",
        ),
        (UNet(depth=5), PICTURES, r"game\.generator\.depth: 5 stages .* 1 to 4"),
        (UNet(), Form((3, 1, 9), source=(3, 1, 9)), r"game\.generator\.depth: 1 stages"),
        (
            ResNetTranslator(halvings=3),
            Form((3, 4, 9), source=(3, 4, 9)),
            r"game\.generator\.halvings: 3 stages .* 1 to 2",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(family: TranslatorFamily, form: Form, said: str) -> None:
    with pytest.raises(CardiganError, match=said) as refusal:
        family.build(form)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        (UNet, {"depth": 9}),
        (UNet, {"dropout": 1}),
        (UNet, {"normalisation": "group"}),
        (UNet, {"output": "sigmoid"}),
        (ResNetTranslator, {"halvings": 5}),
        (ResNetTranslator, {"blocks": 0}),
        (RRDB, {"residual": 0}),
        (Compact, {"base": "bilinear"}),
    ],
)
def test_bad_fields_are_refused(family: type[TranslatorFamily], fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        family.model_validate(fields)
