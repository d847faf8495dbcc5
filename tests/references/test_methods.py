"""Stabilising methods against numbers computed by hand; what looks at the whole batch, over two processes too."""

import os
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from cardigan import CardiganError
from cardigan.games.consistency import Consistency, consistency, varied
from cardigan.games.instance_noise import InstanceNoise, noised
from cardigan.games.packing import form_of_packs, packed, unpacked
from cardigan.games.self_supervision import form_of_turns, rotation_loss
from cardigan.networks.base import Discriminator, Judgement
from cardigan.networks.layers.deviation import MinibatchDeviation
from cardigan.objectives.adversarial import OBJECTIVES
from cardigan.objectives.feature_means import feature_means
from cardigan.objectives.lecam import Anchors, lecam
from cardigan.objectives.top_k import TopK, top_mean
from cardigan.randomness import Random
from cardigan.sample import Form


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_lecam_by_hand() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-2.0, 0.5])
    values = lecam(real, fake, torch.tensor(2.0), torch.tensor(-1.0))
    assert values.tolist() == [4 + 16, 16 + 2.25]
    patches = lecam(real[:, None].expand(2, 3), fake[:, None].expand(2, 3), torch.tensor(2.0), torch.tensor(-1.0))
    torch.testing.assert_close(patches, values)


def test_anchors_forget_half_in_their_half_life() -> None:
    anchors = Anchors(half_life=100)
    assert anchors.state_dict() == {}
    anchors.update(torch.tensor([3.0, 5.0]), torch.tensor([-1.0]), 50)
    assert (anchors.real, anchors.fake) == (4.0, -1.0)
    for _ in range(2):
        anchors.update(torch.zeros(2), torch.ones(1), 50)
    assert float(anchors.real) == pytest.approx(2) and float(anchors.fake) == pytest.approx(0, abs=1e-6)
    other = Anchors(half_life=100)
    other.load_state_dict(anchors.state_dict())
    assert (other.real, other.fake) == (anchors.real, anchors.fake)
    other.forget()
    assert other.state_dict() == {}


def test_consistency_by_hand() -> None:
    mine = Judgement((torch.tensor([1.0, 2.0]), torch.tensor([[0.0, 2.0], [1.0, 1.0]])))
    theirs = Judgement((torch.tensor([3.0, 2.5]), torch.tensor([[1.0, 2.0], [1.0, 3.0]])))
    assert consistency(mine, theirs).tolist() == [4 + 0.5, 0.25 + 2]


def test_varied_pictures_are_mirrored_or_not_and_shifted() -> None:
    samples = draw(200, 1, 8, 8) + 9
    mirrored = varied(samples, Consistency(translation=0), Random("x"))
    kinds = [torch.equal(after, before.flip(2)) for before, after in zip(samples, mirrored, strict=True)]
    assert 70 < sum(kinds) < 130
    assert all(
        torch.equal(after, before) for before, after, other in zip(samples, mirrored, kinds, strict=True) if not other
    )
    shifted = varied(samples, Consistency(flip=False), Random("x"))
    assert not torch.equal(shifted, samples) and (shifted == 0).any()
    assert torch.equal(varied(samples, Consistency(flip=False, translation=0), Random("x")), samples)


def test_noise_fades_linearly() -> None:
    noise = InstanceNoise(deviation=0.4, samples=1000)
    assert [noise.at(clock) for clock in (0, 250, 1000, 5000)] == pytest.approx([0.4, 0.3, 0, 0])
    assert InstanceNoise(deviation=0.4, samples=None).at(10**9) == 0.4
    samples, random = torch.zeros(500, 3, 4, 4), Random("x")
    assert noised(samples, 0.4, random).std() == pytest.approx(0.4, rel=0.02)
    before = Random("x")
    assert noised(samples, 0.0, before) is samples
    assert torch.equal(before.normal(3), Random("x").normal(3))


def test_packs_lie_channel_behind_channel() -> None:
    samples = draw(6, 3, 4, 5)
    packs = packed(samples, 2)
    assert packs.shape == (3, 6, 4, 5)
    assert torch.equal(packs[1], torch.cat([samples[2], samples[3]]))
    assert torch.equal(unpacked(packs, 2), samples)
    points = draw(6, 2)
    assert torch.equal(packed(points, 3)[1], points[3:].flatten()) and torch.equal(
        unpacked(packed(points, 3), 3), points
    )
    assert form_of_packs(Form((3, 4, 5)), 2).shape == (6, 4, 5) and form_of_packs(Form((2,)), 3).shape == (6,)
    channels_last = samples.contiguous(memory_format=torch.channels_last)
    assert torch.equal(packed(channels_last, 2), packs)
    with pytest.raises(CardiganError, match=r"game\.pack: 6 samples.*packs of 4; allowed here: divisors of 6"):
        packed(samples, 4)


