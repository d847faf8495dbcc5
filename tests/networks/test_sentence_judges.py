"""What every discriminator of sentences must hold, with and without sources."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sentences import JUDGES, LENGTH, PAIRED, PLAIN, SOURCE, VOCABULARY, sentences
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.networks.base import Judgement
from cardigan.networks.sequences.base import SentenceDiscriminator
from cardigan.networks.sequences.convolution_judge import TextConvolution
from cardigan.networks.sequences.recurrent_judge import TextRecurrent
from cardigan.networks.sequences.transformer_judge import TextTransformer
from cardigan.randomness import Random, use
from cardigan.sample import Form
from cardigan.tokens import PAD, content

every_judge = pytest.mark.parametrize("name", JUDGES)
with_and_without = pytest.mark.parametrize("paired", [False, True], ids=["alone", "source"])
PER_TOKEN = ("recurrent", "recurrent-deep", "transformer-token")
EVERY_LENGTH = [1, 4, LENGTH + 1, 2, LENGTH]


def build(name: str, paired: bool) -> SentenceDiscriminator:
    torch.manual_seed(1)
    return JUDGES[name].build(PAIRED if paired else PLAIN, paired).eval()


def sources(paired: bool, lengths: list[int], filling: int | None = PAD) -> Tensor | None:
    return sentences(lengths, SOURCE, seed=1, filling=filling) if paired else None


def total(judgement: Judgement) -> Tensor:
    """The sum of squares of the logits that count, and of the features."""
    logits = judgement.logits[0] if judgement.mask is None else judgement.logits[0][judgement.mask]
    return logits.square().sum() + sum(each.square().sum() for each in judgement.features)


@with_and_without
@every_judge
def test_shapes_masks_and_features(name: str, paired: bool) -> None:
    judge, tokens = build(name, paired), sentences(EVERY_LENGTH, LENGTH)
    judgement = judge(tokens, sources(paired, EVERY_LENGTH))
    assert len(judgement.logits) == 1 and judgement.logits[0].dtype == torch.float32 and not judgement.features
    if name in PER_TOKEN:
        assert judgement.logits[0].shape == (5, LENGTH) and judgement.mask is not None
        assert torch.equal(judgement.mask, content(tokens))
    else:
        assert judgement.logits[0].shape == (5,) and judgement.mask is None
    features = judge(tokens, sources(paired, EVERY_LENGTH), features=True).features
    assert features and all(each.dim() == 2 and len(each) == 5 for each in features)


@with_and_without
@every_judge
def test_weights_of_one_token_are_that_token(name: str, paired: bool) -> None:
    judge, tokens = build(name, paired).double(), sentences(EVERY_LENGTH, LENGTH)
    source = sources(paired, EVERY_LENGTH)
    hard, soft = judge(tokens, source, True), judge(F.one_hot(tokens, VOCABULARY).double(), source, True)
    torch.testing.assert_close([*soft.logits, *soft.features], [*hard.logits, *hard.features])
    assert hard.mask is None or torch.equal(hard.mask, soft.mask)


@with_and_without
@every_judge
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, LENGTH + 1), min_size=1, max_size=5), data=st.data())
def test_what_stands_after_the_end_changes_nothing(
    name: str, paired: bool, lengths: list[int], data: st.DataObject
) -> None:
    judge = build(name, paired)
    read = data.draw(st.lists(st.integers(1, SOURCE + 1), min_size=len(lengths), max_size=len(lengths)))
    seen = []
    for filling in (PAD, None):
        judgement = judge(sentences(lengths, LENGTH, filling=filling), sources(paired, read, filling), features=True)
        value = total(judgement)
        seen.append([value, *torch.autograd.grad(value, list(judge.parameters()), allow_unused=True)])
    torch.testing.assert_close(seen[0], seen[1], atol=0, rtol=0)


@with_and_without
@every_judge
def test_weights_after_the_end_get_no_gradient(name: str, paired: bool) -> None:
    judge, tokens = build(name, paired), sentences(EVERY_LENGTH, LENGTH, filling=None)
    weights = torch.softmax(8.0 * F.one_hot(tokens, VOCABULARY) + torch.rand(5, LENGTH, VOCABULARY), 2).requires_grad_()
    total(judge(weights, sources(paired, EVERY_LENGTH), features=True)).backward()
    assert weights.grad is not None
    reached = weights.grad.abs().sum(dim=2) > 0
    assert not reached[~content(tokens)].any()
    # Maxima over time may leave a token out.
    assert reached[content(tokens)].all() if "convolution" not in name else reached.any(dim=1).all()


@with_and_without
@every_judge
def test_the_width_of_padding_changes_nothing(name: str, paired: bool) -> None:
    judge, tokens, source = build(name, paired).double(), sentences([3, 2], LENGTH), sources(paired, [4, 1])
    for key, parameter in judge.named_parameters():
        if key.endswith("bias"):  # what places without words would say
            parameter.data.add_(1.0)
    narrow = judge(tokens[:, :3], None if source is None else source[:, :4]).logits[0]
    wide = judge(tokens, source).logits[0]
    torch.testing.assert_close(narrow, wide[:, :3] if wide.dim() == 2 else wide)


@with_and_without
@pytest.mark.parametrize("name", PER_TOKEN)
def test_a_token_is_judged_by_those_up_to_it(name: str, paired: bool) -> None:
    judge, tokens, source = build(name, paired), sentences([LENGTH + 1] * 3, LENGTH), sources(paired, [2, 5, 8])
    before = judge(tokens, source).logits[0]
    for place in range(LENGTH):
        other = tokens.clone()
        other[:, place] = (other[:, place] - 2) % (VOCABULARY - 3) + 3
        change = (judge(other, source).logits[0] - before).abs().amax(dim=0)
        assert (change[:place] == 0).all() and (change[place:] > 0).all()


@every_judge
def test_sources_matter(name: str) -> None:
    judge, tokens, source = build(name, True), sentences(EVERY_LENGTH, LENGTH), sources(True, EVERY_LENGTH)
    assert source is not None
    change = judge(tokens, source).logits[0] - judge(tokens, source.flip(0)).logits[0]
    assert change.abs().amax() > 1e-4
    with pytest.raises(ValueError, match="none were given"):
        judge(tokens)


@with_and_without
@every_judge
def test_gradients_reach_every_parameter(name: str, paired: bool) -> None:
    judge = build(name, paired)
    total(judge(sentences([LENGTH] * 40, LENGTH), sources(paired, [SOURCE] * 40))).backward()
    silent = [key for key, each in judge.named_parameters() if each.grad is None or not each.grad.abs().sum() > 0]
    assert not silent


@with_and_without
@every_judge
def test_second_derivatives(name: str, paired: bool) -> None:
    judge = build(name, paired)
    weights = F.one_hot(sentences(EVERY_LENGTH, LENGTH), VOCABULARY).float().requires_grad_()
    value = total(judge(weights, sources(paired, EVERY_LENGTH)))
    (gradient,) = torch.autograd.grad(value, weights, create_graph=True)
    gradient.square().sum().backward()
    reached = [each.grad is not None and each.grad.abs().sum() > 0 for each in judge.parameters()]
    assert sum(reached) > len(reached) / 2


@with_and_without
@every_judge
def test_saving_and_loading(name: str, paired: bool, tmp_path: Path) -> None:
    judge, other = build(name, paired), JUDGES[name].build(PAIRED if paired else PLAIN, paired).eval()
    save_file(judge.state_dict(), tmp_path / "judge.safetensors")
    other.load_state_dict(load_file(tmp_path / "judge.safetensors"))
    inputs = sentences(EVERY_LENGTH, LENGTH), sources(paired, EVERY_LENGTH)
    torch.testing.assert_close(other(*inputs).logits, judge(*inputs).logits, atol=0, rtol=0)


@with_and_without
@pytest.mark.parametrize("name", ["convolution", "recurrent-deep", "recurrent-sentence", "transformer"])
def test_dropout_does_not_depend_on_processes(name: str, paired: bool) -> None:
    judge = build(name, paired).train()
    tokens, source = sentences([5, 2, 7, 3], LENGTH), sources(paired, [8, 1, 3, 3])
    with use(Random(3)):
        whole = judge(tokens, source).logits[0]
    halves = []
    for shard in range(2):
        part = slice(2 * shard, 2 * shard + 2)
        with use(Random(3, shard=shard, shards=2)):
            halves.append(judge(tokens[part], None if source is None else source[part]).logits[0])
    torch.testing.assert_close(torch.cat(halves), whole)


@with_and_without
@every_judge
def test_bfloat16_gives_float32_logits(name: str, paired: bool) -> None:
    judge, tokens, source = build(name, paired), sentences(EVERY_LENGTH, LENGTH), sources(paired, EVERY_LENGTH)
    exact = judge(tokens, source).logits[0]
    with torch.autocast("cpu", torch.bfloat16):
        for sample in (tokens, F.one_hot(tokens, VOCABULARY).float()):
            rounded = judge(sample, source, features=True).logits[0]
            assert rounded.dtype == torch.float32
            torch.testing.assert_close(rounded, exact, atol=0.1, rtol=0.1)


def test_spectral_weights_have_no_greater_value_than_one() -> None:
    for name in ("convolution-spectral", "transformer-spectral"):
        for key, value in build(name, True).named_modules():
            if hasattr(value, "parametrizations"):
                assert torch.linalg.matrix_norm(value.weight, 2) < 1.1, key


@pytest.mark.parametrize(
    "family", [TextConvolution(), TextRecurrent(), TextTransformer()], ids=lambda each: each.family
)
def test_only_sentences_are_judged(family: TextConvolution | TextRecurrent | TextTransformer) -> None:
    for form, conditional in (
        (Form((3, 8, 8)), False),
        (PLAIN, True),
        (Form((6,), source=(3, 8, 8), vocabulary=9), True),
    ):
        with pytest.raises(
            CardiganError, match=r"game.discriminator.family: '[\w-]+' (is for|needs) sentences.*allowed"
        ):
            family.build(form, conditional)
