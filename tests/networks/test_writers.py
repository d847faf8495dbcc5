"""What every writer of sentences must hold, with and without sources."""

import copy
from math import log
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sentences import LENGTH, PAIRED, PLAIN, SOURCE, VOCABULARY, WRITERS, sentences, written_by
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.networks.sequences.base import Writer
from cardigan.networks.sequences.recurrence import Bidirectional
from cardigan.networks.sequences.recurrent import Recurrent
from cardigan.networks.sequences.sampling import select
from cardigan.networks.sequences.transformer import Transformer
from cardigan.networks.sequences.vocabulary import NEVER
from cardigan.randomness import Random, use
from cardigan.sample import Form
from cardigan.tokens import BEGIN, PAD, content

every_writer = pytest.mark.parametrize("name", WRITERS)
with_and_without = pytest.mark.parametrize("paired", [False, True], ids=["alone", "source"])


def build(name: str, paired: bool) -> Writer:
    """A writer in eval mode, its weights large enough that tokens matter to it."""
    return written_by(name, paired, 0.2)


def made(count: int = 5, paired: bool = False) -> tuple[Tensor, Tensor | None]:
    lengths = [1 + (3 * row) % (LENGTH + 1) for row in range(count)]
    return sentences(lengths, LENGTH), sentences(lengths[::-1], SOURCE, seed=1) if paired else None


def stepwise(writer: Writer, tokens: Tensor, source: Tensor | None) -> Tensor:
    """(N, T, V) logits, one step at a time."""
    state, last, logits = writer.begin(*tokens.shape, source), torch.full_like(tokens[:, 0], BEGIN), []
    for place in range(tokens.shape[1]):
        each, state = writer.step(last, state)
        logits.append(each)
        last = tokens[:, place]
    return torch.stack(logits, dim=1)


def surprise(writer: Writer, tokens: Tensor, source: Tensor | None) -> Tensor:
    """-log p of each sentence, (N,)."""
    losses = F.cross_entropy(writer(tokens, source).transpose(1, 2), tokens, reduction="none")
    return (losses * content(tokens)).sum(dim=1)


@with_and_without
@every_writer
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-5)], ids=["64", "32"])
def test_steps_say_what_the_whole_says(name: str, paired: bool, dtype: torch.dtype, tolerance: float) -> None:
    writer = build(name, paired).to(dtype)
    tokens, source = made(paired=paired)
    torch.testing.assert_close(stepwise(writer, tokens, source), writer(tokens, source), atol=tolerance, rtol=tolerance)


@with_and_without
@every_writer
def test_what_counts_is_computed_alone(name: str, paired: bool) -> None:
    writer = build(name, paired)
    tokens, source = made(paired=paired)
    counts, whole = content(tokens), writer(tokens, source)
    torch.testing.assert_close(writer.counting(tokens, source), whole[counts], atol=1e-5, rtol=1e-5)
    by_hand = whole.log_softmax(2).gather(2, tokens[..., None]).squeeze(2) * counts
    torch.testing.assert_close(writer.log_probabilities(tokens, source), by_hand, atol=1e-5, rtol=1e-5)


@with_and_without
@every_writer
def test_shapes_and_what_is_never_written(name: str, paired: bool) -> None:
    writer = build(name, paired)
    logits = writer(*made(paired=paired))
    assert logits.shape == (5, LENGTH, VOCABULARY) and logits.dtype == torch.float32
    assert writer.vocabulary == VOCABULARY
    assert (logits[..., [PAD, BEGIN]] == NEVER).all() and (logits[..., END_AND_WORDS].abs() < 100).all()
    assert (logits.softmax(dim=2)[..., [PAD, BEGIN]] == 0).all()
    entropy = -(logits.softmax(dim=2) * logits.log_softmax(dim=2)).sum()
    entropy.backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in writer.parameters())


END_AND_WORDS = list(range(2, VOCABULARY))


