"""Measures of sentences: likeness to real ones, variety, copies, likelihood, form, translations, replies."""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from cardigan.evaluation.language import Language, surprise_of
from cardigan.evaluation.protocol import Better
from cardigan.evaluation.scene import INF, Found, Measure, Scene, interval
from cardigan.evaluation.view import GROUPS, View
from cardigan.metrics.jackknife import groups_of, wilson
from cardigan.metrics.text.bleu import bleu, self_bleu
from cardigan.metrics.text.corpus import corpus_bleu, corpus_chrf
from cardigan.metrics.text.dialogue import recall_at
from cardigan.metrics.text.diversity import copies, distinct, lengths, loops, novel_counts, unique_share
from cardigan.metrics.text.grams import Sentences
from cardigan.metrics.text.molecules import molecules
from cardigan.metrics.text.ngram import NGram
from cardigan.metrics.text.verse import form_kept, lines_of, rhyme_classes, rhymes
from cardigan.randomness import derive_seed
from cardigan.tokens import lengths as counted

WRITTEN = 10_000
"""Samples that are looked at, at most."""
SELF = 2_000
"""Samples that are held against one another, at most: self-BLEU grows with their number."""
READ = 10_000
"""Held-out sentences whose likelihood is measured, at most."""
ASKED = 1_000
"""Replies that are to be told from others, at most."""
CANDIDATES = 10
"""Replies that the true one is among."""
MOST = 0.9
"""Share of the train texts that must be verses, or molecules, for samples to be judged as such."""
Values = NDArray[np.float64]


def _mean(
    scene: Scene, key: str, values: Values, reference: int, better: Better, most: float = INF, note: str = ""
) -> Found:
    """The mean over samples."""
    return _ratio(scene, key, values, np.ones(len(values)), reference, better, most, note)


def _ratio(
    scene: Scene,
    key: str,
    over: Values | NDArray[np.int64],
    under: Values | NDArray[np.int64],
    reference: int,
    better: Better,
    most: float = INF,
    note: str = "",
    generated: int | None = None,
) -> Found:
    """The sum over samples of the one over that of the other."""
    value = float(over.sum() / max(under.sum(), 1))
    without = list[float]()
    if scene.intervals:
        group = groups_of(len(over), GROUPS).numpy()
        above, below = (each.sum() - np.bincount(group, weights=each) for each in (over, under))
        without = (above / np.maximum(below, 1)).tolist()
    low, high = interval(without, value, 0.0, most)
    return Found(key, value, len(over) if generated is None else generated, reference, low, high, better, note=note)


def _share(key: str, hits: NDArray[np.bool_], reference: int, better: Better, **more: object) -> Found:
    low, high = wilson(int(hits.sum()), len(hits)) if len(hits) else (0.0, 1.0)
    share = float(hits.mean()) if len(hits) else 0.0
    return Found(key, share, len(hits), reference, low, high, better, **more)  # type: ignore[arg-type]


def _whole(
    scene: Scene, key: str, statistic: Callable[[Sentences], float], samples: Sentences, reference: int, better: Better
) -> Found:
    """A number of all samples together; its interval by leaving out a group of them at a time."""
    value, without = statistic(samples), list[float]()
    if scene.intervals:
        without = [
            statistic([each for at, each in enumerate(samples) if at % GROUPS != group]) for group in range(GROUPS)
        ]
    return Found(key, value, len(samples), reference, *interval(without, value, 0.0, 1.0), better)


def _bleu(scene: Scene) -> Iterator[Found]:
    mine, theirs = scene.generated.sentences[:WRITTEN], scene.reference.sentences
    for order, values in bleu(mine, theirs).items():
        yield _mean(scene, f"bleu-{order}", values, len(theirs), "higher", 1.0)


def _self_bleu(scene: Scene) -> Iterator[Found]:
    for order, values in self_bleu(scene.generated.sentences[:SELF]).items():
        yield _mean(
            scene, f"self-bleu-{order}", values, 0, "neither", 1.0, "above what real samples reach: less varied"
        )


def _diversity(scene: Scene) -> Iterator[Found]:
    mine = scene.generated.sentences[:WRITTEN]
    for order in (1, 2, 3):
        yield _whole(scene, f"distinct-{order}", lambda some, n=order: distinct(some, (n,))[n], mine, 0, "higher")  # type: ignore[misc]
    yield _whole(scene, "unique", unique_share, mine, 0, "higher")


def _novelty(scene: Scene) -> Iterator[Found]:
    """Held against the samples of another split than train: those of train have nothing new."""
    mine, train, honest = (view.sentences for view in (scene.generated, scene.train, scene.held_out))
    usual = novel_counts(honest[:WRITTEN], train)
    for order, (new, of) in novel_counts(mine[:WRITTEN], train).items():
        found = _ratio(scene, f"novelty-{order}", new, of, len(train), "neither", 1.0)
        yield _against(found, usual[order][0].sum() / max(usual[order][1].sum(), 1))
    found_copies, real = copies(mine[:WRITTEN], train), copies(honest[:WRITTEN], train)
    hits = np.zeros(len(mine[:WRITTEN]), dtype=np.bool_)
    hits[found_copies.samples] = True
    note = "word for word; short and common sentences are among unseen real ones too"
    yield _against(_share("copies", hits, len(train), "neither", note=note), real.share)


