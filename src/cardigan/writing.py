"""Use a trained run that writes sentences: generate, translate, reply. Loading executes no code from the run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cardigan.data.base import Watch, silent
from cardigan.data.sentence_codec import SentenceCodec
from cardigan.data.sources.source import shown
from cardigan.data.text.reading import read_lines
from cardigan.errors import CardiganError
from cardigan.files import writable
from cardigan.networks.sequences.base import Writer
from cardigan.networks.sequences.sampling import Sampling, beam, write_with
from cardigan.players import Players, Weights, load_players
from cardigan.randomness import Random
from cardigan.run import Run, open_run
from cardigan.tokens import END, PAD

CHUNK = 64
"""Sentences written at a time: bounds the memory, and keeps sentence i of a seed the same whatever n is."""
BEAM = 4
"""Candidates of beam search, where a sentence is made from another."""
FOLDER = "translated"
"""In the run's folder: where translated files are written unless another place is named."""


@dataclass(frozen=True)
class Answer:
    """What was made of one text.

    Attributes:
        text: the result.
        cut: whether the text had more tokens than the network reads, and the rest of it was not seen: what comes last
            in a text that is translated, what came first in one that is replied to.
    """

    text: str
    cut: bool = False


class Writing:
    """The writer of one checkpoint, ready to be used.

    Attributes:
        run: where it comes from.
        clock: real samples it had been trained on.
        codec: turns sentences into tokens and back.
        form: of the sentences.
        writer: in evaluation mode.
    """

    def __init__(
        self, run: Run, at: int | None = None, weights: Weights = "average", loaded: Players | None = None
    ) -> None:
        loaded = loaded or load_players(run, at, weights)
        writer = loaded.players.get("generator")
        if not isinstance(writer, Writer) or not loaded.form.vocabulary:
            raise CardiganError(f"{run.folder}: it writes no sentences; to use it: {loaded.codec.usage(run.name)}")
        self.run, self.writer, self.device = run, writer, loaded.device
        self.clock, self.form, self.codec = loaded.clock, loaded.form, loaded.codec

    @property
    def paired(self) -> bool:
        """Whether sentences are made from sentences."""
        return self.form.source is not None

    @property
    def words(self) -> SentenceCodec:
        """The codec, where there are words and not numbers.

        Raises:
            CardiganError: the run was trained on numbers.
        """
        if not isinstance(self.codec, SentenceCodec):
            raise CardiganError(f"{self.run.folder}: it was trained on numbers that stand for no words")
        return self.codec

    def generate(self, n: int = 1, *, seed: int = 0, how: Sampling | None = None, prompt: str = "") -> list[str]:
        """`n` sentences.

        Args:
            seed: sentence i of one seed is the same whatever n is.
            how: tokens are chosen: temperature, top-k, top-p.
            prompt: with which every one begins.

        Raises:
            CardiganError: a prompt with what the vocabulary lacks, or that is too long; a run that needs a source.
        """
        tokens = torch.cat(list(self.stream(n, seed=seed, how=how, prompt=prompt)))
        return self.codec.decode(tokens)

    def stream(
        self, n: int, *, seed: int = 0, how: Sampling | None = None, prompt: str = "", source: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The same n sentences as tokens (N, T) int64 on the CPU, some at a time.

        Args:
            source: (n, S) tokens, one for each, where sentences are made from sentences.
        """
        if n < 1:
            raise CardiganError(f"n: the number of sentences must be at least 1, not {n}")
        if self.paired and source is None:
            raise CardiganError(
                f"{self.run.folder}: it makes sentences from sentences; use it so: {self.codec.usage(self.run.name)}"
            )
        begun = self._begun(prompt) if prompt else None
        for number, start in enumerate(range(0, n, CHUNK)):
            count = min(CHUNK, n - start)
            uniforms = Random(seed, "generate", number).uniform(CHUNK, self.form.shape[0])[:count].to(self.device)
            some = None if source is None else source[start : start + count].to(self.device)
            beginning = None if begun is None else begun.expand(count, -1).to(self.device)
            yield write_with(self.writer, uniforms, how, some, beginning).cpu()

    def translate(self, texts: Sequence[str], *, width: int = BEAM) -> list[Answer]:
        """What the run makes of each text: the likeliest sentence that beam search of `width` finds.

        Raises:
            CardiganError: a run that makes sentences of nothing.
        """
        made = [self._translated(texts[start : start + CHUNK], width) for start in range(0, len(texts), CHUNK)]
        return [each for some in made for each in some]

    def reply(self, turns: Sequence[str], *, seed: int = 0, how: Sampling | None = None) -> Answer:
        """The next turn of a conversation, sampled: to as many of the last turns as the network reads.

        Args:
            turns: what was said, the last one last.

        Raises:
            CardiganError: a run that makes sentences of nothing.
        """
        source = self._heard(turns)
        (tokens,) = self.stream(1, seed=seed, how=how, source=source)
        return Answer(self.words.decode(tokens)[0], not bool((source == END).any()))

    def sources(self, texts: Sequence[str]) -> Tensor:
        """(N, S) tokens of texts that sentences are made from; what is too long is cut.

        Raises:
            CardiganError: a run that makes sentences of nothing.
        """
        return self.words.encode(texts, self._source_length)

    def translate_files(
        self, named: Iterable[str | Path], out: str | Path | None = None, *, width: int = BEAM, watch: Watch = silent
    ) -> list[Path]:
        """Text files, a sentence a line -> files of the same names and as many lines, in `out` [RUN/translated].

        Raises:
            CardiganError: a file that is no text; nothing is written then.
        """
        paths = [Path(each).expanduser() for each in named]
        folder = Path(out) if out is not None else self.run.folder / FOLDER
        targets = [folder / f"{path.name.removesuffix('.gz').removesuffix('.txt')}.txt" for path in paths]
        if len(set(targets)) < len(targets) or {each.resolve() for each in targets} & {
            each.resolve() for each in paths
        }:
            raise CardiganError(
                f"{folder}: two files would have one name, or an input be overwritten; name another --out"
            )
        read = [read_lines(path) for path in paths]
        with writable(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for number, (target, lines) in enumerate(zip(targets, read, strict=True)):
                watch(f"translating {shown(target.name)}", number, len(targets))
                answers = iter(self.translate([line for line in lines if line.strip()], width=width))
                made = [next(answers).text if line.strip() else "" for line in lines]
                target.write_text("".join(f"{' '.join(line.split())}\n" for line in made), "utf-8")
        return targets

    @property
    def _source_length(self) -> int:
        """Tokens that the network reads of what a sentence is made from."""
        if self.form.source is None:
            raise CardiganError(
                f"{self.run.folder}: it makes sentences of nothing; use it so: {self.codec.usage(self.run.name)}"
            )
        return self.form.source[0]

    def _heard(self, turns: Sequence[str]) -> Tensor:
        """(1, S) tokens of the last turns, as many as are wanted and fit; of a last one that does not, its end."""
        length = self._source_length
        for first in range(max(0, len(turns) - (self.words.context or 1)), len(turns)):
            text = self.words.joined(turns[first:])
            if self.words.lengths([text])[0] <= length:
                return self.sources([text])
        tokens = self.words.encode([self.words.joined(turns[-1:])])
        return tokens[:, tokens[0] != END][:, -length:]

    def _translated(self, texts: Sequence[str], width: int) -> list[Answer]:
        source = self.sources(texts).to(self.device)
        made = self.codec.decode(beam(self.writer, source, self.form.shape[0], width, length_penalty=1.0).cpu())
        cut = ~(source == END).any(dim=1)
        return [Answer(text, each) for text, each in zip(made, cut.tolist(), strict=True)]

    def _begun(self, prompt: str) -> Tensor:
        """(1, P) tokens of a prompt."""
        if lacking := self.words.unknown([prompt]):
            named = ", ".join(repr(each) for each in lacking[:5])
            raise CardiganError(
                f"--prompt: the run's vocabulary lacks {named}; allowed: what stands in its train texts"
            )
        tokens = self.words.encode([prompt])
        tokens = tokens[:, (tokens[0] != END) & (tokens[0] != PAD)]
        if tokens.shape[1] >= self.form.shape[0]:
            raise CardiganError(f"--prompt: {tokens.shape[1]} tokens; allowed: up to {self.form.shape[0] - 1}")
        return tokens


def load_writer(run: str | Path | Run, at: int | None = None, weights: Weights = "average") -> Writing:
    """The writer of `run` (a folder, a name, "last"), of its newest checkpoint or the one at clock `at`.

    Args:
        weights: "average" (over training) or "raw".

    Raises:
        CardiganError: no such run, no checkpoint, a damaged one, or one that writes no sentences.
    """
    return Writing(run if isinstance(run, Run) else open_run(run), at, weights)
