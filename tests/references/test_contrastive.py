"""PatchNCE against cross-entropies by explicit loops; places that are the same on both sides and in all processes."""

from math import exp, log, sqrt

import pytest
import torch
from torch import Tensor

from cardigan.networks.layers.projector import PatchProjector
from cardigan.objectives.contrastive import patch_nce, sample_patches
from cardigan.randomness import Random


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_two_patches_by_hand() -> None:
    query = torch.tensor([[[2.0, 0.0], [0.0, 3.0]]])
    assert patch_nce(query, query, 1.0).item() == pytest.approx(log(1 + exp(-1)))
    assert patch_nce(query, query.flip(1), 1.0).item() == pytest.approx(log(1 + exp(1)))
    same = torch.ones(1, 5, 3)
    assert patch_nce(same, same).item() == pytest.approx(log(5), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
def test_cross_entropy_by_loops(temperature: float) -> None:
    query, key = draw(3, 5, 4), draw(3, 5, 4, seed=1)
    expected = []
    for picture in range(3):
        queries, keys = ([unit(row) for row in side[picture].tolist()] for side in (query, key))
        losses = []
        for place in range(5):
            scores = [
                exp(sum(a * b for a, b in zip(queries[place], other, strict=True)) / temperature) for other in keys
            ]
            losses.append(-log(scores[place] / sum(scores)))
        expected.append(sum(losses) / 5)
    assert patch_nce(query, key, temperature).tolist() == pytest.approx(expected, abs=1e-10)


def unit(row: list[float]) -> list[float]:
    length = sqrt(sum(each * each for each in row))
    return [each / length for each in row]


def test_only_queries_are_moved() -> None:
    query, key = draw(2, 6, 4).requires_grad_(), draw(2, 6, 4, seed=1).requires_grad_()
    patch_nce(query, key).sum().backward()
    assert key.grad is None and query.grad is not None and query.grad.abs().max() > 0


def test_lengths_do_not_count_and_one_patch_is_nothing_to_tell_apart() -> None:
    query, key = draw(2, 6, 4), draw(2, 6, 4, seed=1)
    torch.testing.assert_close(patch_nce(5 * query, 0.1 * key), patch_nce(query, key))
    assert patch_nce(query[:, :1], key[:, :1]).tolist() == [0, 0]


def test_pictures_do_not_mix() -> None:
    query, key = draw(4, 6, 3), draw(4, 6, 3, seed=1)
    alone = torch.cat([patch_nce(query[index : index + 1], key[index : index + 1]) for index in range(4)])
    torch.testing.assert_close(patch_nce(query, key), alone)


def test_full_precision_under_autocast() -> None:
    query, key = draw(2, 32, 16).float(), draw(2, 32, 16, seed=1).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = patch_nce(query, key)
    assert found.dtype == torch.float32 and torch.equal(found, patch_nce(query, key))
    assert patch_nce(query.bfloat16(), key.bfloat16()).dtype == torch.float32


def test_unequal_patches_are_refused() -> None:
    for query, key in (((2, 6, 4), (2, 5, 4)), ((2, 4), (2, 4))):
        with pytest.raises(ValueError, match="needs patches"):
            patch_nce(torch.zeros(query), torch.zeros(key))


def test_places_are_the_same_on_both_sides_and_differ_from_one_another() -> None:
    coordinates = torch.arange(48.0).view(1, 1, 6, 8).expand(2, 3, 6, 8)
    small = torch.arange(4.0).view(1, 1, 2, 2).expand(2, 5, 2, 2)
    queries, keys = sample_patches([coordinates, small], [coordinates + 100, small + 100], 10, Random("x"))
    assert [each.shape for each in queries] == [(2, 10, 3), (2, 4, 5)]
    for query, key in zip(queries, keys, strict=True):
        assert torch.equal(query + 100, key)
        assert all(len(set(query[index, :, 0].tolist())) == query.shape[1] for index in range(2))
    again, _ = sample_patches([coordinates, small], [coordinates, small], 10, Random("x"))
    assert all(torch.equal(one, other) for one, other in zip(queries, again, strict=True))


def test_every_place_is_taken_equally_often() -> None:
    maps, random = torch.arange(16.0).view(1, 1, 4, 4), Random("x")
    counts = torch.stack([sample_patches([maps], [maps], 4, random)[0][0].flatten() for _ in range(2000)])
    assert (counts.flatten().long().bincount() - 500).abs().max() < 5 * sqrt(2000 * 0.25 * 0.75)


def test_processes_choose_the_same_places() -> None:
    maps = draw(4, 3, 5, 5)
    whole, _ = sample_patches([maps, maps], [maps, maps], 7, Random("x"))
    for shard in (0, 1):
        mine = maps.chunk(2)[shard]
        part, _ = sample_patches([mine, mine], [mine, mine], 7, Random("x", shard=shard, shards=2))
        assert all(torch.equal(one, other.chunk(2)[shard]) for one, other in zip(part, whole, strict=True))


def test_layers_of_unequal_size_are_refused() -> None:
    with pytest.raises(ValueError, match="equal size"):
        sample_patches([torch.zeros(1, 3, 4, 4)], [torch.zeros(1, 3, 4, 5)], 2, Random("x"))


def test_a_projector_learns_to_tell_patches_apart() -> None:
    torch.manual_seed(0)
    projector = PatchProjector([6, 4], width=16)
    patches = [draw(2, 20, each).float() for each in (6, 4)]
    assert [each.shape for each in projector(patches)] == [(2, 20, 16), (2, 20, 16)]
    weights = [each.detach() for each in projector.parameters()]
    assert all(0.015 < each.std() < 0.025 if each.dim() == 2 else not each.any() for each in weights)
    noisy = [each + 0.3 * torch.randn_like(each) for each in patches]

    def loss() -> Tensor:
        pairs = zip(projector(noisy), projector(patches), strict=True)
        return torch.stack([patch_nce(query, key).mean() for query, key in pairs]).mean()

    first, optimizer = loss().item(), torch.optim.Adam(projector.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.6 * first
