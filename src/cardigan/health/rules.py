"""All that can be diagnosed: what is seen in the signals, from which bound on, and what usually helps.

The bounds were set on runs of one half of the kinds of failure that tests stage, with other seeds than those reported
(docs/stability.md), and are not touched when a test of the rest fails without being said so there.
"""

from collections.abc import Sequence

from cardigan.health.diagnosis import LEVELS, QUARTER, Diagnosis, Finding, Level, Reading, Rule

GUARDED = "or leave it to the guard (on unless --no-guard)"
LAST_RESORT = "stalled"
PENALTIES = ("r1", "r2", "gradient", "dragan")


def diagnose(history: Sequence[Reading]) -> list[Diagnosis]:
    """What is wrong after the last of these readings, the worst first; that it stalls only where nothing else is."""
    found = [diagnosis for rule in RULES if (diagnosis := rule.diagnose(history)) is not None]
    if any(each.name != LAST_RESORT and each.level != "info" for each in found):
        found = [each for each in found if each.name != LAST_RESORT]
    return sorted(found, key=lambda each: -LEVELS.index(each.level))


def known_by_now(name: str, history: Sequence[Reading]) -> bool:
    """Whether the rule `name` would have spoken if what it is about had lasted since the first of these readings."""
    return all(rule.could_have_spoken(history) for rule in RULES if rule.name == name)


def discriminators(reading: Reading) -> list[str]:
    """Players that judged something in this reading."""
    return reading.players("accuracy")


def generators(reading: Reading) -> list[str]:
    """Players that moved and have an average: those whose samples people get."""
    averaged = reading.players("from_average")
    return [name for name in reading.players("step") if name in averaged]


def not_finite(history: Sequence[Reading]) -> Finding | None:
    """NaN or Inf among the signals."""
    count = history[-1].get("not_finite")
    return Finding("critical", f"{count:.0f} of what was measured is no finite number") if count else None


def loss_scale(history: Sequence[Reading]) -> Finding | None:
    """The factor by which fp16 keeps small gradients alive has been halved again and again."""
    scale = history[-1].get("loss_scale", 65_536.0)
    if scale >= 16:
        return None
    return Finding(_level(scale < 1), f"the scale of the loss in fp16 has fallen to {scale:.3g}")


def large_steps(history: Sequence[Reading]) -> Finding | None:
    """Steps change a player's weights by a large part of their size, again and again."""
    recent, now = history[-4:], history[-1]
    seen = [(sorted(each.get(f"{name}/step") for each in recent)[-2:][0], name) for name in now.players("step")]
    step, player = max(seen, default=(0.0, ""))
    if step < 0.15:
        return None
    return Finding(
        _level(step >= 0.5), f"single steps change the weights of the {words(player)} by {step:.0%} and more"
    )


def penalty_dominates(history: Sequence[Reading]) -> Finding | None:
    """A penalty is many times what the players play for."""
    now = history[-1]
    for name in PENALTIES:
        for turn in now.players(name):
            value, stake = now.get(f"{turn}/{name}"), abs(now.get(f"{turn}/adversarial"))
            if value > 50 and value > 10 * stake:
                return Finding(
                    _level(value > 1_000), f"the penalty {name} is {value:.3g}, the adversarial loss {stake:.3g}"
                )
    return None


def wins(history: Sequence[Reading]) -> Finding | None:
    """The discriminator tells every sample, and samples are far from the real ones."""
    now = history[-1]
    for name in discriminators(now):
        accuracy = now.get(f"{name}/accuracy")
        unseen = now.get(f"{name}/accuracy_held_out", accuracy)
        far = _farness(now)
        if min(accuracy, unseen) >= 0.998 and far >= 1.25 and not _gained(history):
            gap = now.get(f"{name}/gap")
            return Finding(
                _level(far >= 2),
                f"the {words(name)} separates real from made perfectly (accuracy {accuracy:.2f}, gap {gap:.3g}), and "
                f"samples lie {far:.1f} times as far from real ones as unseen real ones do",
            )
    return None


