"""What can be measured: each measure turns views of generated and of real samples into one or more scores."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import sqrt

from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.evaluation.likeness import Likeness
from cardigan.evaluation.protocol import Better
from cardigan.evaluation.scene import INF, NO_PICTURES, Found, Measure, Run, Scene, but, interval, left_out
from cardigan.evaluation.sentences import SENTENCES
from cardigan.evaluation.view import GROUPS, View
from cardigan.metrics.classes import class_coverage, class_divergence, class_shares, intra_frechet
from cardigan.metrics.duplicates import birthday, duplicates
from cardigan.metrics.frechet import frechet_distance
from cardigan.metrics.inception_score import inception_score
from cardigan.metrics.jackknife import wilson
from cardigan.metrics.kernel import FEWEST, kernel_distance
from cardigan.metrics.manifold import manifold
from cardigan.metrics.memorisation import memorisation
from cardigan.metrics.sliced import sliced_wasserstein
from cardigan.metrics.spectrum import spectrum_distance
from cardigan.settings import allowed

NEIGHBOURS = 5
"""Neighbours that make up the manifold of precision, recall, density and coverage (Naeem et al. 2020)."""
MANIFOLD = 5_000
"""Samples of each side that it is made of, at most."""
SUBSETS = 100
"""Of the kernel distance, 1,000 samples each; floor and ceiling, of which less is asked, take a quarter."""
SHOWN = 60
"""Pairs that are shown."""
PAIRS = 5_000
"""Samples that are compared with one another and with train samples, at most."""


def _frechet(scene: Scene) -> Iterator[Found]:
    mine, theirs = scene.generated.moments, scene.reference.moments
    value = frechet_distance(mine.mean, mine.covariance, theirs.mean, theirs.covariance)
    without = [_frechet_without(scene, group) for group in range(GROUPS)] if scene.intervals else []
    low, high = interval(without, value, 0.0, INF)
    few = min(scene.generated.count, scene.reference.count) <= len(mine.mean)
    note = "fewer samples than features: higher than it would be with more; compare at equal counts only" if few else ""
    yield Found("fd", value, scene.generated.count, scene.reference.count, low, high, note=note)


def _frechet_without(scene: Scene, group: int) -> float:
    mine, theirs = scene.generated.moments.without(group), scene.reference.moments.without(group)
    return frechet_distance(mine[1], mine[2], theirs[1], theirs[2])


def _kernel(scene: Scene) -> Iterator[Found]:
    subsets = SUBSETS if scene.intervals else SUBSETS // 4
    found = kernel_distance(scene.generated.features, scene.reference.features, subsets=subsets, seed=scene.seed)
    half = 2.26 * found.standard_error  # t quantile of 9 degrees of freedom
    yield Found("kd", found.value, *scene.counts, found.value - half, found.value + half)


def _inception_score(scene: Scene) -> Iterator[Found]:
    assert scene.generated.logits is not None
    logits = scene.generated.logits
    value, spread = inception_score(logits, splits=min(GROUPS, len(logits)))
    half = 2.26 * spread / 3  # t quantile of 9 degrees of freedom; the deviation over 10 parts is the population's
    yield Found("is", value, len(logits), 0, value - half, value + half, "higher")


def _manifold(scene: Scene) -> Iterator[Found]:
    count, among = (min(MANIFOLD, each) for each in scene.counts)
    mine, theirs = scene.generated.features[:count], scene.reference.features[:among]
    found = manifold(mine, theirs, NEIGHBOURS)
    without = left_out(scene, partial(manifold, k=NEIGHBOURS), mine, theirs)
    for key in ("precision", "recall", "density", "coverage"):
        value = getattr(found, key)
        most = INF if key == "density" else 1.0
        low, high = interval([getattr(each, key) for each in without], value, 0.0, most)
        yield Found(key, value, count, among, low, high, "higher")


def _classes(scene: Scene) -> Iterator[Found]:
    real, generated = (predicted(view) for view in (scene.reference, scene.generated))
    among = len(scene.classes)

    def both(mine: Tensor, theirs: Tensor) -> tuple[float, float]:
        shares, real_shares = class_shares(mine, among), class_shares(theirs, among)
        return class_coverage(shares, real_shares), class_divergence(shares, real_shares)

    value = both(generated, real)
    without = left_out(scene, both, generated, real)
    coverage, divergence = (
        interval([each[n] for each in without], value[n], 0.0, top) for n, top in ((0, 1.0), (1, INF))
    )
    note = f"share of {among} classes; one counts with at least a third of its real share"
    yield Found("class-coverage", value[0], *scene.counts, *coverage, better="higher", note=note)
    yield Found("class-kl", value[1], *scene.counts, *divergence)


def predicted(view: View) -> Tensor:
    """(N,) classes that the extractor sees."""
    assert view.logits is not None
    return view.logits.argmax(1)


def _per_class(scene: Scene) -> Iterator[Found]:
    found = per_class(scene)
    if not found:
        return
    worst = max(found, key=lambda name: found[name])
    groups = range(GROUPS) if scene.intervals else ()
    without = [max(per_class(scene, group).values(), default=found[worst]) for group in groups]
    ends = interval(without, found[worst], 0.0, INF)
    yield Found("fd-worst-class", found[worst], *scene.counts, *ends, note=f"the worst class is {worst}")


def per_class(scene: Scene, without: int | None = None) -> dict[str, float]:
    """Fréchet distance of each class with enough samples; the extractor says which is which, on both sides.

    Args:
        without: a group of samples to be left out.
    """
    sides = [(view.features, predicted(view)[: len(view.features)]) for view in (scene.generated, scene.reference)]
    if without is not None:
        sides = [(but(features, without), but(classes, without)) for features, classes in sides]
    (mine, my_classes), (theirs, their_classes) = sides
    return dict(intra_frechet(mine, my_classes, theirs, their_classes, scene.classes).distances)


def _sliced(scene: Scene) -> Iterator[Found]:
    mine, theirs = scene.generated.samples, scene.reference.samples
    distance = partial(sliced_wasserstein, seed=scene.seed)
    value = distance(mine, theirs)
    low, high = interval(left_out(scene, distance, mine, theirs), value, 0.0, INF)
    yield Found("swd", value, len(mine), len(theirs), low, high)


def _spectrum(scene: Scene) -> Iterator[Found]:
    mine, theirs = scene.generated.samples, scene.reference.samples
    value = spectrum_distance(mine, theirs)
    low, high = interval(left_out(scene, spectrum_distance, mine, theirs), value, 0.0, INF)
    yield Found("spectrum", value, len(mine), len(theirs), low, high, note="in decibels")


def _duplicates(scene: Scene) -> Iterator[Found]:
    mine, theirs = _some(scene.generated), _some(scene.reference)
    found = duplicates(mine, theirs)
    without = left_out(scene, duplicates, mine, theirs)
    ends = interval([each.rate for each in without], found.rate, 0.0, 1.0)
    note = "near: as near as one in a hundred real samples is to another"
    yield Found("duplicates", found.rate, found.count, found.count, *ends, note=note)
    support = birthday(mine[: found.count], found.threshold)
    note = "a lower bound: no two samples are alike" if support.is_bound else "by the birthday paradox"
    upper = None if support.is_bound else support.high
    yield Found("support", support.support, found.count, found.count, support.low, upper, "higher", note=note)


def _memorisation(scene: Scene) -> Iterator[Found]:
    mine, honest = _some(scene.generated), scene.held_out.features
    found = memorisation(mine, scene.train.features, honest)
    rate = max(found.share, found.expected)
    half = 1.96 * sqrt(rate * (1 - rate) * (1 / len(mine) + 1 / len(honest)))
    note = (
        f"{found.copies:.1%} of the samples look copied (p = {found.p_value:.1g})"
        if found.flagged
        else f"no more than unseen real samples (p = {found.p_value:.2g})"
    )
    yield Found(
        "memorisation",
        found.share,
        len(mine),
        len(scene.train.features),
        max(0.0, found.share - half),
        min(1.0, found.share + half),
        floor=found.expected,
        note=note,
        alarm=found.flagged,
        among="train",
        pairs=found.pairs(SHOWN),
    )


def _some(view: View) -> Tensor:
    return view.features[:PAIRS]


def _path_length(scene: Scene) -> Iterator[Found]:
    assert scene.paths is not None
    found = scene.paths()
    yield Found("ppl", found.value, found.count, 0, found.low, found.high)


def _usefulness(scene: Scene) -> Iterator[Found]:
    assert scene.usefulness is not None
    found = scene.usefulness()
    value, half = found.score.mean, found.score.half or 0.0
    note = (
        f"accuracy on real samples after training on generated ones; on {found.real_count:,} real ones {found.real:.3f}"
    )
    yield Found(
        "cas",
        value,
        found.count,
        found.test_count,
        value - half,
        value + half,
        "higher",
        floor=found.real.mean,
        ceiling=found.chance,
        note=note,
    )


def _augmentation(scene: Scene) -> Iterator[Found]:
    """What generated samples add to few real ones, for each number of these."""
    assert scene.augmentation is not None
    for study in scene.augmentation():
        real, both = study.accuracy["none"], study.accuracy["generated"]
        gain = both.minus(real)
        half = gain.half or 0.0
        key = f"augmentation-{study.per_class or 'all'}"
        others = ", ".join(f"{arm} {found.mean:.3f}" for arm, found in study.accuracy.items())
        note = f"accuracy gained. By what is added: {others}. The generator has seen the whole train split"
        count = study.test_count
        yield Found(
            key, gain.mean, scene.generated.count, count, gain.mean - half, gain.mean + half, "higher", note=note
        )


LIKENESS: dict[str, Better] = {
    "psnr": "higher",
    "psnr-luma": "higher",
    "psnr-hole": "higher",
    "ssim": "higher",
    "perceptual": "lower",
    "lpips": "lower",
    "edge-energy": "neither",
    "colourfulness": "neither",
    "content": "higher",
}
"""What is measured picture by picture -> which direction is better."""


def _like(*keys: str) -> Run:
    """Means over pictures of what `likeness` holds under `keys`; what it does not hold is passed over."""

    def run(scene: Scene) -> Iterator[Found]:
        found = scene.likeness
        assert found is not None
        for key in (each for each in keys if each in found.values):
            mean, half, count = found.mean(key)
            real = (found.reference, found.fingerprint) if found.reference else None
            note = _beside(found, key)
            low, high = (mean - half, mean + half) if count > 1 else (None, None)
            eye = found.eyes.get(key)
            yield Found(key, mean, count, count, low, high, LIKENESS[key], note=note, real=real, eye=eye)

    return run


def _beside(found: Likeness, key: str) -> str:
    """What the real pictures have, where no direction is better."""
    if key == "colourfulness":
        return f"real ones have {found.mean('colourfulness-real')[0]:.3g}"
    return "real ones have 1: below, pictures are smoother than they should be" if key == "edge-energy" else ""


def _needs_likeness(*keys: str) -> Callable[[Scene], str]:
    def why_not(scene: Scene) -> str:
        if scene.language is not None:
            return _pictures_only(scene)
        if scene.likeness is None:
            return "samples are not made of sources"
        if any(key in scene.likeness.values for key in keys):
            return ""
        return "the package lpips is not installed" if "lpips" in keys else "it does not apply to these data"

    return why_not


def _verdict(scene: Scene) -> Iterator[Found]:
    """Share of translations that the extractor's classifier takes for what they should have become."""
    logits = scene.generated.logits
    assert logits is not None
    taken = logits.argmax(1) == len(scene.domains) - 1
    low, high = wilson(int(taken.sum()), len(taken))
    note = f"share taken for {scene.domains[-1]!r}"
    yield Found(
        "verdict", float(taken.double().mean()), len(taken), scene.reference.count, low, high, "higher", note=note
    )