def _against(found: Found, floor: float) -> Found:
    """With what real samples of another split than train have."""
    return Found(**{**vars(found), "floor": float(floor), "among": "train"})


def _loops(scene: Scene) -> Iterator[Found]:
    note = "four tokens in a row that stand there twice, or one token three times in a row"
    yield _share("loops", loops(scene.generated.sentences[:WRITTEN]), 0, "lower", note=note)


def _lengths(scene: Scene) -> Iterator[Found]:
    mine, theirs = scene.generated.sentences[:WRITTEN], scene.reference.sentences
    found = lengths(mine, theirs)
    values = np.array([len(each) for each in mine], dtype=np.float64)
    yield _mean(
        scene, "length", values, len(theirs), "neither", note=f"in tokens; real ones have {found.reference_mean:.3g}"
    )
    yield _whole(
        scene, "length-distance", lambda some: lengths(some, theirs).total_variation, mine, len(theirs), "lower"
    )


def _likelihood(scene: Scene) -> Iterator[Found]:
    """Of held-out sentences under the writer; beside it, what the frequencies of tokens in train alone give."""
    language, real = _language(scene), scene.reference
    assert language.surprise is not None
    tokens = real.samples[:READ]
    sources = None if real.sources is None else real.sources[:READ]
    nats, count = language.surprise(tokens, sources).numpy(), counted(tokens).numpy()
    found = _ratio(scene, "nll", nats, count, len(tokens), "lower", generated=0)
    trivial = surprise_of(NGram(scene.train.sentences, 1))(tokens, None).sum() / count.sum()
    note = f"nats a token; perplexity {np.exp(found.value):.4g}"
    yield Found(**{**vars(found), "ceiling": float(trivial), "note": note})


def _oracle(scene: Scene) -> Iterator[Found]:
    language, samples = _language(scene), scene.generated.samples[:WRITTEN]
    assert language.oracle is not None
    nats = language.oracle(samples).double().numpy()
    possible = nats[np.isfinite(nats)]
    if len(possible) < 2 * GROUPS:
        return
    never = len(nats) - len(possible)
    note = f"nats a token; {never:,} of {len(nats):,} can never be written there and are left out" if never else ""
    yield _mean(scene, "nll-oracle", possible, 0, "lower", note=note or "nats a token")


def _verse(scene: Scene) -> Iterator[Found]:
    """The form of the train texts: so many lines of so many characters; whether even lines rhyme as theirs do."""
    language = _language(scene)
    lines, characters = _form(language.some)
    mine, honest = (language.decode(view.samples[:WRITTEN]) for view in (scene.generated, scene.held_out))
    kept, usual = (form_kept(texts, lines, characters) for texts in (mine, honest))
    note = f"{lines} lines of {characters} characters"
    yield _share("form", kept, len(honest), "higher", floor=float(usual.mean()), note=note)
    if lines < 4:
        return
    classes = rhyme_classes(language.learned)
    found, real = rhymes(mine, classes), rhymes(honest, classes)
    note = "of poems whose rhymes are known from train"
    hits = found.rhymed[found.judged]
    yield _share("rhyme", hits, len(honest), "higher", floor=real.share, ceiling=found.chance, note=note)


def _molecules(scene: Scene) -> Iterator[Found]:
    language = _language(scene)
    mine, honest = (language.decode(view.samples[:WRITTEN]) for view in (scene.generated, scene.held_out))
    found, real = molecules(mine, language.learned), molecules(honest, language.learned)
    valid, train = len(found.drug_likeness), len(language.learned)
    yield _share("valid", found.valid, 0, "higher", floor=real.validity)
    different = round(found.uniqueness * valid)
    for key, share, of, floor, reference in (
        ("molecules-unique", found.uniqueness, valid, real.uniqueness, 0),
        ("molecules-novel", found.novelty, different, real.novelty, train),
    ):
        low, high = wilson(round(share * of), of) if of else (0.0, 1.0)
        yield Found(key, share, of, reference, low, high, "higher" if reference == 0 else "neither", floor=floor)
    if valid >= GROUPS:
        qed = _mean(scene, "qed", found.drug_likeness, 0, "neither", 1.0)
        yield Found(**{**vars(qed), "floor": real.qed})


def _translation(scene: Scene) -> Iterator[Found]:
    language = _language(scene)
    made = language.decode(scene.generated.samples[:WRITTEN])
    truth = list(language.truth[: len(made)])
    spaced = sum(" " in each.strip() for each in truth) > len(truth) / 2
    for key, found in (
        ("sacrebleu", corpus_bleu(made, truth, tokenizer="13a" if spaced else "char", seed=scene.seed)),
        ("chrf", corpus_chrf(made, truth, seed=scene.seed)),
    ):
        note = f"signature {found.signature}"
        yield Found(key, found.value, len(made), len(truth), found.low, found.high, "higher", note=note)