def vanishing(history: Sequence[Reading]) -> Finding | None:
    """The generator's gradient is next to nothing beside what it once was."""
    now = history[-1]
    for name in generators(now):
        values = [
            reading.get(f"{name}/gradient_norm") for reading in history if f"{name}/gradient_norm" in reading.signals
        ]
        largest, value = max(values, default=1.0), now.get(f"{name}/gradient_norm", 1.0)
        if value < 1e-3 * largest or value < 1e-6:
            return Finding("critical", f"the gradient of the {words(name)} is {value:.2g}, and was {largest:.2g} once")
    return None


def flat(history: Sequence[Reading]) -> Finding | None:
    """The discriminator says nearly the same of every sample."""
    now = history[-1]
    for name in discriminators(now):
        gap, far = abs(now.get(f"{name}/gap")), _farness(now)
        accuracy = now.get(f"{name}/accuracy")
        if (gap < 2e-3 or abs(accuracy - 0.5) < 0.05) and far >= 1.5 and not _gained(history):
            return Finding(
                "warning",
                f"the {words(name)} tells real from made samples by {gap:.2g} only (accuracy {accuracy:.2f}), though "
                f"samples lie {far:.1f} times as far from real ones as unseen real ones do",
            )
    return None


def collapse(history: Sequence[Reading]) -> Finding | None:
    """Samples are alike, or some kinds of real ones are missing among them."""
    now = history[-1]
    if "samples/diversity" not in now.signals or "game/effect" in now.signals or _constant(now):
        return None
    diversity, coverage = now.get("samples/diversity"), now.get("samples/coverage")
    classes, all_classes = now.get("samples/classes", 1.0), now.get("data/classes", 1.0)
    repeated = now.get("samples/duplicates") - now.get("data/duplicates")
    said = []
    if classes <= 0.7 * all_classes:
        said.append(f"{classes:.0f} of {all_classes:.0f} classes")
    if coverage <= 0.6:
        said.append(f"samples reach {coverage:.0%} of what real ones spread over")
    if diversity <= 0.6:
        said.append(f"samples are {1 / max(diversity, 1e-3):.3g} times closer to each other than real ones")
    if repeated >= 0.3:
        said.append(f"{repeated:.0%} of the samples have a twin among 128")
    if not said or _gained(history):
        return None
    bad = classes <= 0.4 * all_classes or coverage <= 0.3 or diversity <= 0.3 or repeated >= 0.6
    return Finding(_level(bad), "; ".join(said))


def stalled(history: Sequence[Reading]) -> Finding | None:
    """Samples have stopped coming nearer to real ones, and are not there."""
    now = history[-1]
    far, progress = _farness(now), now.get("progress", 1.0)
    if far < 1.25 or now.clock < 30_000 or progress < 0.3 or _gained(history):
        return None
    if "game/effect" in now.signals or _constant(now):
        return None
    return Finding(
        "warning", f"samples lie {far:.1f} times as far from real ones as unseen real ones do, and come no nearer"
    )


def frozen(history: Sequence[Reading]) -> Finding | None:
    """A generator does not move, or is where its average is; without an average it is that itself, at 0."""
    now = history[-1]
    for name in generators(now):
        step, apart = now.get(f"{name}/step"), now.get(f"{name}/from_average")
        if step < 1e-7 or 0 < apart < 1e-7:
            return Finding(
                "critical",
                f"a step changes the {words(name)} by {step:.1g} of its weights, {apart:.1g} from their average",
            )
    return None


def overfitting(history: Sequence[Reading]) -> Finding | None:
    """The discriminator knows the train split by heart: it takes unseen real samples for made ones."""
    now = history[-1]
    for name in discriminators(now):
        share, surely = now.get(f"{name}/overfit"), now.get(f"{name}/overfit_sure")
        if share >= 0.3 and surely >= 3:
            return Finding(
                _level(share >= 0.7),
                f"to the {words(name)}, unseen real samples lie {min(share, 9.99):.0%} of the way from train to made",
            )
    return None


