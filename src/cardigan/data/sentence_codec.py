"""Sentences as networks make them -> sentences as people use them: strings, text files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import PrivateAttr
from torch import Tensor

from cardigan.data.base import Codec
from cardigan.data.text.rows import padded_rows
from cardigan.data.text.texts import SEPARATOR
from cardigan.data.text.tokenizer import Tokenizer, Tokens
from cardigan.tokens import padded


class SentenceCodec(Codec):
    """Rows of tokens as strings and text files; its tokenizer lies beside codec.json as tokenizer.json."""

    kind: Literal["sentences"] = "sentences"
    """This kind of codec."""
    tokens: Tokens = "characters"
    """What a token is."""
    lowercase: bool = False
    """Whether texts are brought to lower case first."""
    paired: bool = False
    """Whether sentences are made from sentences."""
    context: int | None = None
    """Turns of a conversation that a reply is made from; None: samples are no replies."""
    _tokenizer: Tokenizer | None = PrivateAttr(None)

    def using(self, tokenizer: Tokenizer) -> "SentenceCodec":
        """This codec with its tokenizer."""
        codec = self.model_copy()
        codec._tokenizer = tokenizer
        return codec

    @property
    def tokenizer(self) -> Tokenizer:
        """Text -> tokens -> text."""
        if self._tokenizer is None:
            raise ValueError("this codec has no tokenizer yet: open it with `opened`")
        return self._tokenizer

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The tokens in the order of their numbers."""
        return self.tokenizer.vocabulary

    @property
    def extension(self) -> str:
        """Sentences are text."""
        return ".txt"

    def save(self, folder: Path) -> None:
        """See `Codec.save`: tokenizer.json, and vocabulary.txt for people, a token a line."""
        self.tokenizer.save(folder)

    def opened(self, folder: Path) -> "SentenceCodec":
        """See `Codec.opened`."""
        return self.using(Tokenizer.opened(folder, self.tokens))

    def usage(self, run: str) -> str:
        """See `Codec.usage`."""
        if self.context is not None:
            return f"cardigan chat {run}"
        return f'cardigan translate {run} --text "..."' if self.paired else f"cardigan generate {run} -n 20"

    def decode(self, samples: Tensor) -> list[str]:
        """(N, T) tokens -> N strings, each up to its first END."""
        return self.tokenizer.decode(samples.detach().long().cpu().tolist())

    def encode(self, texts: Sequence[str], length: int | None = None) -> Tensor:
        """N strings -> (N, length) int64 tokens, END then PAD behind each; one that is longer is cut, without END.

        What the vocabulary lacks becomes UNKNOWN; `unknown` names it.

        Args:
            length: by default that of the longest, with its END.
        """
        return torch.from_numpy(padded_rows(list(self.tokenizer.encode(map(self._read, texts))), length)).long()

    def unknown(self, texts: Sequence[str]) -> tuple[str, ...]:
        """The characters or words of `texts` that the vocabulary lacks, each once; none of byte pairs."""
        return self.tokenizer.unknown(map(self._read, texts))

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, its END counted."""
        return [len(each) + 1 for each in self.tokenizer.encode(map(self._read, texts))]

    def joined(self, turns: Sequence[str]) -> str:
        """The last turns of a conversation as the one text that the next is made from."""
        said = [" ".join(turn.split()) for turn in turns]
        return SEPARATOR.join(said[-(self.context or 1) :])

    def rounded(self, samples: Tensor) -> Tensor:
        """See `Codec.rounded`: PAD behind the first END."""
        return padded(samples)

    def write(self, sample: Tensor, path: Path) -> None:
        """Write one sample (T,) as a text file."""
        _write(self.decode(sample[None])[0], path)

    def render(self, samples: Tensor, path: Path) -> None:
        """Write (N, T) as one text file: a sentence a line; those of several lines with an empty line between."""
        _write(page(self.decode(samples)), path)

    def exhibit(self, panels: Mapping[str, Tensor], path: Path) -> None:
        """Write one text file: for each sentence a block, in which every panel stands behind its name."""
        texts = {name: self.decode(each) for name, each in panels.items()}
        if len(texts) == 1:
            self.render(next(iter(panels.values())), path)
            return
        _write(
            "\n\n".join(_block(dict(zip(texts, one, strict=True))) for one in zip(*texts.values(), strict=True)), path
        )

    def _read(self, text: str) -> str:
        return text.lower() if self.lowercase else text


def page(texts: Sequence[str]) -> str:
    """A sentence a line; those of several lines with an empty line between."""
    return ("\n\n" if any("\n" in text for text in texts) else "\n").join(texts)


def _block(texts: Mapping[str, str]) -> str:
    width = max(map(len, texts))
    margin = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {text.replace(chr(10), margin)}" for name, text in texts.items())


def _write(text: str, path: Path) -> None:
    # half a character of a text from byte pairs was replaced when it was decoded
    path.write_text(f"{text}\n", "utf-8", newline="\n")