def _replies(scene: Scene) -> Iterator[Found]:
    """Whether the true reply is likelier, token by token, than others that were given elsewhere."""
    language, real = _language(scene), scene.reference
    assert language.surprise is not None and real.sources is not None
    count = min(ASKED, len(real.samples))
    others = _others(real, count, scene.seed)
    scores = np.zeros((count, CANDIDATES))
    for place in range(CANDIDATES):
        tokens = real.samples[others[:, place]]
        scores[:, place] = -(language.surprise(tokens, real.sources[:count]) / counted(tokens)).numpy()
    for k, values in recall_at(scores, (1, 2, 5)).items():
        found = _mean(scene, f"recall-{k}", values, count, "higher", 1.0, f"among {CANDIDATES} replies")
        yield Found(**{**vars(found), "ceiling": k / CANDIDATES, "generated": 0})


def _others(real: View, count: int, seed: int) -> NDArray[np.int64]:
    """(count, CANDIDATES) which replies stand for choice: the true one first, then different ones at random."""
    kinds: dict[tuple[int, ...], int] = {}
    kind = np.array([kinds.setdefault(tuple(each), len(kinds)) for each in real.sentences])
    first = np.unique(kind, return_index=True)[1]
    random = np.random.default_rng(derive_seed("replies", seed))
    found = np.zeros((count, CANDIDATES), dtype=np.int64)
    for row in range(count):
        drawn = random.choice(len(first), CANDIDATES, replace=False)
        found[row] = [row, *first[drawn[drawn != kind[row]][: CANDIDATES - 1]]]
    return found


def _form(texts: Sequence[str]) -> tuple[int, int]:
    """Lines and characters of a line that most texts have; 0 of both where they are no verse."""
    shapes = [tuple(map(len, lines_of(each))) for each in texts]
    shape = max(set(shapes), key=shapes.count)
    if len(shape) < 2 or len(set(shape)) != 1 or form_kept(texts, len(shape), shape[0]).mean() < MOST:
        return 0, 0
    return len(shape), shape[0]


def _language(scene: Scene) -> Language:
    assert scene.language is not None
    return scene.language


def _sentences(scene: Scene) -> str:
    return "" if scene.language else "the samples are no sentences"


def _of_nothing(scene: Scene) -> str:
    return _sentences(scene) or (
        "sentences are made from others, and have one that is true" if _language(scene).paired else ""
    )


def _two(scene: Scene) -> str:
    return _sentences(scene) or ("" if len(scene.generated.sentences) > GROUPS else "too few samples")


def _readable(scene: Scene) -> str:
    return _sentences(scene) or ("" if _language(scene).surprise else "nobody says how likely sentences are")


def _from_oracle(scene: Scene) -> str:
    return _sentences(scene) or ("" if _language(scene).oracle else "what wrote the real sentences is not known")


def _verses(scene: Scene) -> str:
    return _sentences(scene) or ("" if any(_form(_language(scene).some)) else "the train texts have no common form")


def _chemistry(scene: Scene) -> str:
    if not scene.language:
        return _sentences(scene)
    if not find_spec("rdkit"):
        return "RDKit is not installed (pip install 'cardigan[molecules]')"
    if "molecules" in scene.language.asked or molecules(scene.language.some).validity > MOST:
        return ""
    return "the train texts are no molecules"


def _translations(scene: Scene) -> str:
    if reason := _sentences(scene):
        return reason
    language = _language(scene)
    return "" if language.paired and not language.replies else "sentences are no translations"


def _conversations(scene: Scene) -> str:
    if reason := _readable(scene):
        return reason
    if not _language(scene).replies:
        return "sentences are no replies"
    different = len(set(map(tuple, scene.reference.sentences)))
    return "" if different >= CANDIDATES else f"there are only {different} different replies"


def _measure(run: Callable[[Scene], Iterator[Found]], why_not: Callable[[Scene], str], both: bool = True) -> Measure:
    """`both`: whether real and trivial samples in the place of the generated ones give floor and ceiling."""
    return Measure(run, network=False, floor=both, ceiling=both, why_not=why_not, quiet=True)


SENTENCES: dict[str, Measure] = {
    "bleu": _measure(_bleu, _of_nothing),
    "self-bleu": _measure(_self_bleu, _two),
    "diversity": _measure(_diversity, _two),
    "novelty": _measure(_novelty, _sentences, both=False),
    "loops": _measure(_loops, _sentences),
    "lengths": _measure(_lengths, _two),
    "nll": _measure(_likelihood, _readable, both=False),
    "oracle": _measure(_oracle, _from_oracle),
    "verse": _measure(_verse, _verses, both=False),
    "molecules": _measure(_molecules, _chemistry, both=False),
    "translation": _measure(_translation, _translations, both=False),
    "replies": _measure(_replies, _conversations, both=False),
}
"""Measures of sentences by key."""