def constant_data(history: Sequence[Reading]) -> Finding | None:
    """Nothing to learn: all real samples are one, or no pixel differs by more than a grey level or so."""
    now = history[-1]
    if "data/spread" not in now.signals or not _constant(now):
        return None
    varied = now.get("data/deviation")
    but = f", but for {varied:.2g} of a range of 2" if varied else ""
    return Finding("critical", f"all real samples that were looked at are the same{but}")


def _constant(now: Reading) -> bool:
    return now.get("data/spread") < 1e-3 or now.get("data/deviation", 1.0) < 0.01


def repeated_data(history: Sequence[Reading]) -> Finding | None:
    """Real samples come more than once."""
    now = history[-1]
    share = now.get("data/duplicates")
    if share < 0.5 or _constant(now):
        return None
    return Finding("warning", f"{share:.0%} of the real samples that were looked at have a twin")


def one_class(history: Sequence[Reading]) -> Finding | None:
    """The data name classes, and nearly all samples are of one."""
    now = history[-1]
    share = now.get("data/largest_class")
    if share < 0.9:
        return None
    return Finding("warning", f"{share:.0%} of the real samples are of one of {now.get('data/labels'):.0f} classes")


def ignored_labels(history: Sequence[Reading]) -> Finding | None:
    """Samples are not of the class that was asked for, by their looks."""
    now = history[-1]
    obeyed, real = now.get("samples/obeyed", 1.0), now.get("data/obeyed")
    chance = 1 / max(2.0, now.get("data/classes", 2.0))
    if real < 3 * chance or obeyed > chance + 0.4 * (real - chance):
        return None
    return Finding(
        _level(obeyed < chance + 0.15 * (real - chance)),
        f"{obeyed:.0%} of the samples look like the class that was asked for, {real:.0%} of the real ones",
    )


def wave(history: Sequence[Reading]) -> Finding | None:
    """A loss goes up and down in slow, large waves."""
    now = history[-1]
    for name in now.players("adversarial.wave"):
        share, size = now.get(f"{name}/adversarial.wave"), now.get(f"{name}/adversarial.deviation")
        if share >= 0.45 and size >= 0.25:
            return Finding("warning", f"{share:.0%} of what the loss of the {words(name)} varies by is one slow wave")
    return None


def starved(history: Sequence[Reading]) -> Finding | None:
    """Training waits for the data."""
    share = history[-1].get("data/waiting")
    return Finding("info", f"{share:.0%} of the time goes by with reading data") if share >= 0.5 else None


def dead(history: Sequence[Reading]) -> Finding | None:
    """Most rectifiers let nothing through."""
    share = history[-1].get("rectifiers/dead")
    if share < 0.5:
        return None
    return Finding(_level(share >= 0.9), f"{share:.0%} of the rectified units are 0 for every sample")


def full(history: Sequence[Reading]) -> Finding | None:
    """Pictures are black and white where real ones are not."""
    now = history[-1]
    share, real = now.get("samples/full"), now.get("data/full")
    if share < 0.8 or share - real < 0.3:
        return None
    return Finding("warning", f"{share:.0%} of the pixels are as dark or bright as can be, {real:.0%} of the real ones")


def ignored_source(history: Sequence[Reading]) -> Finding | None:
    """A translator makes the same of every source."""
    effect = history[-1].get("game/effect", 1.0)
    if effect >= 0.25:
        return None
    return Finding(
        _level(effect < 0.1),
        f"what is made of different sources differs by {effect:.0%} of what real ones differ by",
    )


