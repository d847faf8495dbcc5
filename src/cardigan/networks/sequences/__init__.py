"""Networks of sentences: generators that write token after token, and discriminators of what is written."""

WRITERS = {
    "recurrent": "cardigan.networks.sequences.recurrent:Recurrent",
    "transformer": "cardigan.networks.sequences.transformer:Transformer",
}
"""Families of writers a recipe may name."""

SENTENCE_DISCRIMINATORS = {
    "text-convolution": "cardigan.networks.sequences.convolution_judge:TextConvolution",
    "text-recurrent": "cardigan.networks.sequences.recurrent_judge:TextRecurrent",
    "text-transformer": "cardigan.networks.sequences.transformer_judge:TextTransformer",
}
"""Families of discriminators of sentences a recipe may name."""
