"""Real samples as tensors, and how each kind of sample is shown to people."""

DATA = {
    "pictures": "cardigan.data.pictures:Pictures",
    "toy": "cardigan.data.toys:Toy",
}
"""Kinds of data a recipe may name: tag -> settings class."""

CODECS = {
    "pictures": "cardigan.data.picture_codec:PictureCodec",
    "points": "cardigan.data.toys:PointCodec",
}
"""Codecs a run folder may name."""