@with_and_without
@every_writer
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, LENGTH + 1), min_size=1, max_size=5), data=st.data())
def test_what_stands_after_the_end_changes_nothing(
    name: str, paired: bool, lengths: list[int], data: st.DataObject
) -> None:
    writer = build(name, paired)
    read = data.draw(st.lists(st.integers(1, SOURCE + 1), min_size=len(lengths), max_size=len(lengths)))
    seen = []
    for filling in (PAD, None):
        tokens = sentences(lengths, LENGTH, filling=filling)
        source = sentences(read, SOURCE, seed=1, filling=filling) if paired else None
        logits = writer(tokens, source)[content(tokens)]
        gradients = torch.autograd.grad(surprise(writer, tokens, source).sum(), list(writer.parameters()))
        seen.append([logits, *gradients])
    torch.testing.assert_close(seen[0], seen[1], atol=0, rtol=0)


@with_and_without
@every_writer
def test_the_width_of_padding_changes_nothing(name: str, paired: bool) -> None:
    writer = build(name, paired).double()
    tokens, source = sentences([3, 2], LENGTH), sentences([4, 1], SOURCE) if paired else None
    narrow = writer(tokens[:, :3], None if source is None else source[:, :4])
    torch.testing.assert_close(narrow, writer(tokens, source)[:, :3])


@with_and_without
@every_writer
def test_no_logit_sees_its_token_or_later_ones(name: str, paired: bool) -> None:
    writer = build(name, paired)
    tokens, source = sentences([LENGTH + 1] * 3, LENGTH), made(3, paired)[1]
    before = writer(tokens, source)
    for place in range(LENGTH):
        other = tokens.clone()
        other[:, place] = (other[:, place] - 2) % (VOCABULARY - 3) + 3
        change = (writer(other, source) - before).abs().amax(dim=(0, 2))
        assert (change[: place + 1] == 0).all() and (change[place + 1 :] > 0).all()


@every_writer
def test_sources_matter(name: str) -> None:
    writer = build(name, True)
    tokens, source = made(paired=True)
    assert source is not None
    assert (writer(tokens, source) - writer(tokens, source.flip(0)))[..., END_AND_WORDS].abs().amax() > 1e-3
    with pytest.raises(ValueError, match="none were given"):
        writer(tokens)


@with_and_without
@every_writer
def test_gradients_reach_every_parameter(name: str, paired: bool) -> None:
    writer = build(name, paired)
    surprise(writer, *made(paired=paired)).sum().backward()
    silent = [key for key, each in writer.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0]
    assert not silent


@with_and_without
@every_writer
def test_gradients_flow_through_weights_over_tokens(name: str, paired: bool) -> None:
    writer = build(name, paired)
    tokens, source = made(paired=paired)
    state = writer.begin(*tokens.shape, source)
    _, state = writer.step(torch.full((5,), BEGIN), state)
    hard, _ = writer.step(tokens[:, 0], state)
    weights = F.one_hot(tokens[:, 0], VOCABULARY).float().requires_grad_()
    soft, state = writer.step(weights, state)
    torch.testing.assert_close(soft, hard)
    later, _ = writer.step(tokens[:, 1], state)
    for logits in (soft, later):
        (gradient,) = torch.autograd.grad(logits.log_softmax(dim=1)[:, 4].sum(), weights, retain_graph=True)
        assert (gradient.abs().sum(dim=1) > 0).all()


@with_and_without
@every_writer
def test_states_can_be_reordered(name: str, paired: bool) -> None:
    writer = build(name, paired)
    tokens, source = made(paired=paired)
    order = torch.tensor([3, 3, 0, 4])
    state = writer.begin(*tokens.shape, source)
    _, state = writer.step(torch.full((5,), BEGIN), state)
    assert all(len(each) == 5 for each in state)
    some, _ = writer.step(tokens[order, 0], select(state, order))
    everything, _ = writer.step(tokens[:, 0], state)
    torch.testing.assert_close(some, everything[order])
    # A step leaves the state it began from as it was.
    torch.testing.assert_close(writer.step(tokens[:, 0], state)[0], everything)


@with_and_without
@every_writer
def test_saving_and_loading(name: str, paired: bool, tmp_path: Path) -> None:
    writer, other = build(name, paired), WRITERS[name].build(PAIRED if paired else PLAIN).eval()
    save_file(writer.state_dict(), tmp_path / "writer.safetensors")
    other.load_state_dict(load_file(tmp_path / "writer.safetensors"))
    inputs = made(paired=paired)
    torch.testing.assert_close(other(*inputs), writer(*inputs), atol=0, rtol=0)
    torch.testing.assert_close(copy.deepcopy(writer)(*inputs), writer(*inputs), atol=0, rtol=0)