def identity(history: Sequence[Reading]) -> Finding | None:
    """A translator gives its source back."""
    changed, real = history[-1].get("game/changed", 1.0), history[-1].get("game/changed_real")
    if changed >= 0.01 or real < 0.02:
        return None
    said = f"samples differ from their sources by {changed:.1%} of the range, real ones by {real:.1%}"
    return Finding("warning", said)


def hidden(history: Sequence[Reading]) -> Finding | None:
    """The way back needs a mark that nobody can see."""
    ratio = history[-1].get("game/hidden", 1.0)
    if ratio < 3:
        return None
    return Finding("warning", f"one grey level of noise on what was made makes the way back {ratio:.1f} times as wrong")


def loops(history: Sequence[Reading]) -> Finding | None:
    """Sentences go in circles."""
    now = history[-1]
    made, real = now.get("game/loops"), now.get("game/loops_real")
    if made - real < 0.25:
        return None
    return Finding(_level(made >= 0.7), f"{made:.0%} of the sentences repeat themselves, {real:.0%} of the real ones")


def few_sentences(history: Sequence[Reading]) -> Finding | None:
    """The same sentences again and again."""
    now = history[-1]
    share, real = now.get("game/unique", 1.0), now.get("game/unique_real", 1.0)
    if share > 0.6 * real:
        return None
    return Finding(
        _level(share <= 0.2 * real), f"{share:.0%} of the sentences are different ones, {real:.0%} of the real"
    )


def by_length(history: Sequence[Reading]) -> Finding | None:
    """The discriminator looks at how long sentences are, and nothing else."""
    now = history[-1]
    name = next(iter(discriminators(now)), None)
    if name is None:
        return None
    accuracy, length = now.get(f"{name}/accuracy"), now.get("game/length")
    linked = now.get("game/length_linked")
    if abs(linked) < 0.8 or length < 0.6 or length < accuracy - 0.1:
        return None
    return Finding(
        "warning",
        f"length alone tells real from written as well ({length:.2f}) as the {words(name)} does ({accuracy:.2f}), and "
        f"its judgement follows the length (correlation {linked:.2f})",
    )


def _level(critical: bool) -> Level:
    return "critical" if critical else "warning"


def _farness(reading: Reading) -> float:
    """How many times farther samples lie from the nearest real ones than unseen real ones do.

    1 where the difference is small beside the usual distance of real samples: points of small noise around few centres
    lie a tiny distance apart.
    """
    made, real = reading.get("samples/distance"), reading.get("data/distance", 1.0)
    return made / max(real, 1e-6) if made - real > 0.12 else 1.0


def _gained(history: Sequence[Reading]) -> bool:
    """Whether samples came nearer to real ones, by 3%, from the third quarter of training until now to the fourth.

    Where readings begin after the third quarter, nobody knows, and samples have the benefit of the doubt.
    """
    now = history[-1].clock
    third, fourth = (
        [each.get("samples/distance") for each in history if start * now < each.clock <= (start + 0.25) * now]
        for start in (0.5, QUARTER)
    )
    return not third or not fourth or sum(fourth) / len(fourth) < 0.97 * sum(third) / len(third)


def words(player: str) -> str:
    """A player's or a signal's name as people say it."""
    return player.replace("_", " ")


