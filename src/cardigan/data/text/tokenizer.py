"""Text -> whole numbers and back: characters, words, or byte-level byte pairs, by the library `tokenizers`."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cardigan.errors import CardiganError
from cardigan.tokens import END, SPECIAL, UNKNOWN

if TYPE_CHECKING:
    import tokenizers

Tokens = Literal["characters", "words", "bpe"]
"""What a token is."""
Ids = NDArray[np.int32]

FILE, LIST = "tokenizer.json", "vocabulary.txt"
SMALLEST = {"characters": len(SPECIAL) + 1, "words": len(SPECIAL) + 1, "bpe": len(SPECIAL) + 256}
"""Tokens that a vocabulary has at least: the special ones, and one more or every byte."""
USUAL_BPE = 8000
"""Tokens of byte pairs, where nothing else is said."""
UNSEEN = {"characters": "\N{REPLACEMENT CHARACTER}", "words": SPECIAL[UNKNOWN], "bpe": ""}
"""How an unknown token is shown."""
_SPACE = " \t\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""What parts words, as Python's str.split has it, but for the line end: that is a word of its own."""
_BATCH = 8192
"""Texts that are encoded at once."""


class Tokenizer:
    """Text -> tokens -> text. Special tokens are those of `cardigan.tokens`; no text is ever read as one of them.

    Args:
        inner: of the library.
        kind: what a token is.
    """

    def __init__(self, inner: "tokenizers.Tokenizer", kind: Tokens) -> None:
        inner.encode_special_tokens = True  # "<end>" in a text is text
        self.inner, self.kind = inner, kind
        self.size = inner.get_vocab_size()

    @classmethod
    def train(cls, kind: Tokens, texts: Iterable[str], size: int | None = None, rare: int = 1) -> "Tokenizer":
        """A tokenizer whose vocabulary is that of `texts`, the same for the same texts.

        Args:
            size: tokens of the vocabulary, the most frequent ones; None: all that occur, of byte pairs 8,000.
            rare: occurrences below which a character or a word is unknown.
        """
        return cls(_byte_pairs(texts, size or USUAL_BPE) if kind == "bpe" else _known(kind, texts, size, rare), kind)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The tokens in the order of their numbers; bytes of byte pairs as the library writes them."""
        names = sorted(self.inner.get_vocab().items(), key=lambda item: item[1])
        return tuple(name for name, _ in names)

    def identity(self) -> str:
        """Hash of all that it does."""
        return blake2b(f"{self.kind}{self.inner.to_str()}".encode(), digest_size=16).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.identity() == other.identity()

    __hash__ = None  # type: ignore[assignment]

    def encode(self, texts: Iterable[str]) -> Iterator[Ids]:
        """The tokens of each text, without END."""
        iterator = iter(texts)
        while batch := list(islice(iterator, _BATCH)):
            for encoding in self.inner.encode_batch_fast(batch, add_special_tokens=False):
                ids = np.array(encoding.ids, np.int32)
                if self.kind != "bpe":  # a word "<end>" is in the vocabulary, but not as a word
                    ids[ids < len(SPECIAL)] = UNKNOWN
                yield ids

    def decode(self, rows: Iterable[Sequence[int]]) -> list[str]:
        """The text of each row of tokens, up to its first END."""
        upto = [_up_to_end(row) for row in rows]
        if self.kind == "bpe":
            ids = [[each for each in row if each >= len(SPECIAL)] for row in upto]
            return list(self.inner.decode_batch(ids, skip_special_tokens=False))
        names = (*("" for _ in SPECIAL[:UNKNOWN]), UNSEEN[self.kind], *self.vocabulary[len(SPECIAL) :])
        return [self._text([names[each] for each in row if each >= UNKNOWN]) for row in upto]

    def normal(self, text: str) -> str:
        """`text` as it comes back when all of it is in the vocabulary: of words, joined by single spaces."""
        if self.kind != "words":
            return text
        return "\n".join(_WORDS.sub(" ", line).strip(" ") for line in text.split("\n"))

    def unknown(self, texts: Iterable[str]) -> tuple[str, ...]:
        """What of `texts` the vocabulary lacks: characters or words, each once, in order."""
        if self.kind == "bpe":
            return ()
        pieces = (piece for text in texts for piece in self._pieces(text))
        return tuple(piece for piece in dict.fromkeys(pieces) if (self.inner.token_to_id(piece) or 0) < len(SPECIAL))

    def save(self, folder: Path) -> None:
        """Write it to `folder`: tokenizer.json, in the library's format, and vocabulary.txt, to be read by people."""
        (folder / FILE).write_text(self.inner.to_str(pretty=True), "utf-8")
        names = (name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") for name in self.vocabulary)
        (folder / LIST).write_text("".join(f"{name}\n" for name in names), "utf-8", newline="\n")

    @classmethod
    def opened(cls, folder: Path, kind: Tokens) -> "Tokenizer":
        """What `save` wrote to `folder`.

        Raises:
            CardiganError: it is missing or damaged.
        """
        import tokenizers

        path = folder / FILE
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            raise CardiganError(f"{path} is missing") from None
        except (OSError, ValueError) as error:
            raise CardiganError(f"{path} cannot be read: {error}") from None
        try:
            inner = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # the library raises no other class
            raise CardiganError(f"{path} is damaged: {error}") from None
        if [inner.token_to_id(name) for name in SPECIAL] != list(range(len(SPECIAL))):
            raise CardiganError(f"{path} is damaged: its first tokens are not {', '.join(SPECIAL)}")
        return cls(inner, kind)

    def _text(self, names: list[str]) -> str:
        if self.kind == "characters":
            return "".join(names)
        return " ".join(names).replace(" \n", "\n").replace("\n ", "\n")

    def _pieces(self, text: str) -> Iterable[str]:
        if self.kind == "characters":
            return text
        return (word for word in _WORDS.sub(" ", text).replace("\n", " \n ").split(" ") if word)


_WORDS = re.compile(f"[{_SPACE}]+")


def _blank(kind: Tokens) -> "tokenizers.Tokenizer":
    import tokenizers
    from tokenizers import Regex, decoders, models, pre_tokenizers

    if kind == "bpe":
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer, inner.decoder = _byte_level(), decoders.ByteLevel()
        return inner
    inner = tokenizers.Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
    if kind == "characters":
        inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        inner.decoder = decoders.Fuse()
    else:
        words = pre_tokenizers.Split(Regex(f"[{_SPACE}]+"), "removed")
        inner.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Split("\n", "isolated")])
    return inner