@with_and_without
@every_writer
def test_a_new_writer_knows_nothing(name: str, paired: bool) -> None:
    writer = WRITERS[name].build(PAIRED if paired else PLAIN).eval()
    tokens, source = made(50, paired)
    per_token = surprise(writer, tokens, source).sum() / content(tokens).sum()
    assert abs(per_token.item() - log(VOCABULARY - 2)) < 0.15


@pytest.mark.parametrize("name", ["lstm-deep", "gru-deep", "transformer"])
@with_and_without
def test_dropout_does_not_depend_on_processes(name: str, paired: bool) -> None:
    writer = build(name, paired).train()
    tokens, source = made(6, paired)
    with use(Random(3)):
        whole = writer(tokens, source)
    halves = []
    for shard in range(2):
        part = slice(3 * shard, 3 * shard + 3)
        with use(Random(3, shard=shard, shards=2)):
            halves.append(writer(tokens[part], None if source is None else source[part]))
    torch.testing.assert_close(torch.cat(halves), whole)
    with use(Random(4)):
        assert not torch.allclose(writer(tokens, source), whole)


@pytest.mark.parametrize("name", ["lstm-deep", "gru-deep"])
@with_and_without
def test_recurrent_steps_drop_what_the_whole_drops(name: str, paired: bool) -> None:
    writer = build(name, paired).train()
    inputs = made(paired=paired)
    with use(Random(3)):
        whole = writer(*inputs)
    with use(Random(3)):
        torch.testing.assert_close(stepwise(writer, *inputs), whole, atol=1e-5, rtol=1e-5)


@with_and_without
@every_writer
def test_bfloat16_gives_float32_logits(name: str, paired: bool) -> None:
    writer = build(name, paired)
    inputs = made(paired=paired)
    exact = writer(*inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, steps = writer(*inputs), stepwise(writer, *inputs)
    assert rounded.dtype == steps.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, atol=0.2, rtol=0.05)
    torch.testing.assert_close(steps, exact, atol=0.2, rtol=0.05)
    assert torch.equal(rounded[..., PAD], exact[..., PAD])


@pytest.mark.parametrize(("name", "layers"), [("lstm", 1), ("lstm-deep", 2)])
def test_a_recurrent_forward_is_one_call_per_layer(name: str, layers: int) -> None:
    writer, calls = build(name, False), []
    for module in writer.modules():
        if isinstance(module, nn.LSTM):
            module.register_forward_hook(lambda *call: calls.append(call))
    writer(*made())
    assert len(calls) == layers


def test_the_way_back_agrees_with_packed_sequences() -> None:
    ours = Bidirectional("lstm", 4, 6, 1, 0.0).double()
    theirs = nn.LSTM(4, 3, bidirectional=True, batch_first=True).double()
    state = dict(ours.ahead[0].layers[0].named_parameters())
    state |= {f"{key}_reverse": value for key, value in ours.back[0].layers[0].named_parameters()}
    theirs.load_state_dict(state)
    x, lengths = torch.randn(3, 5, 4).double(), torch.tensor([5, 2, 1])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    counts = torch.arange(5) < lengths[:, None]
    torch.testing.assert_close(ours(x, counts)[counts], ours.out(expected)[counts])


@pytest.mark.parametrize("family", [Recurrent(), Transformer()], ids=["recurrent", "transformer"])
def test_only_sentences_are_written(family: Recurrent | Transformer) -> None:
    for form in (Form((3, 8, 8)), Form((6,)), Form((6,), source=(3, 8, 8), vocabulary=9)):
        with pytest.raises(CardiganError, match=r"game.generator.family: '\w+' (is for|needs) sentences.*allowed"):
            family.build(form)


def test_heads_share_the_width() -> None:
    with pytest.raises(CardiganError, match=r"game.generator.width: 12 is not a multiple of 2 \* 4 heads; allowed"):
        Transformer(width=12).build(PLAIN)
