"""Writers and judges at tiny size, in every variant that changes what is built, and sentences for them."""

import torch
from torch import Tensor

from cardigan.networks.sequences.base import SentenceDiscriminatorFamily, Writer, WriterFamily
from cardigan.networks.sequences.convolution_judge import TextConvolution
from cardigan.networks.sequences.recurrent import Recurrent
from cardigan.networks.sequences.recurrent_judge import TextRecurrent
from cardigan.networks.sequences.transformer import Transformer
from cardigan.networks.sequences.transformer_judge import TextTransformer
from cardigan.sample import Form
from cardigan.tokens import END, PAD, content

VOCABULARY, LENGTH, SOURCE = 11, 6, 7
PLAIN = Form((LENGTH,), vocabulary=VOCABULARY)
PAIRED = Form((LENGTH,), source=(SOURCE,), vocabulary=VOCABULARY)
WRITERS: dict[str, WriterFamily] = {
    "lstm": Recurrent(width=8),
    "lstm-deep": Recurrent(width=7, depth=2, dropout=0.3, tied=False),
    "gru": Recurrent(width=8, cell="gru"),
    "gru-deep": Recurrent(width=8, cell="gru", depth=3, dropout=0.3),
    "transformer": Transformer(width=16, depth=2, heads=2),
    "transformer-untied": Transformer(width=8, depth=1, heads=1, dropout=0, tied=False),
}
JUDGES: dict[str, SentenceDiscriminatorFamily] = {
    "convolution": TextConvolution(width=8, filters=5, windows=(1, 3, 9)),
    "convolution-spectral": TextConvolution(width=8, filters=5, dropout=0, spectral=True),
    "recurrent": TextRecurrent(width=8),
    "recurrent-deep": TextRecurrent(width=8, depth=2, dropout=0.3),
    "recurrent-sentence": TextRecurrent(width=7, depth=2, per="sentence", dropout=0.3),
    "transformer": TextTransformer(width=8, heads=2),
    "transformer-token": TextTransformer(width=8, depth=1, heads=1, per="token", dropout=0),
    "transformer-spectral": TextTransformer(width=8, heads=2, spectral=True),
}


def written_by(name: str, paired: bool, spread: float) -> Writer:
    """A writer in eval mode, whose weights are moved so far that it prefers some tokens clearly."""
    torch.manual_seed(1)
    writer = WRITERS[name].build(PAIRED if paired else PLAIN).eval()
    with torch.no_grad():
        for parameter in writer.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return writer


def sentences(lengths: list[int], width: int, seed: int = 0, filling: int | None = PAD) -> Tensor:
    """(N, width) tokens that end, END among them, at `lengths`; then `filling`, or anything at all if it is None.

    What stands before the end depends on neither.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(END + 1, VOCABULARY, (len(lengths), width), generator=generator)
    for row, length in enumerate(lengths):
        if length <= width:
            tokens[row, length - 1] = END
    rest = torch.randint(0, VOCABULARY, tokens.shape) if filling is None else torch.full_like(tokens, filling)
    return torch.where(content(tokens), tokens, rest)
