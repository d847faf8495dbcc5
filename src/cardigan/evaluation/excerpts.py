"""Sentences for the report: samples, real ones, nearest train sentences, translations, the best and the worst."""

from collections.abc import Sequence

from torch import Tensor

from cardigan.evaluation.language import Language
from cardigan.evaluation.measures import NEIGHBOURS
from cardigan.evaluation.result import Exhibit
from cardigan.evaluation.scene import Scene
from cardigan.metrics.manifold import realism
from cardigan.metrics.text.nearest import nearest_sentences

SHOWN = 20
"""Sentences that are shown together."""
NEAREST = 10
"""Samples that are shown with their nearest train sentences."""
RANKED = 2_000
"""Samples that the best and the worst are chosen among, at most."""


def excerpts(scene: Scene, language: Language) -> list[Exhibit]:
    """What is shown of somebody's sentences."""
    made = language.decode(scene.generated.samples[:SHOWN])
    truth = language.truth[: len(made)]
    shown = []
    if language.sources is None:
        shown.append(_list("Samples", f"The first {len(made)} of those judged; none chosen.", "sample", made))
        real = f"Of the {scene.reference.name} split, for comparison."
        shown.append(_list("Real samples", real, "sentence", language.truth[:SHOWN]))
    else:
        columns = ("said before", "reply", "true reply") if language.replies else ("source", "made", "truth")
        rows = tuple(zip(language.sources[: len(made)], made, truth, strict=True))
        caption = f"The first {len(made)} of those judged; none chosen."
        shown.append(Exhibit("Replies" if language.replies else "Translated", caption, columns=columns, texts=rows))
    return [*shown, _nearest(scene, language), *_best_and_worst(scene, language)]


def _list(title: str, caption: str, column: str, texts: Sequence[str]) -> Exhibit:
    return Exhibit(title, caption, columns=(column,), texts=tuple((each,) for each in texts))


def _nearest(scene: Scene, language: Language) -> Exhibit:
    found = nearest_sentences(scene.generated.sentences[:NEAREST], scene.train.sentences)
    made = language.decode(scene.generated.samples[:NEAREST])
    theirs = [language.learned[place] for place in found.indices.tolist()]
    apart = map(str, found.distances.tolist())
    caption = (
        "Samples, of train the sentence that the fewest tokens turn into each (put in, taken out or replaced), and how "
        "many: 0 is a copy, 1 or 2 of a long sentence nearly one."
    )
    rows = tuple(zip(made, theirs, apart, strict=True))
    return Exhibit("Nearest train sentences", caption, columns=("sample", "nearest of train", "tokens"), texts=rows)


def _best_and_worst(scene: Scene, language: Language) -> list[Exhibit]:
    """By realism (Kynkäänniemi et al. 2019, section 5), among the first."""
    samples = scene.generated.samples[:RANKED]
    half = min(NEAREST, len(samples) // 2)
    if half == 0 or len(scene.reference.features) <= NEIGHBOURS:
        return []
    order = realism(scene.generated.features[: len(samples)], scene.reference.features, NEIGHBOURS).argsort()
    of = f"of {len(samples):,} samples by realism (how deep they lie among real ones in feature space)"

    def ranked(title: str, which: str, places: Tensor) -> Exhibit:
        return _list(title, f"The {which} {half} {of}.", "sample", language.decode(samples[places]))

    return [ranked("Best samples", "highest", order.flip(0)[:half]), ranked("Worst samples", "lowest", order[:half])]