def _byte_pairs(texts: Iterable[str], size: int) -> "tokenizers.Tokenizer":
    from tokenizers.trainers import BpeTrainer

    inner, special = _blank("bpe"), list[Any](SPECIAL)
    alphabet = sorted(_byte_level().alphabet())
    inner.train_from_iterator(
        texts, BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    )
    return inner


def _known(kind: Tokens, texts: Iterable[str], size: int | None, rare: int) -> "tokenizers.Tokenizer":
    """The special tokens, then what occurs, the most frequent first."""
    from tokenizers.models import WordLevel
    from tokenizers.trainers import WordLevelTrainer

    inner, most = _blank(kind), (size or 2**31) - len(SPECIAL)
    inner.train_from_iterator(texts, WordLevelTrainer(vocab_size=most, min_frequency=rare, show_progress=False))
    found = sorted(inner.get_vocab().items(), key=lambda item: item[1])
    names = [*SPECIAL, *(name for name, _ in found if name not in SPECIAL)]  # a text may say "<end>"
    inner.model = WordLevel({name: number for number, name in enumerate(names)}, unk_token=SPECIAL[UNKNOWN])
    inner.add_special_tokens(list(SPECIAL))
    return inner


def _byte_level() -> Any:
    from tokenizers.pre_tokenizers import ByteLevel

    return ByteLevel(add_prefix_space=False)


def _up_to_end(row: Sequence[int]) -> list[int]:
    ids = list(row)
    return ids[: ids.index(END)] if END in ids else ids
