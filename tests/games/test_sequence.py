"""The game `sequence`: stages, losses by hand, padding that is nothing, an anchor that stays, rewards of one's own."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.games.base import Step
from cardigan.games.rewards import bleu
from cardigan.games.sequence import Sequence, SequenceGame
from cardigan.games.sequence_methods import Gumbel
from cardigan.randomness import Random
from cardigan.sample import Batch, Form
from cardigan.tokens import END, PAD, SPECIAL, content, padded

WORDS = 7
FORM = Form((6,), vocabulary=len(SPECIAL) + WORDS)
PAIRED = Form((6,), source=(5,), vocabulary=len(SPECIAL) + WORDS)
WRITER = {"family": "recurrent", "width": 8}
PER_TOKEN = {"family": "text-recurrent", "width": 8}
PER_SENTENCE = {"family": "text-convolution", "width": 8}


def sentences(count: int, length: int, seed: int) -> Tensor:
    """Random sentences of all lengths, END at the end, PAD behind; some without an end."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(len(SPECIAL), len(SPECIAL) + WORDS, (count, length), generator=generator)
    ends = torch.randint(1, length + 1, (count, 1), generator=generator)
    places = torch.arange(length)
    return tokens.masked_fill(places == ends, END).masked_fill(places > ends, PAD)


def step_of(form: Form = FORM, count: int = 4, seed: int = 0, clock: int = 0) -> Step:
    source = None if form.source is None else sentences(count, form.source[0], seed + 1)
    batch = Batch(sentences(count, form.shape[0], seed), source=source)
    return Step(batch, Random(seed), clock, decode=lambda tokens: [str(row) for row in tokens.tolist()])


def game_of(form: Form = FORM, **fields: Any) -> SequenceGame:
    torch.manual_seed(0)
    chosen = {"generator": WRITER, "discriminator": PER_TOKEN, **fields}
    return Sequence(**chosen).build(form)  # type: ignore[arg-type]


def test_stages_are_turns() -> None:
    game = game_of(start=100, warmup=50)
    due = {clock: [turn.name for turn in game.turns if turn.due(clock, 0)] for clock in (0, 99, 100, 149, 150)}
    assert due[0] == due[99] == ["likelihood"]
    assert due[100] == due[149] == ["discriminator"]
    assert due[150] == ["discriminator", "generator"]
    assert {turn.name for turn in game_of(adversarial_weight=0).turns} == {"likelihood"}


def test_likelihood_by_hand() -> None:
    game, step = game_of(), step_of()
    tokens = step.batch.sample
    logs = game.generator(tokens).log_softmax(-1)
    by_hand = 0.0
    for row, scores in zip(tokens.tolist(), logs, strict=True):
        for place, token in enumerate(row):
            if token == PAD:
                break
            by_hand -= scores[place, token].item()
            if token == END:
                break
    found = game.likelihood_loss(step)["likelihood"]
    assert found.item() == pytest.approx(by_hand / len(tokens) / FORM.shape[0], rel=1e-5)
    assert step.signals["nats"].item() == pytest.approx(by_hand / content(tokens).sum().item(), rel=1e-5)


@pytest.mark.parametrize("form", [FORM, PAIRED])
@pytest.mark.parametrize("method", ["policy-gradient", "gumbel"])
@pytest.mark.parametrize("judge", [PER_TOKEN, PER_SENTENCE])
def test_gradients_reach_who_moves_and_nothing_is_nan(form: Form, method: str, judge: dict[str, Any]) -> None:
    game = game_of(form, method=method, discriminator=judge, anchor=0.1, replay=0.5)
    step = step_of(form)
    for turn in game.turns:
        terms = turn.loss(step)
        loss = torch.stack(list(terms.values())).sum()
        assert loss.isfinite()
        for player in turn.players:
            parameters = list(game.players[player].parameters())
            found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            assert any(each is not None and each.abs().sum() > 0 for each in found), (turn.name, player)
            assert all(each is None or each.isfinite().all() for each in found)
    assert ("critic" in game.players) == (method == "policy-gradient")


@given(seed=st.integers(0, 10**6), filling=st.integers(0, len(SPECIAL) + WORDS - 1))
@settings(max_examples=25, deadline=None)
def test_padding_never_changes_a_loss(seed: int, filling: int) -> None:
    """Whatever stands after an END: in real sentences, in sources, in what was written."""
    game = game_of(PAIRED, replay=0.5, anchor=0.1)
    clean, dirty = step_of(PAIRED, seed=seed), step_of(PAIRED, seed=seed)
    for step in (clean, dirty):
        step.made["fake"] = padded(sentences(4, 6, seed + 2))
    for tokens in (dirty.batch.sample, dirty.batch.source, dirty.made["fake"]):
        assert tokens is not None
        tokens.masked_fill_(~content(tokens), filling)
    for turn in game.turns:
        for step in (clean, dirty):
            step.random = Random(1)
        if turn.name == "generator":
            dirty.made["fake"] = padded(dirty.made["fake"]).masked_fill_(~content(dirty.made["fake"]), filling)
        one, other = turn.loss(clean), turn.loss(dirty)
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=1e-5, atol=1e-7)


def test_the_anchor_is_the_generator_as_it_was_and_comes_back() -> None:
    game = game_of(anchor=1.0)
    assert game.state_dict() == {}
    assert game.generator_loss(step_of())["anchor"].item() == pytest.approx(0.0, abs=1e-6)
    with torch.no_grad():
        for parameter in game.generator.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    away = game.generator_loss(step_of())["anchor"]
    assert away > 1e-3
    again = game_of(anchor=1.0)
    again.generator.load_state_dict(game.generator.state_dict())
    again.discriminator.load_state_dict(game.discriminator.state_dict())
    again.load_state_dict(game.state_dict())
    torch.testing.assert_close(again.generator_loss(step_of())["anchor"], away)


