"""The pool of earlier fakes: what is shown, what is kept, and that a resumed pool goes on as it was."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cardigan.games.pool import Pool
from cardigan.randomness import Random


def fakes(step: int, count: int = 4) -> Tensor:
    """Pictures that are all different, and say when they were made."""
    return (torch.arange(count).float() + 1 + step * count).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def marks(pictures: Tensor) -> list[float]:
    return [float(each) for each in pictures[:, 0, 0, 0]]


def test_what_is_shown_follows_the_coins() -> None:
    pool, kept = Pool(6), list[float]()
    for step in range(200):
        shown = marks(pool.exchange(fakes(step), Random("pool", step)))
        stream = Random("pool", step)
        coins, places = stream.uniform(4).tolist(), stream.integers(6, 4).tolist()
        for mark, coin, place, seen in zip(marks(fakes(step)), coins, places, shown, strict=True):
            if len(kept) < 6:
                kept.append(mark)
                assert seen == mark
            elif coin < 0.5:
                assert seen == kept[place]
                kept[place] = mark
            else:
                assert seen == mark
        assert marks(pool.state_dict()["kept"]) == kept


def test_half_of_what_is_shown_is_old_and_nothing_is_shown_twice() -> None:
    pool, old, seen = Pool(50), 0, list[float]()
    for step in range(1000):
        new = fakes(step)
        shown = marks(pool.exchange(new, Random("pool", step)))
        old += len(set(shown) - set(marks(new))) if step >= 13 else 0
        seen += shown
    assert len(pool) == 50
    assert 0.45 < old / (987 * 4) < 0.53
    assert (
        max(seen.count(mark) for mark in set(seen[200:])) <= 2
    )  # when it was put into a pool that was not full, twice
    assert len(set(seen)) >= len(seen) - 50


@pytest.mark.parametrize("after", [0, 1, 7, 40])
def test_a_resumed_pool_goes_on_to_the_bit(after: int, tmp_path: Path) -> None:
    def picture(step: int) -> Tensor:
        noise = torch.randn(4, 3, 5, 4, generator=torch.Generator().manual_seed(step))
        return noise.contiguous(memory_format=torch.channels_last)

    pool = Pool(10)
    for step in range(after):
        pool.exchange(picture(step), Random("pool", step))
    state = pool.state_dict()
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    save_file(tensors, tmp_path / "game.safetensors")
    numbers = json.loads(json.dumps({name: value for name, value in state.items() if name not in tensors}))
    other = Pool(10)
    other.load_state_dict({**numbers, **load_file(tmp_path / "game.safetensors")})
    for step in range(after, after + 30):
        mine, theirs = (each.exchange(picture(step), Random("pool", step)) for each in (pool, other))
        assert torch.equal(mine, theirs) and mine.stride() == theirs.stride() == picture(step).stride()


def test_state_is_a_copy() -> None:
    pool, other = Pool(4), Pool(4)
    pool.exchange(fakes(0), Random("pool"))
    state = pool.state_dict()
    other.load_state_dict(state)
    state["kept"].zero_()
    assert marks(pool.state_dict()["kept"]) == marks(other.state_dict()["kept"]) == marks(fakes(0))


def test_slices_of_a_batch_show_what_the_whole_batch_shows() -> None:
    whole, sliced = Pool(5), Pool(5)
    for step in range(30):
        shown = whole.exchange(fakes(step), Random("pool", step))
        parts = [
            sliced.exchange(part, Random("pool", step, shard=index, shards=2))
            for index, part in enumerate(fakes(step).chunk(2))
        ]
        assert torch.equal(torch.cat(parts), shown)


def test_what_is_shown_carries_no_graph_and_changes_nobody() -> None:
    pool = Pool(2)
    made = fakes(0, 2).requires_grad_() * 1
    shown = pool.exchange(made, Random("pool"))
    assert not shown.requires_grad
    shown.zero_()
    kept = pool.state_dict()["kept"]
    assert torch.equal(made, fakes(0, 2)) and torch.equal(kept, fakes(0, 2)) and not kept.requires_grad
    made.data.zero_()
    assert torch.equal(pool.state_dict()["kept"], fakes(0, 2)), "it holds on to nobody else's memory"


def test_an_empty_pool_passes_everything() -> None:
    pool = Pool(0)
    assert torch.equal(pool.exchange(fakes(3), Random("pool")), fakes(3)) and not len(pool)
    assert pool.state_dict() == {}
    Pool(3).load_state_dict({})


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="pool of -1"):
        Pool(-1)
    with pytest.raises(ValueError, match="pool of 2 fakes cannot take back 4"):
        Pool(2).load_state_dict({"kept": fakes(0)})
    with pytest.raises(ValueError, match="cannot take back"):
        Pool(2).load_state_dict({"pictures": fakes(0, 1)})
