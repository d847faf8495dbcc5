"""The losses of translation, cycle and contrastive, on networks so small that they can be written down again."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import softplus

from cardigan.errors import CardiganError
from cardigan.games.base import Step
from cardigan.games.contrastive import Contrastive
from cardigan.games.cycle import Cycle
from cardigan.games.translation import Translation
from cardigan.randomness import Random
from cardigan.sample import Batch, Form

UNET = {"family": "unet", "width": 4, "depth": 2}
RESNET = {"family": "resnet-translator", "width": 4, "blocks": 1}
PATCH = {"family": "patch", "width": 4, "depth": 1}
FORM = Form((3, 16, 16), 0, (3, 16, 16))


def step_of(form: Form = FORM, count: int = 2, seed: int = 0) -> Step:
    generator = torch.Generator().manual_seed(seed)
    assert form.source is not None
    pictures = [torch.rand(count, *shape, generator=generator) * 2 - 1 for shape in (form.shape, form.source)]
    return Step(Batch(pictures[0], source=pictures[1]), Random(seed))


def logits(game: Any, sample: Tensor, source: Tensor | None = None) -> Tensor:
    (found,) = game.discriminator(sample, source).logits
    return found.float().flatten(1).mean(1)


def test_paired_losses_by_hand() -> None:
    game = Translation(
        generator=UNET,
        discriminator=PATCH,
        adversarial_weight=0.5,
        terms={"reconstruction": 10, "feature_matching": 2, "total_variation": 0.1},
    ).build(FORM)
    step = step_of()
    sample, source = step.batch.sample, step.batch.source
    terms = game.discriminator_loss(step)
    fake = game.generator(source)
    real_logits, fake_logits = (game.discriminator(each, source).logits[0] for each in (sample, fake.detach()))
    torch.testing.assert_close(terms["adversarial"], (softplus(-real_logits) + softplus(fake_logits)).mean())
    terms = game.generator_loss(step)
    assert set(terms) == {"adversarial", "feature_matching", "reconstruction", "total_variation"}
    torch.testing.assert_close(terms["adversarial"], 0.5 * softplus(-fake_logits).mean())
    torch.testing.assert_close(terms["reconstruction"], 10 * (fake - sample).abs().mean())
    steps = fake.diff(dim=2).abs().mean() + fake.diff(dim=3).abs().mean()
    torch.testing.assert_close(terms["total_variation"], 0.1 * steps)
    sides = [game.discriminator(each, source, features=True).features for each in (sample, fake)]
    layers = [(mine - theirs).abs().mean() for mine, theirs in zip(*sides, strict=True)]
    torch.testing.assert_close(terms["feature_matching"], 2 * torch.stack(layers).mean())


def test_pretraining_is_a_turn_with_an_end() -> None:
    terms = {"reconstruction": 1, "total_variation": 1}
    game = Translation(generator=UNET, discriminator=PATCH, start=100, terms=terms).build(FORM)
    due = [[turn.name for turn in game.turns if turn.due(clock, 0)] for clock in (0, 99, 100, 10_000)]
    assert due == [["pretraining"], ["pretraining"], ["discriminator", "generator"], ["discriminator", "generator"]]
    assert set(game.turns[0].loss(step_of())) == {"reconstruction"}
    alone = Translation(generator=UNET, discriminator=PATCH, adversarial_weight=0, terms=terms).build(FORM)
    assert [turn.name for turn in alone.turns if turn.due(10**9, 0)] == ["reconstruction"]


def test_a_conditional_discriminator_sees_the_source_and_another_does_not() -> None:
    for conditional in (True, False):
        game = Translation(
            generator=UNET, discriminator=PATCH, conditional=conditional, terms={"reconstruction": 1}
        ).build(FORM)
        one, other = step_of(seed=1), step_of(seed=1)
        other.batch.source.add_(0.5)  # type: ignore[union-attr]
        judged = [game._judge(each, one.batch.sample).logits[0] for each in (one, other)]
        assert torch.equal(*judged) is not conditional


def test_what_is_seen_is_kept_and_only_the_hole_is_judged_by_pixels() -> None:
    form = Form((3, 16, 16), 0, (4, 16, 16))
    game = Translation(
        generator={**UNET, "gated": True}, discriminator=PATCH, composite=True, terms={"reconstruction": 1}
    ).build(form)
    step = step_of(form)
    source = step.batch.source
    assert source is not None
    source[:, 3] = -1
    source[:, 3, 4:9, 4:9] = 1
    made = game.generator(source)
    hole = source[:, 3:] > 0
    assert torch.equal(made.masked_select(~hole), source[:, :3].masked_select(~hole))
    by_hand = (made - step.batch.sample).abs().masked_select(hole).view(2, -1).mean()
    torch.testing.assert_close(game.pretraining_loss(step)["reconstruction"], by_hand)


def test_the_brightness_of_a_grey_picture_is_kept_and_its_colours_are_the_networks() -> None:
    form = Form((3, 16, 16), 0, (1, 16, 16))
    game = Translation(generator=UNET, discriminator=PATCH, composite=True, terms={"reconstruction": 1}).build(form)
    step = step_of(form)
    source = step.batch.source
    assert source is not None
    made, inner = game.generator(source), game.generator.inner(source)  # type: ignore[operator]
    red, green, blue = made.unbind(1)
    torch.testing.assert_close(0.299 * red + 0.587 * green + 0.114 * blue, source[:, 0])
    torch.testing.assert_close(red - blue, inner[:, 0] - inner[:, 2])
    by_hand = (made - step.batch.sample).abs().mean()  # everywhere: no pixel is known
    torch.testing.assert_close(game.pretraining_loss(step)["reconstruction"], by_hand)


def test_cycle_losses_by_hand() -> None:
    game = Cycle(generator=RESNET, discriminator=PATCH, cycle=10, identity=0.5, pool=0).build(FORM)
    step = step_of()
    x, y = step.batch.source, step.batch.sample
    terms = game.generator_loss(step)
    fake_y, fake_x = game.forward(x), game.backward(y)
    judged = [game.judges[name](fake).logits[0] for name, fake in (("forward", fake_y), ("backward", fake_x))]
    torch.testing.assert_close(terms["adversarial"], sum(((each - 1) ** 2).mean() / 2 for each in judged))
    again = (game.backward(fake_y) - x).abs().mean() + (game.forward(fake_x) - y).abs().mean()
    torch.testing.assert_close(terms["cycle"], 10 * again)
    alone = (game.forward(y) - y).abs().mean() + (game.backward(x) - x).abs().mean()
    torch.testing.assert_close(terms["identity"], 5 * alone)
    found = game.discriminator_loss(step)["adversarial"]
    real = [game.judges[name](each).logits[0] for name, each in (("forward", y), ("backward", x))]
    by_hand = sum((((r - 1) ** 2).mean() + (f**2).mean()) / 2 for r, f in zip(real, judged, strict=True))
    torch.testing.assert_close(found, by_hand)


def test_the_pools_are_state() -> None:
    game, other = (Cycle(generator=RESNET, discriminator=PATCH, pool=3).build(FORM) for _ in range(2))
    for seed in range(3):
        step = step_of(seed=seed)
        game.generator_loss(step)
        game.discriminator_loss(step)
    other.load_state_dict(game.state_dict())
    assert {name: len(pool) for name, pool in other.pools.items()} == {"forward": 3, "backward": 3}
    shown = [each.pools["forward"].exchange(torch.ones(4, 3, 16, 16), Random(9)) for each in (game, other)]
    assert torch.equal(*shown)


def test_contrastive_loss_by_hand() -> None:
    game = Contrastive(generator=RESNET, discriminator=PATCH, patches=10_000, projection=8, identity=2).build(FORM)
    step = step_of()
    x, y = step.batch.source, step.batch.sample
    terms = game.generator_loss(step)

    def contrast(source: Tensor, made: Tensor) -> Tensor:
        layers = zip(game.generator.encode(source), game.generator.encode(made), game.projector.heads, strict=True)
        losses = []
        for key, query, head in layers:
            for number in range(len(key)):
                keys, queries = (head(each[number].flatten(1).T) for each in (key, query))
                keys, queries = (each / each.norm(dim=1, keepdim=True).clamp(min=1e-12) for each in (keys, queries))
                table = (queries @ keys.T / 0.07).double()
                losses.append((table.exp().sum(1).log() - table.diagonal()).mean().float())
        return torch.stack(losses).mean()

    torch.testing.assert_close(terms["contrastive"], contrast(x, game.generator(x)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["identity"], 2 * contrast(y, game.generator(y)), rtol=1e-4, atol=1e-5)


def test_directions() -> None:
    assert Cycle(generator=RESNET, discriminator=PATCH).build(FORM).translators() == {
        "forward": "forward_generator",
        "backward": "backward_generator",
    }
    assert Translation(generator=UNET, discriminator=PATCH, terms={"reconstruction": 1}).build(FORM).translators() == {
        "forward": "generator"
    }


@pytest.mark.parametrize(
    ("game", "form", "message"),
    [
        (
            Translation(generator=UNET, discriminator=PATCH, terms={"reconstruction": 1}),
            Form((3, 16, 16)),
            "data.kind here: pairs",
        ),
        (Cycle(generator=RESNET), Form((3, 16, 16)), "data.kind here: domains"),
        (Cycle(generator=RESNET), Form((3, 16, 16), 0, (1, 16, 16)), "of one size"),
        (Contrastive(generator=RESNET), Form((3, 16, 16), 0, (3, 8, 8)), "of one size"),
        (Contrastive(generator=UNET), FORM, "gives no activations to compare; allowed: resnet-translator"),
        (
            Translation(generator=UNET, composite=True, terms={"reconstruction": 1}),
            FORM,
            "game.composite: needs sources that show a part of the sample",
        ),
    ],
)
def test_data_that_do_not_fit(game: Any, form: Form, message: str) -> None:
    with pytest.raises(CardiganError, match=message):
        game.build(form)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"adversarial_weight": 0}, "nothing to learn"),
        ({"start": 10, "terms": {"perceptual": 1}}, "terms.reconstruction is 0"),
    ],
)
def test_settings_that_leave_nothing_to_learn(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Translation(generator=UNET, **fields)