def _needs_domains(scene: Scene) -> str:
    return "" if scene.domains else "the extractor was not trained to tell two domains apart"


def _pictures_only(scene: Scene) -> str:
    return "" if scene.generated.samples.dim() == 4 else NO_PICTURES


def _needs_classes(scene: Scene) -> str:
    return "" if scene.classes else "the extractor knows no classes of these data"


def _needs_logits(scene: Scene) -> str:
    known = scene.generated.logits is not None and not scene.domains
    return "" if known else "the extractor knows no classes"


def _needs_neighbours(scene: Scene) -> str:
    few = min(*scene.counts) // GROUPS * (GROUPS - 1)
    return "" if few > NEIGHBOURS else f"{min(*scene.counts)} samples are too few for {NEIGHBOURS} neighbours"


def _needs_pairs(scene: Scene) -> str:
    few = min(*scene.counts)
    return "" if few >= FEWEST else f"{few} samples are too few for an unbiased distance"


def _needs_size(scene: Scene) -> str:
    return _pictures_only(scene) or ("" if min(scene.generated.samples.shape[2:]) >= 8 else "pictures below 8 pixels")


def _needs_paths(scene: Scene) -> str:
    return "" if scene.paths else "there is no generator of noise"


def _needs_labels(scene: Scene) -> str:
    return "" if scene.usefulness else "samples were not made for labels"


