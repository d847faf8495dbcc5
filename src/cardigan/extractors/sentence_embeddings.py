"""A transformer of the Hugging Face hub as extractor of sentences: MiniLM, on what the codec makes of tokens."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.data.base import Data, Watch, silent
from cardigan.data.sentence_codec import SentenceCodec
from cardigan.errors import CardiganError
from cardigan.extractors.base import Extractor, Features
from cardigan.extractors.hub import FILES_OF_TEXT, TENSORS, WORDS, Found, find
from cardigan.extractors.huggingface import check_kind, load
from cardigan.extractors.weights import sha256
from cardigan.sample import Form

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LONGEST = 256
"""Pieces of a sentence that are read, as the model was trained; the rest is cut."""
BATCH = 64
"""Sentences in the network at once."""


class SentenceEmbeddings(Extractor):
    """Mean over the last hidden states of a sentence's pieces, at unit length, as its authors use it; see `minilm`."""

    def __init__(
        self, name: str, found: Found, network: nn.Module, tokenizer: Any, decode: Callable[[Tensor], list[str]]
    ) -> None:
        self.name, self.digest = name, sha256(found.folder / TENSORS)
        self.resizing = f"decoded to text; at most {LONGEST} pieces"
        self.facts = MappingProxyType({"model": found.model, "revision": found.revision})
        self.network, self.tokenizer, self.decode = network.eval().requires_grad_(False), tokenizer, decode
        self.dimension = int(network.config.hidden_size)  # type: ignore[union-attr,arg-type]

    def extract(self, samples: Tensor) -> Features:
        """(N, T) tokens of the data's own vocabulary -> features (N, D) at unit length."""
        return Features(torch.cat([self._embedded(self.decode(some)) for some in samples.split(BATCH)]))

    def _embedded(self, texts: list[str]) -> Tensor:
        encoded = self.tokenizer.encode_batch(texts)
        pieces, mask = (torch.tensor([getattr(each, key) for each in encoded]) for key in ("ids", "attention_mask"))
        states: Tensor = self.network(input_ids=pieces, attention_mask=mask).last_hidden_state
        there = mask[..., None].to(states)
        return F.normalize((states * there).sum(1) / there.sum(1).clamp(min=1), dim=1)


def minilm(data: Data, form: Form, watch: Watch = silent, *, model: str = MODEL) -> SentenceEmbeddings:
    """MiniLM trained to embed English sentences (Reimers & Gurevych 2019, arXiv:1908.10084): (N, 384).

    Raises:
        CardiganError: samples that are no text; a package or the model is missing and cannot be downloaded.
    """
    codec = data.load("train", 0, watch).codec
    if not form.vocabulary or not isinstance(codec, SentenceCodec):
        raise CardiganError("--extractor: minilm looks at sentences only; allowed here: local, raw")
    found = find(model, watch, FILES_OF_TEXT)
    check_kind(found, "bert")
    from tokenizers import Tokenizer
    from transformers import BertModel

    try:
        tokenizer = Tokenizer.from_file(str(found.folder / WORDS))
    except Exception as error:  # the library raises no other class
        raise CardiganError(f"{found.folder / WORDS} is damaged: {error}") from None
    network = load(found, BertModel, add_pooling_layer=False)
    tokenizer.enable_padding()
    tokenizer.enable_truncation(min(LONGEST, int(network.config.max_position_embeddings)))  # type: ignore[union-attr,arg-type]
    return SentenceEmbeddings("minilm", found, network, tokenizer, codec.decode)
