"""Real samples as tensors, and how each kind of sample is shown to people."""

DATA = {
    "pictures": "cardigan.data.pictures:Pictures",
    "pairs": "cardigan.data.pairs:Pairs",
    "domains": "cardigan.data.domains:Domains",
    "sentences": "cardigan.data.sentences:Sentences",
    "stacked": "cardigan.data.stacked:StackedPictures",
    "toy": "cardigan.data.toys:Toy",
    "oracle": "cardigan.data.oracle:OracleSentences",
}
"""Kinds of data a recipe may name: tag -> settings class."""

CODECS = {
    "pictures": "cardigan.data.picture_codec:PictureCodec",
    "pairs": "cardigan.data.pair_codec:PairCodec",
    "sentences": "cardigan.data.sentence_codec:SentenceCodec",
    "points": "cardigan.data.toys:PointCodec",
    "numbers": "cardigan.data.oracle:NumberCodec",
}
"""Codecs a run folder may name."""