RULES: tuple[Rule, ...] = (
    Rule("not-finite", "NaN or Inf", not_finite, f"Lower training.optimizer.rate, set training.clip, {GUARDED}."),
    Rule("loss-scale", "fp16 overflows", loss_scale, "Use engine.precision=bf16 or fp32."),
    Rule(
        "large-steps", "Steps too large", large_steps,
        f"Lower training.optimizer.rate (or training.rates of that player), {GUARDED}.", grace=2,
    ),
    Rule(
        "penalty-dominates", "A penalty drowns the game", penalty_dominates,
        "Lower its weight in game.penalties, or the rates; keep samples within [-1, 1].",
        patience=2, grace=1, learns=True,
    ),
    Rule(
        "discriminator-wins", "The discriminator wins", wins,
        f"Add R1 (game.penalties.r1), lower training.rates of that player, {GUARDED}.",
        patience=3, grace=3, learns=True, compares=True,
    ),
    Rule(
        "vanishing-gradient", "The generator learns nothing", vanishing,
        f"Use game.objective=relativistic or nonsaturating with R1, a weaker discriminator, {GUARDED}.",
        patience=2, grace=2,
    ),
    Rule(
        "flat-discriminator", "The discriminator sees nothing", flat,
        "Give it more capacity or rate; loosen game.clipping.limit and penalties.",
        patience=3, grace=2, learns=True, compares=True,
    ),
    Rule(
        "mode-collapse", "Mode collapse", collapse,
        f"Add R1 and R2 (game.penalties), game.objective=relativistic, lower rates, {GUARDED}.",
        patience=3, grace=3, learns=True, compares=True,
    ),
    Rule(
        "stalled", "Samples come no nearer", stalled,
        "Use game.objective=relativistic with R1 and R2, other training.rates of the generator, more width.",
        patience=3, grace=6, compares=True,
    ),
    Rule(
        "frozen-generator", "The generator does not move", frozen,
        "Raise training.rates of that player; look whether its parameters require gradients.", patience=2, grace=1,
    ),
    Rule(
        "overfitting", "The discriminator knows the data by heart", overfitting,
        f"Augment (game.augmentation), more data, stronger penalties, {GUARDED}.",
        patience=3, grace=3, learns=True,
    ),
    Rule("constant-data", "The data are one sample", constant_data, "Look at them: cardigan inspect SOURCE."),
    Rule("repeated-data", "The data repeat", repeated_data, "Remove duplicates: cardigan inspect SOURCE lists them."),
    Rule("one-class", "The data have one class", one_class, "Look at labels and order: cardigan inspect SOURCE."),
    Rule(
        "ignored-labels", "Labels are not obeyed", ignored_labels,
        "Use game.labels=projection; with an auxiliary classifier, game.auxiliary_fakes=false.",
        patience=3, grace=4, learns=True,
    ),
    Rule(
        "oscillation", "The players go in circles", wave,
        "Use R1, training.extragradient or lookahead, lower rates and betas.", patience=2, grace=3,
    ),
    Rule(
        "starved", "Training waits for data", starved, "Keep them in memory or cache: data.storage.",
        patience=2, grace=1,
    ),
    Rule(
        "dead-units", "Dead units", dead, "Lower rates; use a slope below zero (leaky rectifiers).",
        patience=3, grace=2,
    ),
    Rule(
        "full-outputs", "Outputs are saturated", full,
        "Lower training.rates of the generator; look at the range of the data.",
        patience=3, grace=2, learns=True,
    ),
    Rule(
        "ignored-source", "The translator ignores its source", ignored_source,
        "Raise game.terms.reconstruction (or the cycle's weight); game.conditional=true.",
        patience=3, grace=3, learns=True,
    ),
    Rule(
        "identity", "The translator changes nothing", identity,
        "Lower game.identity and the cycle's weight, raise the discriminator's rate.",
        patience=3, grace=3, learns=True,
    ),
    Rule(
        "hidden-source", "The source is hidden in noise", hidden,
        "Lower game.cycle, add noise or augmentation, or use game.kind=contrastive.", patience=2, grace=3,
    ),
    Rule(
        "loops", "Sentences go in circles", loops, "Train longer by likelihood; game.anchor, game.replay.", patience=2,
    ),
    Rule(
        "few-sentences", "Few sentences again and again", few_sentences,
        "Raise game.anchor and game.replay, lower game.pace.", patience=2,
    ),
    Rule(
        "length-only", "The discriminator looks at lengths", by_length,
        "Longer likelihood (game.start), judge per token.", patience=2,
    ),
)  # fmt: skip
"""In the order in which they are asked."""