MEASURES: dict[str, Measure] = {
    "fd": Measure(_frechet),
    "kd": Measure(_kernel, why_not=_needs_pairs),
    "is": Measure(_inception_score, why_not=_needs_logits),
    "prdc": Measure(_manifold, why_not=_needs_neighbours),
    "classes": Measure(_classes, why_not=_needs_classes),
    "intra": Measure(_per_class, why_not=_needs_classes),
    "swd": Measure(_sliced, network=False, why_not=_needs_size),
    "spectrum": Measure(_spectrum, network=False, why_not=_needs_size),
    "duplicates": Measure(_duplicates, ceiling=False),
    "memorisation": Measure(_memorisation, floor=False, ceiling=False),
    "pairs": Measure(
        _like("psnr", "psnr-luma", "psnr-hole", "ssim", "edge-energy", "colourfulness", "content"),
        network=False,
        floor=False,
        ceiling=False,
        why_not=_needs_likeness("psnr", "content"),
    ),
    "perceptual": Measure(_like("perceptual"), floor=False, ceiling=False, why_not=_needs_likeness("perceptual")),
    "verdict": Measure(_verdict, why_not=_needs_domains),
    "lpips": Measure(_like("lpips"), network=False, floor=False, ceiling=False, why_not=_needs_likeness("lpips")),
    "ppl": Measure(_path_length, version=2, floor=False, ceiling=False, why_not=_needs_paths),
    "cas": Measure(_usefulness, network=False, floor=False, ceiling=False, why_not=_needs_labels),
    "augmentation": Measure(
        _augmentation,
        network=False,
        floor=False,
        ceiling=False,
        why_not=lambda scene: _needs_labels(scene) or _pictures_only(scene),
    ),
    **SENTENCES,
}
SLOW = ("lpips", "ppl", "cas", "augmentation")
"""Measured only when asked for."""


def chosen(names: Sequence[str]) -> dict[str, Measure]:
    """The measures called `names`: all but the slow ones for none, every one for "all".

    Raises:
        CardiganError: an unknown name.
    """
    if not names:
        return {name: measure for name, measure in MEASURES.items() if name not in SLOW}
    if "all" in names:
        return dict(MEASURES)
    for name in names:
        if name not in MEASURES:
            raise CardiganError(f"--metrics: unknown {name!r}; {allowed(name, [*MEASURES, 'all'])}")
    return {name: MEASURES[name] for name in dict.fromkeys(names)}
