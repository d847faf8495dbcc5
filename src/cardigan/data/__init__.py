"""Real samples as tensors, and how each kind of sample is shown to people."""

DATA = {
    "pictures": "cardigan.data.pictures:Pictures",
    "pairs": "cardigan.data.pairs:Pairs",
    "domains": "cardigan.data.domains:Domains",
    "toy": "cardigan.data.toys:Toy",
}
"""Kinds of data a recipe may name: tag -> settings class."""

CODECS = {
    "pictures": "cardigan.data.picture_codec:PictureCodec",
    "pairs": "cardigan.data.pair_codec:PairCodec",
    "points": "cardigan.data.toys:PointCodec",
}
"""Codecs a run folder may name."""