def test_a_reward_of_ones_own_is_learnt() -> None:
    """The discriminator is silenced: what is left is the wish for one word, and it is fulfilled."""
    game = game_of(method={"kind": "policy-gradient", "discount": 1.0}, rewards=[])
    wanted = len(SPECIAL) + 2
    game.scorers = [(1.0, lambda texts: [text.count(str(wanted)) / 3 for text in texts])]
    for parameter in game.discriminator.parameters():
        torch.nn.init.zeros_(parameter)
    movers = [*game.generator.parameters(), *game.players["critic"].parameters()]
    optimizer = torch.optim.Adam(movers, 0.02)
    shares = []
    for number in range(120):
        step = step_of(count=64, seed=number)
        shares.append((game.fake(step) == wanted).float().mean().item())
        optimizer.zero_grad()
        torch.stack(list(game.generator_loss(step).values())).sum().backward()
        optimizer.step()
    assert sum(shares[-10:]) / 10 > 3 * sum(shares[:10]) / 10


@pytest.mark.parametrize("given", [[1.0], [float("nan")] * 4, ["a", "b", "c", "d"]])
def test_a_reward_that_gives_nonsense_is_named(given: list[Any]) -> None:
    game = game_of()
    game.scorers = [(1.0, lambda texts: given)]
    with pytest.raises(CardiganError, match=r"game\.rewards: <lambda>"):
        game.generator_loss(step_of())


def test_known_rewards() -> None:
    from cardigan.games.rewards import REWARDS, drug_likeness, verse

    assert set(REWARDS) == {"verse", "drug-likeness", "bleu"}
    kept = "秦川雄帝宅，函谷壮皇居。绮殿千寻起，离宫百雉余。"
    assert verse([kept, kept[:-1], ""]) == [1.0, 0.0, 0.0]
    pytest.importorskip("rdkit", reason="the extra molecules is not installed")
    benzene, nothing = drug_likeness(["c1ccccc1", "c1cc(("])
    assert 0 < benzene < 1 and nothing == 0


def test_a_reward_may_compare_with_what_is_real() -> None:
    truths = ["a dog runs over the green grass", "two men sit on a bench"]
    same, other = bleu([truths[0], "a man sits"], truths)
    assert same == pytest.approx(1) and 0 < other < 0.5
    game, step = game_of(), step_of()
    game.scorers = [
        (2.0, lambda texts, truths: [float(text == truth) for text, truth in zip(texts, truths, strict=True)])
    ]
    assert game.scored(step, step.batch.sample).tolist() == [2.0] * len(step.batch.sample)


def test_without_an_adversary_the_pace_falls_where_the_game_would_have_begun() -> None:
    fast, slow = game_of(adversarial_weight=0, start=100, warmup=20, pace=0.1).turns
    assert (fast.due(119, 0), slow.due(119, 0), fast.due(120, 0), slow.due(120, 0)) == (True, False, False, True)
    assert (fast.pace, slow.pace) == (1, 0.1)


def test_a_function_outside_of_the_package_is_not_loaded_unless_trusted() -> None:
    with pytest.raises(ValueError, match="--trust my_module"):
        Sequence(generator=WRITER, rewards=[{"function": "my_module:rhyme"}])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="allowed: method policy-gradient"):
        Sequence(generator=WRITER, method="gumbel", rewards=[{"function": "my_module:rhyme"}])  # type: ignore[arg-type]


def test_samples_that_are_no_sentences_are_refused() -> None:
    with pytest.raises(CardiganError, match=r"allowed data\.kind here: sentences"):
        Sequence(generator=WRITER).build(Form((3, 8, 8)))  # type: ignore[arg-type]


def test_the_temperature_falls_exponentially_and_stays() -> None:
    method = Gumbel(temperature=1.0, final=0.25, anneal=100)
    assert [method.at(clock) for clock in (0, 50, 100, 1000)] == pytest.approx([1.0, 0.5, 0.25, 0.25])


def test_roll_outs_pay_each_token_for_what_may_follow() -> None:
    game = game_of(method={"kind": "policy-gradient", "roll_outs": 3}, discriminator=PER_SENTENCE)
    method, step = game.settings.method, step_of()
    game.discriminator.eval()
    tokens = padded(sentences(4, 6, 5))
    whole = torch.tanh(game.judge(step, tokens).logits[0] / 2)
    found = method._returns(game, step, tokens, torch.ones_like(tokens, dtype=torch.bool))  # type: ignore[attr-defined]
    assert found.shape == (4, 6)
    torch.testing.assert_close(found[:, -1], whole)
    for row, length in enumerate(content(tokens).sum(1).tolist()):
        torch.testing.assert_close(found[row, length - 1 :], whole[row].expand(7 - length))
    assert math.isfinite(game.generator_loss(step)["adversarial"].item())


def test_equal_showcases_give_equal_sentences() -> None:
    game = game_of(PAIRED)
    inputs = game.showcase(3, Random(0), lambda count: step_of(PAIRED, count).batch)
    one, other = (game.exhibit(game.players, **inputs) for _ in range(2))
    assert list(one) == ["input", "output", "truth"]
    assert torch.equal(one["output"], other["output"])
    assert torch.equal(one["output"], padded(one["output"]))
