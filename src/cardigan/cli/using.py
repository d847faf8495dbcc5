"""Commands that use a trained run: generate, translate, chat."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cardigan.cli.common import RunName, Trust, app, only, trusted
from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from cardigan.run import Run

At = Annotated[int | None, typer.Option(metavar="SAMPLES", help="Of this checkpoint, not the newest.")]
Temperature = Annotated[
    float | None,
    typer.Option(help="Of sentences: below 1 safer, 0 the likeliest [1; of replies 0.7].", show_default=False),
]


TopK = Annotated[int | None, typer.Option(help="Of sentences: only the K likeliest tokens.", show_default=False)]


TopP = Annotated[
    float | None, typer.Option(help="Of sentences: only the likeliest tokens of this probability.", show_default=False)
]


@app.command()
def generate(
    run: RunName,
    n: Annotated[int | None, typer.Option("-n", min=1, help="Number of samples [64; sentences 20].")] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal samples.")] = 0,
    label: Annotated[str | None, typer.Option(help="Class name or index.")] = None,
    truncation: Annotated[float, typer.Option(help="Below 1: better samples, less variety.")] = 1.0,
    out: Annotated[
        Path | None, typer.Option(help="A file (.png, .gif) for one grid, a folder for one file each.")
    ] = None,
    interpolate: Annotated[bool, typer.Option("--interpolate", help="Walk from latent to latent.")] = False,
    prompt: Annotated[str, typer.Option(help="What every sentence begins with.")] = "",
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    at: At = None,
    trust: Trust = None,
) -> None:
    """Make samples with a trained run; sentences are printed unless --out names a file."""
    from cardigan.generate import load, write_samples
    from cardigan.run import open_run

    with trusted(trust):
        opened = open_run(run)
        if opened.recipe.game.writes:
            only("of pictures", label=label, truncation=truncation != 1 or None, interpolate=interpolate or None)
            _write_sentences(opened, at, n or 20, seed, prompt, (temperature, top_k, top_p), out)
            return
        model = load(opened, at)
    only("of sentences", prompt=prompt or None, temperature=temperature, top_k=top_k, top_p=top_p)
    n = n or 64
    make = model.interpolate if interpolate else model.generate
    samples = make(n, seed=seed, label=label, truncation=truncation)
    target = out or model.run.folder / "generated" / f"seed-{seed}{model.codec.extension}"
    written = write_samples(model, samples, target)
    typer.echo(f"{n} sample{'s' if n > 1 else ''} -> {target if len(written) == 1 else f'{target}/ (a file each)'}")


def _write_sentences(
    run: "Run",
    at: int | None,
    n: int,
    seed: int,
    prompt: str,
    how: tuple[float | None, int | None, float | None],
    out: Path | None,
) -> None:
    from cardigan.data.sentence_codec import page
    from cardigan.files import writable
    from cardigan.writing import load_writer

    text = page(load_writer(run, at).generate(n, seed=seed, how=sampling_of(*how), prompt=prompt))
    if out is None:
        typer.echo(text)
        return
    with writable(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"{text}\n", "utf-8")
    typer.echo(f"{n} sentence{'s' if n > 1 else ''} -> {out}")


def sampling_of(temperature: float | None, top_k: int | None, top_p: float | None) -> Any:
    """How sentences are drawn; what is None is left as it is by default."""
    from cardigan.networks.sequences.sampling import Sampling

    given = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    return Sampling(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


@app.command()
def translate(
    run: RunName,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="[INPUT]...", help="Pictures, folders, globs; or text files.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option("--text", metavar="SENTENCE", help="Of sentences: translate this one.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="For what is made [RUN/translated].")] = None,
    direction: Annotated[str, typer.Option(metavar="forward|backward", help="Backward: the way back.")] = "forward",
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The hole to be filled, white on black; or transparent pixels.")
    ] = None,
    side_by_side: Annotated[bool, typer.Option("--side-by-side", help="Input and output in one picture.")] = False,
    tile: Annotated[int | None, typer.Option(metavar="PIXELS", help="Made at once; fewer take less memory.")] = None,
    at: At = None,
    trust: Trust = None,
) -> None:
    """Make pictures from pictures of one's own with a trained run, or sentences from sentences; names stay."""
    from rich.console import Console

    from cardigan.run import open_run
    from cardigan.training.progress import Reading
    from cardigan.translate import load_translator

    with trusted(trust):
        opened = open_run(run)
        if opened.recipe.game.writes:
            only("of pictures", mask=mask, side_by_side=side_by_side or None, tile=tile)
            only("that go both ways", direction=None if direction == "forward" else direction)
            _translate_sentences(opened, at, inputs or [], text or [], out)
            return
        only("of sentences", text=text or None)
        if not inputs:
            raise CardiganError("nothing was named that could be translated; allowed: pictures, folders, globs")
        translation = load_translator(opened, at, direction=direction, tile=tile)
    with Reading(Console(stderr=True)) as reading:
        found = translation.translate_files(inputs, out, mask=mask, side_by_side=side_by_side, watch=reading.watch)
    for line in found.remarks():
        typer.echo(line, err=True)
    typer.echo(found.summary())


def _translate_sentences(run: "Run", at: int | None, files: list[str], texts: list[str], out: Path | None) -> None:
    from rich.console import Console

    from cardigan.training.progress import Reading
    from cardigan.writing import load_writer

    if not files and not texts:
        raise CardiganError('nothing was named that could be translated; allowed: --text "SENTENCE", or text files')
    writing = load_writer(run, at)
    for text, answer in zip(texts, writing.translate(texts), strict=True):
        if answer.cut:
            typer.echo(f"note: only the beginning of {text[:40]!r}... was read: it is too long", err=True)
        typer.echo(answer.text)
    if files:
        with Reading(Console(stderr=True)) as reading:
            for path in writing.translate_files(files, out, watch=reading.watch):
                typer.echo(f"-> {path}")


@app.command()
def chat(
    run: RunName,
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal replies.")] = 0,
    at: At = None,
    trust: Trust = None,
) -> None:
    """Talk with a run that was trained on conversations; Ctrl-D leaves."""
    from cardigan.writing import load_writer

    with trusted(trust):
        writing = load_writer(run, at)
    if not writing.paired:
        raise CardiganError(f"{run}: it replies to nothing; use it so: {writing.codec.usage(run)}")
    how, turns = sampling_of(0.7 if temperature is None else temperature, top_k, top_p), list[str]()
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            said = input(prompt).strip()
        except EOFError:
            return
        if said:
            turns.append(said)
            answer = writing.reply(turns, seed=seed + len(turns), how=how)
            if answer.cut:
                typer.echo("note: only the end of that was read: it is too long", err=True)
            turns.append(answer.text)
            typer.echo(answer.text)