def test_the_deviation_of_neighbours_by_hand() -> None:
    x = torch.tensor([[0.0, 2.0], [2.0, 2.0], [5.0, 1.0], [5.0, 7.0], [1.0, 1.0], [1.0, 1.0]]).double()
    made = MinibatchDeviation(2)(x)
    assert torch.equal(made[:, :2], x)
    torch.testing.assert_close(made[:, 2], torch.tensor([0.5, 0.5, 1.5, 1.5, 0, 0]).double(), atol=2e-4, rtol=0)
    maps = MinibatchDeviation(4)(draw(8, 3, 2, 5))
    assert maps.shape == (8, 4, 2, 5) and maps[:4, 3].unique().numel() == maps[4:, 3].unique().numel() == 1
    by_hand = draw(8, 3, 2, 5)[:4].std(0, correction=0).mean()
    torch.testing.assert_close(maps[0, 3, 0, 0], by_hand)
    assert torch.equal(MinibatchDeviation(4)(draw(5, 2))[:, 2], torch.zeros(5).double())  # 5 has no divisor up to 4
    assert MinibatchDeviation(4)(draw(6, 2))[:, 2].unique().numel() == 2  # two groups of three
    shares = torch.cat([MinibatchDeviation(4)(part) for part in draw(8, 3, 2, 5).chunk(2)])
    torch.testing.assert_close(shares, maps)
    assert torch.autograd.gradgradcheck(MinibatchDeviation(2), draw(4, 2).requires_grad_())


class Corner(Discriminator):
    """Tells a turn by the corner that is bright."""

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        corners = torch.stack([sample[:, 0, 0, 0], sample[:, 0, -1, 0], sample[:, 0, -1, -1], sample[:, 0, 0, -1]], 1)
        return Judgement((corners.sum(1),), 50 * corners)


def test_turns_are_the_classes() -> None:
    upright = torch.zeros(20, 1, 4, 4)
    upright[:, :, 0, 0] = 1  # turned counter-clockwise it goes to the bottom left, bottom right, top right
    assert rotation_loss(Corner(), upright, Random("x")) < 1e-6
    assert rotation_loss(Corner(), upright.rot90(1, (2, 3)), Random("x")) > 10
    assert form_of_turns(Form((3, 8, 8), classes=7)).classes == 4
    for shape in ((3, 8, 9), (5,)):
        with pytest.raises(CardiganError, match=r"game\.self_supervision: needs square pictures"):
            form_of_turns(Form(shape))


def test_feature_means_by_hand() -> None:
    real = Judgement((), features=(torch.ones(1, 9), torch.tensor([[1.0, 2.0], [3.0, 0.0]])))
    fake = Judgement((), features=(torch.ones(1, 9), torch.tensor([[0.0, 0.0], [0.0, 4.0]], requires_grad=True)))
    value = feature_means(real, fake)
    assert value.item() == pytest.approx((2**2 + 1**2) / 2)
    (slope,) = torch.autograd.grad(value, fake.features[1])
    assert slope.tolist() == [[-1.0, 0.5], [-1.0, 0.5]]
    with pytest.raises(CardiganError, match=r"game\.feature_matching"):
        feature_means(Judgement(()), fake)


def test_top_k_by_hand() -> None:
    values, scores = torch.tensor([1.0, 2.0, 4.0, 8.0], requires_grad=True), torch.tensor([0.1, 0.9, -0.5, 0.3])
    assert top_mean(values, scores, 1.0).item() == 3.75
    assert top_mean(values, scores, 0.5).item() == 5
    assert top_mean(values, scores, 0.01).item() == 2
    assert top_mean(values, torch.zeros(4), 0.5).item() == 3.75  # equal ones all count
    (slope,) = torch.autograd.grad(top_mean(values, scores, 0.5), values)
    assert slope.tolist() == [0, 0.5, 0, 0.5]
    top = TopK(share=0.5, samples=1000)
    assert [top.at(clock) for clock in (0, 500, 1000, 9000)] == [1, 0.75, 0.5, 0.5]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_who_is_undecided(name: str) -> None:
    """Either a constant added to all logits changes nothing, or at `undecided` both sides pull equally strongly."""
    objective = OBJECTIVES[name]
    real, fake = draw(5, seed=1), draw(5, seed=2)
    shifts = torch.allclose(objective.discriminator(real + 7, fake + 7), objective.discriminator(real, fake))
    assert shifts == (objective.undecided is None)
    if objective.undecided is not None:
        at = torch.full((1,), objective.undecided, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(objective.discriminator(at, at).sum(), at)
        assert slope.abs().item() == pytest.approx(0, abs=1e-12)


def whole_batch_results(values: Tensor, scores: Tensor, real: Tensor, fake: Tensor) -> tuple[Tensor, ...]:
    """Both losses that look at the whole batch, and their gradients by a weight that all processes share."""
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    top = top_mean(values * weight[0], scores, 0.4)
    matched = feature_means(Judgement((), features=(real,)), Judgement((), features=(fake * weight,)))
    slopes = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in (top, matched))
    return top.detach(), matched.detach(), *slopes


def batches() -> tuple[Tensor, ...]:
    return draw(10, seed=1), draw(10, seed=2), draw(10, 3, seed=3), draw(10, 3, seed=4)


def _process(rank: int, folder: str) -> None:
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.save(whole_batch_results(*(each.chunk(2)[rank] for each in batches())), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_see_the_whole_batch(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_process, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for mine, theirs, whole in zip(first, second, whole_batch_results(*batches()), strict=True):
        torch.testing.assert_close((mine + theirs) / 2, whole, rtol=0, atol=1e-13)
