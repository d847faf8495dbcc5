"""The perceptual path length of a run's generator."""

import torch
from torch import Tensor

from cardigan.extractors.base import Extractor
from cardigan.generate import Model, slerp
from cardigan.metrics.path_length import PathLength, path_length
from cardigan.randomness import Random
from cardigan.resizing import unrounded

PATHS = 5_000


def measured_paths(model: Model, extractor: Extractor, truncation: float, seed: int) -> PathLength:
    """Between random latents of `model`: along great arcs where they are normal, straight where they are not.

    Every path stays within one class where the generator is conditional.
    """
    generator = model.generator
    random = Random(seed, "paths")
    start, end = (generator.sample_latents(PATHS, random).to(model.device) for _ in range(2))
    shares = random.uniform(PATHS).to(model.device)

    def make(latents: Tensor) -> Tensor:
        labels = None
        if model.conditional:  # both ends of a step come in one batch, and have one label
            labels = (torch.arange(len(latents) // 2, device=model.device) % model.form.classes).repeat(2)
        return model.make(latents, labels, truncation)

    def features(samples: Tensor) -> Tensor:
        with unrounded():  # a step is far smaller than one of 8 bits
            return extractor(samples).values

    blend = slerp if generator.latent.distribution == "normal" else torch.lerp
    return path_length(make, features, blend, start, end, shares)
