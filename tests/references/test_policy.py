"""The policy gradient, the straight-through estimator's place and the divergence, against exact sums over sentences."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from cardigan.objectives.policy import divergence, logistic, per_sentence, placed, policy_gradient, returns, reward

LENGTH, TOKENS = 2, 2
"""Two tokens, two places: four sentences, so that every expectation is a sum that can be written down."""


def chosen(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)


class Toy(torch.nn.Module):
    """p(first) and p(second | first) as free logits, in double precision."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.first = torch.nn.Parameter(torch.randn(TOKENS, generator=generator, dtype=torch.float64))
        self.second = torch.nn.Parameter(torch.randn(TOKENS, TOKENS, generator=generator, dtype=torch.float64))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, 2) -> (N, 2, 2) logits."""
        return torch.stack([self.first.expand(len(tokens), -1), self.second[tokens[:, 0]]], dim=1)


EVERY = torch.tensor(list(itertools.product(range(TOKENS), repeat=LENGTH)))
REWARDS = torch.tensor([[0.3, -1.0], [0.3, 2.0], [-0.7, 0.5], [-0.7, 0.1]], dtype=torch.float64)
"""Of each of the four sentences, token by token; the first token's depends on it alone."""


def exact(toy: Toy, discount: float) -> list[Tensor]:
    """The gradient of minus the expected discounted return over T, by summing over all sentences.

    With a discount, REINFORCE with rewards-to-go follows sum over t of E[R_t grad log p(t)], whose R_t is discounted
    from t on; written out here without any of the functions under test.
    """
    log = chosen_by_hand(toy)
    probability = log.sum(1).exp().detach()
    later = REWARDS[:, 0] + discount * REWARDS[:, 1]
    ahead = torch.stack([later, REWARDS[:, 1]], dim=1)
    loss = -(probability[:, None] * ahead * log).sum() / LENGTH
    return list(torch.autograd.grad(loss, list(toy.parameters())))


def chosen_by_hand(toy: Toy) -> Tensor:
    first = toy.first.log_softmax(0)[EVERY[:, 0]]
    return torch.stack([first, toy.second.log_softmax(1)[EVERY[:, 0], EVERY[:, 1]]], dim=1)


@pytest.mark.parametrize("discount", [1.0, 0.5])
@pytest.mark.parametrize("baseline", [False, True])
def test_the_policy_gradient_is_exact_in_expectation(discount: float, baseline: bool) -> None:
    toy = Toy()
    mask = torch.ones(len(EVERY), LENGTH, dtype=torch.bool)
    gains = returns(REWARDS, mask, discount)
    told = torch.tensor([[1.7, -0.4], [1.7, -0.4], [1.7, 0.9], [1.7, 0.9]], dtype=torch.float64)  # by the prefix alone
    logits = toy(EVERY)
    values = policy_gradient(chosen(logits, EVERY), gains - told if baseline else gains, mask)
    probability = chosen_by_hand(toy).sum(1).exp().detach()
    found = torch.autograd.grad((probability * values).sum(), list(toy.parameters()))
    for mine, wanted in zip(found, exact(toy, discount), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-12, atol=1e-14)


def test_the_mean_over_samples_comes_to_the_exact_gradient() -> None:
    toy, count = Toy(), 200_000
    generator = torch.Generator().manual_seed(0)
    probability = chosen_by_hand(toy).sum(1).exp().detach()
    places = torch.multinomial(probability, count, replacement=True, generator=generator)
    tokens, mask = EVERY[places], torch.ones(count, LENGTH, dtype=torch.bool)
    loss = policy_gradient(chosen(toy(tokens), tokens), returns(REWARDS[places], mask, 1.0), mask).mean()
    found = torch.autograd.grad(loss, list(toy.parameters()))
    for mine, wanted in zip(found, exact(toy, 1.0), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=0, atol=5 / math.sqrt(count))


def test_with_all_of_the_return_at_the_end_it_is_the_gradient_of_the_expected_reward() -> None:
    toy = Toy()
    whole = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    expected = (chosen_by_hand(toy).sum(1).exp() * whole).sum() / LENGTH
    wanted = torch.autograd.grad(-expected, list(toy.parameters()))
    probability = chosen_by_hand(toy).sum(1).exp().detach()
    mask = torch.ones(len(EVERY), LENGTH, dtype=torch.bool)
    values = policy_gradient(chosen(toy(EVERY), EVERY), whole[:, None].expand(-1, LENGTH), mask)
    found = torch.autograd.grad((probability * values).sum(), list(toy.parameters()))
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-14)


def test_returns_by_hand_and_padding_is_nothing() -> None:
    rewards = torch.tensor([[1.0, 2.0, 4.0, 100.0]])
    mask = torch.tensor([[True, True, True, False]])
    assert returns(rewards, mask, 0.5).tolist() == [[1 + 1 + 1, 2 + 2, 4, 0]]


def test_divergence_is_kullback_leibler_and_nothing_from_itself() -> None:
    mine, theirs = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(2, 3, 5, dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    by_hand = torch.nn.functional.kl_div(
        theirs.log_softmax(-1), mine.log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    found = divergence(mine[mask], theirs[mask])
    torch.testing.assert_close(per_sentence(placed(found, mask), mask), (by_hand * mask).sum(1) / 3)
    assert divergence(mine[mask], mine[mask]).abs().max() < 1e-12
    mine[..., 0] = theirs[..., 0] = float("-inf")  # tokens that neither writes
    assert divergence(mine[mask], theirs[mask]).isfinite().all()


def test_rewards_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3.0), -math.log(3.0)])
    torch.testing.assert_close(reward(logits, "probability"), torch.tensor([0.5, 0.75, 0.25]))
    torch.testing.assert_close(reward(logits, "centred"), torch.tensor([0.0, 0.5, -0.5]))
    torch.testing.assert_close(reward(logits, "logit"), logits)
    ratio = torch.tensor([1.0, 3.0, 1 / 3])
    torch.testing.assert_close(reward(logits, "density-ratio"), ratio / ratio.mean() - 1)


def test_the_mean_ratio_is_that_of_tokens_that_count() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [-math.log(3.0), 9.0]])
    mask = torch.tensor([[True, True], [True, False]])
    ratio = torch.tensor([1.0, 3.0, 1 / 3])
    torch.testing.assert_close(reward(logits, "density-ratio", mask)[mask], ratio / ratio.mean() - 1)
    torch.testing.assert_close(reward(logits[:, 0], "density-ratio", mask), reward(logits[:, 0], "density-ratio"))


def test_cross_entropy_sees_counting_tokens_alone() -> None:
    logits = torch.tensor([[1.0, -2.0, 50.0]])
    mask = torch.tensor([[True, True, False]])
    real = (math.log1p(math.exp(-1)) + math.log1p(math.exp(2))) / 2
    assert logistic(logits, mask, real=True).item() == pytest.approx(real)
    assert per_sentence(logits, mask).item() == pytest.approx(-1 / 3)
