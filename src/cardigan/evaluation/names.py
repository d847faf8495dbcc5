"""What scores are called: FID only where it is one."""

NAMES = {
    "fd": "FD",
    "kd": "KD",
    "is": "IS",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "class-coverage": "classes covered",
    "class-kl": "class KL",
    "fd-worst-class": "FD of the worst class",
    "cas": "classification accuracy score",
    "augmentation-10": "gain of generated samples at 10 a class",
    "augmentation-50": "gain of generated samples at 50 a class",
    "augmentation-all": "gain of generated samples beside all real ones",
    "swd": "sliced Wasserstein",
    "spectrum": "power spectrum",
    "duplicates": "near-duplicates",
    "support": "support size",
    "memorisation": "memorised",
    "ppl": "path length",
    "psnr": "PSNR",
    "psnr-luma": "luma PSNR",
    "psnr-hole": "PSNR in the hole",
    "ssim": "SSIM",
    "perceptual": "perceptual",
    "lpips": "LPIPS",
    "edge-energy": "edge energy",
    "colourfulness": "colourfulness",
    "content": "edges kept",
    "verdict": "taken for the other domain",
    **{f"bleu-{order}": f"BLEU-{order}" for order in range(2, 6)},
    **{f"self-bleu-{order}": f"self-BLEU-{order}" for order in range(2, 6)},
    **{f"distinct-{order}": f"distinct-{order}" for order in range(1, 4)},
    "unique": "different sentences",
    **{f"novelty-{order}": f"new {order}-grams" for order in range(2, 6)},
    "copies": "copies of train",
    "loops": "loops",
    "length": "length",
    "length-distance": "difference of lengths",
    "nll": "NLL",
    "nll-oracle": "NLL-oracle",
    "form": "form kept",
    "rhyme": "rhymes kept",
    "valid": "valid molecules",
    "molecules-unique": "different molecules",
    "molecules-novel": "new molecules",
    "qed": "drug-likeness",
    "sacrebleu": "sacreBLEU",
    "chrf": "chrF",
    **{f"recall-{k}": f"recall at {k}" for k in (1, 2, 5)},
}
STANDARD = {"fd": "FID", "kd": "KID", "is": "IS"}
"""Names that belong to the Inception network alone."""


def score_name(key: str, extractor: str) -> str:
    """ "fd" by "inception" -> "FID", by "local" -> "local-FD", by a file -> "extractor.onnx-FD"."""
    if extractor == "inception" and key in STANDARD:
        return STANDARD[key]
    name = NAMES.get(key, key)
    return name if extractor == "none" else f"{extractor}-{name}"
