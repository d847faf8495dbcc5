"""What each metric means, in words for those who take pictures rather than train networks."""

from dataclasses import dataclass

_DISTANCE = (
    "A network that has learnt to look turns every sample into a list of numbers that describe what it sees. "
    "The cloud of descriptions of real samples is compared with the cloud of generated ones"
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
        "nothing of variety: one perfect picture a thousand times over has full precision.",
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
        "a few pictures to show repeats itself.",
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
}
"""Metric key -> what it means."""


def explained(metric: str) -> Entry | None:
    """What is said of the metric of that key; None where nothing is."""
    return GLOSSARY.get(metric)
