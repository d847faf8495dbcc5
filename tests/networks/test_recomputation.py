"""Activation checkpointing changes what is kept, and nothing else: the same gradients and buffers, to the bit."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sentences import JUDGES, PAIRED, PLAIN, WRITERS, sentences
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from variants import VARIANTS

from cardigan.networks.base import DiscriminatorFamily, TranslatorFamily
from cardigan.networks.compact import Compact
from cardigan.networks.dcgan import DCGAN
from cardigan.networks.layers.attention import SelfAttention
from cardigan.networks.layers.normalisation import BatchNorm
from cardigan.networks.layers.recomputation import recomputable, recompute
from cardigan.networks.mlp import MLP
from cardigan.networks.patch import Patch
from cardigan.networks.resnet_translator import ResNetTranslator
from cardigan.networks.rrdb import RRDB
from cardigan.networks.unet import UNet
from cardigan.networks.unet_discriminator import UNetDiscriminator
from cardigan.objectives.penalties import Contest, Penalty, r1, r2
from cardigan.randomness import Random, current, use
from cardigan.sample import Form

OF_NOISE = [name for name in VARIANTS if not name.startswith("mlp")]
TRANSLATORS: dict[str, TranslatorFamily] = {
    "unet": UNet(width=4, depth=3, gated=True, dropout=0.3),
    "unet-batch": UNet(width=4, depth=2, normalisation="batch", output="residual"),
    "resnet-translator": ResNetTranslator(width=4, blocks=2),
    "resnet-translator-batch": ResNetTranslator(width=4, halvings=1, blocks=2, normalisation="batch"),
    "rrdb": RRDB(width=4, blocks=2, growth=3),
    "compact": Compact(width=4, depth=2),
}
DISCRIMINATORS: dict[str, DiscriminatorFamily] = {
    "patch": Patch(width=4, depth=1, scales=2),
    "patch-spectral": Patch(width=4, depth=2, normalisation="none", spectral=True),
    "unet-discriminator": UNetDiscriminator(width=4),
}
SHAPE = (3, 17, 23)
Players = list[nn.Module]
half = pytest.mark.parametrize("half", [False, True], ids=["fp32", "bf16"])


def asked(players: Players) -> Players:
    """Copies that are asked to compute again, off the points where a new network is blind."""
    copies = copy.deepcopy(players)
    assert all(recompute(each) > 0 for each in copies)
    return copies


def blinded(players: Players) -> Players:
    for player in players:
        for module in player.modules():
            if isinstance(module, SelfAttention):
                nn.init.constant_(module.gain, 0.5)
    return players


def outcome(players: Players, loss: Callable[[Players], Tensor], half: bool = False) -> list[Tensor]:
    """The loss, the gradients that it leaves at the weights, and all buffers."""
    with use(Random(7)), torch.autocast("cpu", torch.bfloat16, enabled=half):
        value = loss(players)
    value.backward()
    assert all(each.grad is not None for player in players for each in player.parameters())
    gradients = [each.grad for player in players for each in player.parameters() if each.grad is not None]
    return [value.detach(), *gradients, *(each for player in players for each in player.buffers())]


def check_equal(players: Players, loss: Callable[[Players], Tensor], half: bool = False) -> None:
    again = asked(players)
    plain = outcome(players, loss, half)
    assert all(mine.equal(theirs) for mine, theirs in zip(plain, outcome(again, loss, half), strict=True))
    assert any(each.abs().sum() > 0 for each in plain[1:])


def gan_loss(players: Players, penalised: bool) -> Tensor:
    """A relativistic loss of both players, with R1 and R2 on the same forward passes if `penalised`."""
    generator, discriminator = players
    classes = torch.arange(4) % 3
    real = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1)).tanh().requires_grad_(penalised)
    fake = generator(Random(2).normal(4, generator.latent.dimension), classes)  # type: ignore[union-attr, arg-type]
    judged = discriminator(real, classes), discriminator(fake, classes)
    loss = F.softplus(judged[1].logits[0] - judged[0].logits[0]).mean()
    if not penalised:
        return loss
    leaf = fake.detach().requires_grad_()
    contest = Contest(real, leaf, judged[0], discriminator(leaf, classes), discriminator, Random(3))
    return loss + r1(contest, Penalty()).mean() + r2(contest, Penalty()).mean()


@half
@pytest.mark.parametrize("penalised", [False, True], ids=["plain", "r1-r2"])
@pytest.mark.parametrize("name", OF_NOISE)
def test_both_players_of_noise(name: str, penalised: bool, half: bool) -> None:
    form, family = Form(SHAPE, 3), VARIANTS[name]
    players: Players = [family.build_generator(form, "projection"), family.build_discriminator(form, "projection")]
    check_equal(blinded(players), lambda each: gan_loss(each, penalised), half)


@half
@pytest.mark.parametrize("name", TRANSLATORS)
def test_translators(name: str, half: bool) -> None:
    source = torch.randn(3, 3, 16, 16)
    player: nn.Module = TRANSLATORS[name].build(Form((3, 16, 16), source=(3, 16, 16)))
    check_equal([player], lambda players: players[0](source).square().mean(), half)


@half
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_of_patches_and_pixels(name: str, half: bool) -> None:
    def loss(players: Players) -> Tensor:
        real = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1)).requires_grad_()
        judgement = players[0](real)
        penalty = r1(Contest(real, real, judgement, judgement, players[0], Random(3)), Penalty()).mean()
        return penalty + torch.stack([F.softplus(each).mean() for each in judgement.logits]).sum()

    check_equal([DISCRIMINATORS[name].build(Form(SHAPE), conditional=False)], loss, half)


@pytest.mark.parametrize("paired", [False, True])
def test_transformers(paired: bool) -> None:
    tokens, source = sentences([3, 6, 4], 6), sentences([7, 2, 5], 7, seed=1) if paired else None
    form = PAIRED if paired else PLAIN
    writer: nn.Module = WRITERS["transformer"].build(form)
    check_equal([writer], lambda players: players[0](tokens, source).square().mean())
    judge: nn.Module = JUDGES["transformer"].build(form, conditional=paired)
    check_equal([judge], lambda players: F.softplus(players[0](tokens, source).logits[0]).mean())


def kept(player: nn.Module, run: Callable[[], Tensor]) -> int:
    """Bytes of the tensors that the graph of `run` keeps, each memory counted once, weights and buffers not at all."""
    own = {each.untyped_storage().data_ptr() for each in [*player.parameters(), *player.buffers()]}
    found: dict[int, tuple[Tensor, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in own:  # held, so that no other memory comes to lie there
            found[memory.data_ptr()] = (tensor.detach(), memory.nbytes())
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        graph = run()
    assert graph.requires_grad
    return sum(size for _, size in found.values())


@pytest.mark.parametrize("name", ["dcgan", "resnet", "resnet-layer", "resnet-batch"])
def test_much_less_is_kept(name: str) -> None:
    form = Form((3, 32, 32))
    generator, discriminator = VARIANTS[name].build_generator(form), VARIANTS[name].build_discriminator(form)
    latents, real = generator.sample_latents(4, Random(1)), torch.randn(4, 3, 32, 32)
    runs: list[tuple[nn.Module, Callable[[], Tensor]]] = [
        (generator, lambda: generator(latents).sum()),
        (discriminator, lambda: discriminator(real).logits[0].sum()),
    ]
    for player, run in runs:
        before = kept(player, run)
        recompute(player)
        assert kept(player, run) < 0.7 * before


@pytest.mark.parametrize("name", [*TRANSLATORS, *DISCRIMINATORS])
def test_less_is_kept_of_pictures_made_of_pictures(name: str) -> None:
    player: nn.Module
    if name in TRANSLATORS:
        player = TRANSLATORS[name].build(Form((3, 32, 32), source=(3, 32, 32)))
    else:
        player = DISCRIMINATORS[name].build(Form((3, 32, 32)), conditional=False)
    pictures = torch.randn(2, 3, 32, 32)

    def run() -> Tensor:
        made = player(pictures)
        return made.sum() if name in TRANSLATORS else torch.stack([each.sum() for each in made.logits]).sum()

    before = kept(player, run)
    recompute(player)
    assert kept(player, run) < 0.75 * before


def test_names_and_copies_stay_and_nothing_else_computes_twice() -> None:
    player = DCGAN(width=4).build_generator(Form((1, 28, 28)))
    names, latents = list(player.state_dict()), player.sample_latents(2, Random(1))
    assert recompute(player) == 1
    assert list(player.state_dict()) == names
    for mine, grad in ((player, False), (copy.deepcopy(player).eval(), True)):
        with torch.set_grad_enabled(grad), counted(mine) as calls:
            made = mine(latents)
            if grad:
                made.sum().backward()
        assert set(calls.values()) == {1}
    copied = copy.deepcopy(player)
    with counted(copied) as calls:
        copied(latents).sum().backward()
    assert set(calls.values()) == {1, 2}


@contextmanager
def counted(player: nn.Module) -> Iterator[dict[nn.Module, int]]:
    """How often each batch normalisation of `player` computes."""
    calls = {each: 0 for each in player.modules() if isinstance(each, BatchNorm)}

    def count(module: nn.Module, _: Any) -> None:
        calls[module] += 1

    hooks = [each.register_forward_pre_hook(count) for each in calls]
    yield calls
    for hook in hooks:
        hook.remove()


def test_a_network_without_blocks_has_none() -> None:
    assert recompute(MLP(width=4).build_generator(Form((1, 8, 8)))) == 0


class Noisy(nn.Module):
    """Draws from torch's global generator and from the stream in use, and makes tensors of the default precision."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)

    @recomputable
    def forward(self, x: Tensor, *, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        x = F.dropout(self.layer(x), 0.5, training=True) * torch.ones(5) * scale
        return x * current().bytes(len(x), 5) / 256, x.square()


def test_global_numbers_and_the_default_precision_are_found_again() -> None:
    block = Noisy()
    recompute(block)
    gradients = []
    try:
        for mode in (True, False):
            block.double().train(mode)
            torch.set_default_dtype(torch.float64)
            torch.manual_seed(1)
            with use(Random(1)):
                one, other = block(torch.ones(3, 5), scale=2.0)
            torch.set_default_dtype(torch.float32)
            torch.rand(3)
            (one + other).sum().backward()
            gradients.append(block.layer.weight.grad)
            block.zero_grad()
            block.eval()
    finally:
        torch.set_default_dtype(torch.float32)
    assert gradients[0] is not None and gradients[0].any() and gradients[0].equal(gradients[1])


def test_weights_that_changed_since_are_refused() -> None:
    discriminator = DCGAN(width=4).build_discriminator(Form((1, 28, 28)))
    recompute(discriminator)
    loss = discriminator(torch.randn(2, 1, 28, 28)).logits[0].sum()
    with torch.no_grad():
        next(discriminator.parameters()).add_(1)
    with pytest.raises(RuntimeError, match="changed before its gradients were taken"):
        loss.backward()
