"""What each metric means, in words for those who take pictures rather than train networks."""

from dataclasses import dataclass

_DISTANCE = (
    "A network that has learnt to look turns every sample into a list of numbers that describe what it sees. "
    "The cloud of descriptions of real samples is compared with the cloud of generated ones"
)


_OVERLAP = (
    "The share of a sentence's runs of {n} words or characters that stand somewhere in the real test sentences, over "
    "all shorter runs too, averaged over sentences, less where a sentence is too short"
)
_RECALL = (
    "Ten replies are offered, one of them the true one and nine from elsewhere; the writer finds each more or less "
    "likely. This is how often the true one is among the {k} likeliest. By guessing: {chance}."
)


@dataclass(frozen=True)
class Entry:
    """One metric, explained.

    Attributes:
        title: its name in the literature.
        text: what it is, in sentences.
    """

    title: str
    text: str


GLOSSARY = {
    "fd": Entry(
        "Fréchet distance",
        f"{_DISTANCE}: where they are centred and how they spread. 0 would be the same cloud. It notices both poor "
        "samples and missing variety, and does not say which. With the Inception network it is called FID. It "
        "shrinks as more samples are used, so only distances of equal counts and of the same network can be "
        "compared.",
    ),
    "kd": Entry(
        "Kernel distance",
        f"{_DISTANCE}, by how alike pairs across the clouds are against pairs within them. 0 is the same cloud; by "
        "chance it can come out a little below. Unlike the Fréchet distance it does not depend on the number of "
        "samples, so it suits small collections.",
    ),
    "is": Entry(
        "Inception score",
        "High when a classifier is sure what each single sample is, and names many different things over all of "
        "them. It never looks at the real data, so a generator may score well with samples that resemble nothing "
        "in them.",
    ),
    "precision": Entry(
        "Precision",
        "The share of generated samples that lie where real samples lie: roughly, how many could pass. It says "
        "nothing of variety: one perfect sample a thousand times over has full precision.",
    ),
    "recall": Entry(
        "Recall",
        "The share of real samples that lie where generated samples lie: how much of the real variety the "
        "generator covers. A single stray sample can cover a wide stretch, so coverage stands beside it.",
    ),
    "density": Entry(
        "Density",
        "Like precision, but it counts how many real neighbourhoods each generated sample falls into, so that one "
        "unusual real sample cannot make poor ones look good. Real data reach about 1; more means that samples "
        "crowd where real ones are densest.",
    ),
    "coverage": Entry(
        "Coverage",
        "The share of real samples that have at least one generated sample among their nearest neighbours: how "
        "much of the real variety is reached. Steadier than recall.",
    ),
    "class-coverage": Entry(
        "Class coverage",
        "Which share of the classes (of the ten digits, say) the generator makes at all, and not only by accident, "
        "as a classifier sees its samples. 1: every class.",
    ),
    "class-kl": Entry(
        "Class divergence",
        "How far the mixture of classes in the generated samples is from that of the real ones (the "
        "Kullback–Leibler divergence). 0: every class appears as often as it should.",
    ),
    "fd-worst-class": Entry(
        "Fréchet distance of the worst class",
        "The Fréchet distance measured for each class alone, and the largest of them: an average can hide one "
        "class that went wrong. Fewer samples stand behind it, so it is larger and less certain than that of all "
        "classes.",
    ),
    "cas": Entry(
        "Classification accuracy score",
        "A classifier is trained on generated samples only and then has to name real ones. What it gets right is "
        "what the generated samples could teach: it suffers when they look wrong, when they carry the wrong label "
        "and when they are all alike.",
    ),
    "cas-real": Entry(
        "Accuracy trained on real samples",
        "What the same classifier gets right after training on real samples instead: what the classification accuracy "
        "score is to be held against.",
    ),
    "swd": Entry(
        "Sliced Wasserstein distance",
        "How far generated samples would have to be moved to lie as the real ones do, measured along many random "
        "directions. 0: no need to move any.",
    ),
    "spectrum": Entry(
        "Spectrum",
        "Every picture is a mixture of coarse shapes and fine detail. This compares how much there is of each "
        "between real and generated pictures: blur lacks fine detail; noise and checkerboards have too much of it.",
    ),
    "duplicates": Entry(
        "Duplicates",
        "The share of generated samples that have a near twin among the generated ones. A generator that has only "
        "a few of them to show repeats itself.",
    ),
    "support": Entry(
        "Size of the support",
        "How many different samples the generator has to offer, estimated from how soon it repeats itself: the "
        "birthday paradox (among 23 people, two share a birthday every other time). A rough number.",
    ),
    "memorisation": Entry(
        "Memorisation",
        "Whether generated samples are closer to the training samples than unseen real samples are. Copies of the "
        "training data would score well on everything else; they show here.",
    ),
    "psnr": Entry(
        "Peak signal-to-noise ratio",
        "How far each picture is from the one that was wanted, pixel by pixel, in decibels: 6 more is half the error. "
        "It likes blur, since a blurred guess is never far off; so something that sees sharpness stands beside it. "
        "Equal pictures count as 48.13 dB.",
    ),
    "psnr-luma": Entry(
        "Peak signal-to-noise ratio of luma",
        "The same of brightness alone, without the outermost pixels of enlarged pictures: what the literature of "
        "super-resolution reports.",
    ),
    "psnr-hole": Entry(
        "Peak signal-to-noise ratio in the hole",
        "The same over those pixels alone that had to be filled in, so that what was there already counts for nothing.",
    ),
    "ssim": Entry(
        "Structural similarity",
        "Whether light and dark lie in the same places, window by window, as the eye compares. 1: equal pictures.",
    ),
    "perceptual": Entry(
        "Perceptual distance",
        "How differently a network that has learnt to look sees the picture and the one that was wanted, layer by "
        "layer. It forgives a leaf in another place and not a leaf without veins. Only distances of one network "
        "compare.",
    ),
    "lpips": Entry(
        "LPIPS",
        "The perceptual distance with layers weighted so that it agrees with what people called alike.",
    ),
    "edge-energy": Entry(
        "Edge energy",
        "How steep brightness is on average, over how steep it should be: 1 is as sharp as the real picture, less is "
        "blurred, more is noisy or oversharpened.",
    ),
    "colourfulness": Entry(
        "Colourfulness",
        "How far colours are from grey and from each other: 0 is grey, 15 slightly, 45 averagely, 80 highly colourful.",
    ),
    "content": Entry(
        "Edges kept",
        "Whether the translated picture has its edges where its source has them: its content, whatever became of its "
        "colours. 1: exactly there. A picture that was not translated at all has 1, so it is read with the verdict.",
    ),
    "verdict": Entry(
        "Taken for the other domain",
        "The share of translated pictures that a classifier, trained on real pictures of both domains, takes for what "
        "they should have become.",
    ),
    "ppl": Entry(
        "Perceptual path length",
        "How much the picture changes when the generator's input is moved by a hair. Short paths mean that "
        "pictures turn into one another smoothly, without jumps.",
    ),
    **{
        f"bleu-{order}": Entry(
            f"BLEU-{order} against all real sentences",
            f"{_OVERLAP.format(n=order)}. It tells whether sentences are put together from what real ones are put "
            "together from, and nothing of variety: one real sentence said over and over has 1. So self-BLEU stands "
            "beside it. Only numbers against as many real sentences compare.",
        )
        for order in range(2, 6)
    },
    **{
        f"self-bleu-{order}": Entry(
            f"Self-BLEU-{order}",
            f"The same of each sample against all other samples, by runs of {order}: how much they repeat one another. "
            "Real sentences repeat each other too, so it should be near what they reach; above that is too little "
            "variety. It grows with the number of samples, of which 2,000 are used at most.",
        )
        for order in range(2, 6)
    },
    **{
        f"distinct-{order}": Entry(
            f"Distinct-{order}",
            f"How many different runs of {order} there are among all those of the samples together: 1 would mean that "
            "none occurs twice. More samples have a lower share, so only equal numbers compare.",
        )
        for order in range(1, 4)
    },
    "unique": Entry(
        "Different sentences", "How many different sentences there are among the samples; 1: no two alike."
    ),
    **{
        f"novelty-{order}": Entry(
            f"New runs of {order}",
            f"The share of runs of {order} tokens that stand nowhere in the train sentences. Unseen real sentences "
            "have some too: far fewer means that the samples are pieced together from what was learnt, far more that "
            "they wander off.",
        )
        for order in range(2, 6)
    },
    "copies": Entry(
        "Copies of train sentences",
        "The share of samples that stand word for word among the train sentences. Short and common sentences turn up "
        "among unseen real ones as well; what these have stands beside it.",
    ),
    "loops": Entry(
        "Loops",
        "The share of sentences that go in circles: four tokens in a row that stand there twice, or one token three "
        "times in a row.",
    ),
    "length": Entry("Length", "How many tokens the samples have on average, beside those of real sentences."),
    "length-distance": Entry(
        "Difference of lengths",
        "How differently long the samples are from real sentences: the share of them that would need another length. "
        "0: every length is as frequent as it should be.",
    ),
    "nll": Entry(
        "Negative log-likelihood of held-out sentences",
        "How surprised the writer is, token by token, by real sentences that it has never seen: less means that it "
        "expected them. It notices whatever the writer cannot say, and hardly whether what it does say is good. As a "
        "perplexity, e to this power, it is among how many tokens the writer wavers on average. Numbers compare where "
        "the tokens are the same.",
    ),
    "nll-oracle": Entry(
        "Negative log-likelihood under the oracle",
        "How surprised that which wrote the real sentences is by the samples, token by token. It notices poor samples "
        "and nothing of variety.",
    ),
    "form": Entry(
        "Form kept",
        "The share of samples that have the form that nearly all train texts have: so many lines of so many "
        "characters, each ended by a mark.",
    ),
    "rhyme": Entry(
        "Rhymes kept",
        "The share of poems all of whose even lines rhyme. What rhymes with what was learnt from the train poems; "
        "poems that end on characters of which that is not known are left out.",
    ),
    "valid": Entry(
        "Valid molecules",
        "The share of samples that are molecules: RDKit can read them, and no atom has too many bonds.",
    ),
    "molecules-unique": Entry(
        "Different molecules", "How many different molecules there are among the valid ones, however each is written."
    ),
    "molecules-novel": Entry(
        "New molecules", "The share of the different molecules that are not among those of the train split."
    ),
    "qed": Entry(
        "Drug-likeness (QED)",
        "How like known drugs the valid molecules are in size, solubility and so on, 0 to 1, on average. It should be "
        "near what real samples have, unless drugs were wanted.",
    ),
    "sacrebleu": Entry(
        "BLEU of translations",
        "How far runs of up to four words agree with those of the true translation, over all sentences together, 0 to "
        "100, as sacreBLEU computes it. The signature in the note says with which settings: only numbers of equal "
        "signatures on the same sentences compare.",
    ),
    "chrf": Entry(
        "chrF of translations",
        "The same by runs of up to six characters, so that a word with another ending counts for something; 0 to 100.",
    ),
    **{
        f"recall-{k}": Entry(f"Recall of the true reply at {k}", _RECALL.format(k=k, chance=f"{k / 10:g}"))
        for k in (1, 2, 5)
    },
}
"""Metric key -> what it means."""


def explained(metric: str) -> Entry | None:
    """What is said of the metric of that key; None where nothing is."""
    return GLOSSARY.get(metric)
