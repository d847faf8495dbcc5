"""Streams of random numbers: what processes share, and bytes that are uniform."""

import torch

from cardigan.randomness import Random


def test_shares_of_several_batches_are_slices_of_each() -> None:
    def drawn(shard: int, shards: int, count: int) -> torch.Tensor:
        random = Random("x", shard=shard, shards=shards)
        with random.in_batches(2):
            return random.bytes(count, 3)

    whole, first, second = drawn(0, 1, 8), drawn(0, 2, 4), drawn(1, 2, 4)
    assert first.equal(whole[[0, 1, 4, 5]]) and second.equal(whole[[2, 3, 6, 7]])


def test_bytes_are_uniform_wherever_they_stand_in_a_word() -> None:
    values = Random("bytes").bytes(1_001, 800)
    assert values.shape == (1_001, 800) and values.dtype == torch.uint8
    for place in range(8):  # eight of them come from one draw
        counts = torch.bincount(values.flatten()[place::8].int(), minlength=256).double()
        expected = counts.mean()
        chi = float(((counts - expected).square() / expected).sum())
        assert 170 < chi < 360  # 255 degrees of freedom, four standard deviations
    words = values.flatten()[: 8 * 50_000].view(-1, 8).double()
    assert float(torch.corrcoef(words.T).fill_diagonal_(0).abs().max()) < 0.02
