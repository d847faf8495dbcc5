"""How clean pictures are spoiled, for restoration: each kind one file."""

DEGRADATIONS = {
    "downscale": "cardigan.data.degradations.downscale:Downscale",
    "mask": "cardigan.data.degradations.mask:Mask",
    "grey": "cardigan.data.degradations.grey:Grey",
    "noise": "cardigan.data.degradations.noise:Noise",
    "blur": "cardigan.data.degradations.blur:Blur",
    "jpeg": "cardigan.data.degradations.jpeg:Jpeg",
    "edges": "cardigan.data.degradations.edges:Edges",
    "real-world": "cardigan.data.degradations.real_world:RealWorld",
}
"""Kinds of degradation a recipe may name: tag -> settings class."""
