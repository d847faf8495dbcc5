"""The command line: every command is one call of the Python API."""

import os
import sys
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from cardigan.run import Run

app = typer.Typer(
    help="Trains, judges and ships generative adversarial networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Such as training.samples=200k.", show_default=False),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, a run's name, or 'last'.")]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="MODULE", help="Let the recipe name things in this Python module of yours."),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from cardigan import __version__

        typer.echo(f"cardigan {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")]


@app.callback()
def options(version: Version = False) -> None:
    """Trains, judges and ships generative adversarial networks."""


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name, auto, or a YAML file.")],
    overrides: Overrides = None,
    data: Annotated[str | None, typer.Option(metavar="SOURCE", help="What to train on, instead.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder [runs/RECIPE-0001 ...].")] = None,
    guard: Annotated[
        bool | None, typer.Option("--guard/--no-guard", help="Act when training goes wrong [guard].")
    ] = None,
    rehearsed: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take: a few rounds, nothing written.")
    ] = False,
    trust: Trust = None,
) -> None:
    """Train a recipe."""
    from cardigan.training.session import rehearse
    from cardigan.training.session import train as train_recipe

    guarded = () if guard is None else (f"guard.enabled={str(guard).lower()}",)
    with _trusting(trust):
        if rehearsed:
            loaded, told = rehearse(recipe, (*(overrides or ()), *guarded), data=data, progress=_terminal())
            typer.echo("\n".join(told.lines(loaded)))
        else:
            train_recipe(recipe, (*(overrides or ()), *guarded), data=data, out=out, progress=_terminal())


@app.command()
def resume(
    run: RunName,
    overrides: Overrides = None,
    at: Annotated[int | None, typer.Option(metavar="SAMPLES", help="Go on from this checkpoint instead.")] = None,
    trust: Trust = None,
) -> None:
    """Continue a run, bit for bit, from its newest checkpoint."""
    from cardigan.training.session import resume as resume_run

    with _trusting(trust):
        resume_run(run, overrides or (), at=at, progress=_terminal())


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A name, a path, or OWNER/NAME on the hub.")],
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="For sheets and report [inspections/NAME].")] = None,
    most: Annotated[
        int | None, typer.Option("--most", min=1, metavar="N", help="Look at N random pictures of each split only.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Name every picture that something is wrong with.")] = False,
    timed: Annotated[bool, typer.Option("--time/--no-time", help="Play a few rounds to tell the time.")] = True,
) -> None:
    """Check pictures or text before training: what there is, what is broken, what repeats; propose a recipe."""
    from rich.console import Console

    from cardigan.inspection.text import is_text
    from cardigan.training.progress import Reading

    with Reading(Console(stderr=True)) as reading:
        if is_text(source):
            from cardigan.check_text import check_text

            lines = check_text(source, overrides or (), out=out, watch=reading.watch).lines()
        else:
            from cardigan.check import check

            found = check(source, overrides or (), out=out, most=most, timed=timed, watch=reading.watch)
            lines = found.lines(everything)
    for line in lines:
        typer.echo(line)


Temperature = Annotated[
    float | None, typer.Option(help="Of sentences: below 1 safer, 0 the likeliest [1].", show_default=False)
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
    at: Annotated[int | None, typer.Option(metavar="SAMPLES", help="Of this checkpoint, not the newest.")] = None,
    trust: Trust = None,
) -> None:
    """Make samples with a trained run; sentences are printed unless --out names a file."""
    from cardigan.generate import load, write_samples
    from cardigan.run import open_run

    with _trusting(trust):
        opened = open_run(run)
        if opened.recipe.game.writes:
            _only("of pictures", label=label, truncation=truncation != 1 or None, interpolate=interpolate or None)
            _write_sentences(opened, at, n or 20, seed, prompt, (temperature, top_k, top_p), out)
            return
        model = load(opened, at)
    _only("of sentences", prompt=prompt or None, temperature=temperature, top_k=top_k, top_p=top_p)
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

    text = page(load_writer(run, at).generate(n, seed=seed, how=_sampling(*how), prompt=prompt))
    if out is None:
        typer.echo(text)
        return
    with writable(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(f"{text}\n", "utf-8")
    typer.echo(f"{n} sentence{'s' if n > 1 else ''} -> {out}")


def _sampling(temperature: float | None, top_k: int | None, top_p: float | None) -> Any:
    from cardigan.networks.sequences.sampling import Sampling

    given = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    return Sampling(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _only(what: str, **options: Any) -> None:
    """Refuse options that belong to another kind of samples."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        raise CardiganError(f"{', '.join(given)}: only for runs {what}")


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
    at: Annotated[int | None, typer.Option(metavar="SAMPLES", help="Of this checkpoint, not the newest.")] = None,
    trust: Trust = None,
) -> None:
    """Make pictures from pictures of one's own with a trained run, or sentences from sentences; names stay."""
    from rich.console import Console

    from cardigan.run import open_run
    from cardigan.training.progress import Reading
    from cardigan.translate import load_translator

    with _trusting(trust):
        opened = open_run(run)
        if opened.recipe.game.writes:
            _only("of pictures", mask=mask, side_by_side=side_by_side or None, tile=tile)
            _only("that go both ways", direction=None if direction == "forward" else direction)
            _translate_sentences(opened, at, inputs or [], text or [], out)
            return
        _only("of sentences", text=text or None)
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
    at: Annotated[int | None, typer.Option(metavar="SAMPLES", help="Of this checkpoint, not the newest.")] = None,
    trust: Trust = None,
) -> None:
    """Talk with a run that was trained on conversations; Ctrl-D leaves."""
    from cardigan.writing import load_writer

    with _trusting(trust):
        writing = load_writer(run, at)
    if not writing.paired:
        raise CardiganError(f"{run}: it replies to nothing; use it so: {writing.codec.usage(run)}")
    how, turns = _sampling(0.7 if temperature is None else temperature, top_k, top_p), list[str]()
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            said = input(prompt).strip()
        except EOFError:
            return
        if said:
            turns.append(said)
            turns.append(writing.reply(turns, seed=seed + len(turns), how=how))
            typer.echo(turns[-1])


@app.command()
def evaluate(
    subject: Annotated[str, typer.Argument(metavar="RUN|FOLDER", help="A run, or pictures (with --against SOURCE).")],
    overrides: Overrides = None,
    metrics: Annotated[str, typer.Option(metavar="KEYS", help="Such as fd,kd,is,prdc; all: the slow ones too.")] = "",
    samples: Annotated[int | None, typer.Option(min=2, metavar="N", help="Generated samples.")] = None,
    extractor: Annotated[
        str | None, typer.Option(metavar="NAME", help="local, inception, dinov2, clip, minilm, raw, or an .onnx file.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(metavar="best|last|SAMPLES", help="Which checkpoint.")] = "best",
    against: Annotated[
        str | None,
        typer.Option(metavar="test|train|SOURCE", help="The real samples; SOURCE:train for its train split."),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="The generator itself, not its average.")] = False,
    truncation: Annotated[float, typer.Option(help="Below 1: better samples, less variety.")] = 1.0,
    direction: Annotated[str, typer.Option(metavar="forward|backward", help="Of a translator.")] = "forward",
    temperature: Temperature = None,
    top_k: TopK = None,
    top_p: TopP = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="Judge simpler ways beside it.")] = False,
    on: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Other pictures for what is judged picture by picture.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the generated samples.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="For the report [the run's folder].")] = None,
    trust: Trust = None,
) -> None:
    """Judge a run, or a folder of pictures: scores with intervals, what real samples reach beside, a report."""
    from rich.console import Console

    from cardigan.evaluation import terminal
    from cardigan.evaluation.evaluate import evaluate as judge
    from cardigan.training.progress import Reading

    given = (temperature, top_k, top_p)
    with _trusting(trust), Reading(Console(stderr=True)) as reading:
        found, page = judge(
            subject,
            against=against,
            overrides=overrides or (),
            metrics=[key.strip() for key in metrics.split(",") if key.strip()],
            samples=samples,
            extractor=extractor,
            checkpoint=checkpoint,
            weights="raw" if raw else "average",
            truncation=truncation,
            direction=direction,  # type: ignore[arg-type]
            sampling=None if given == (None, None, None) else _sampling(*given),
            baselines=baselines,
            on=on,
            seed=seed,
            out=out,
            watch=reading.watch,
        )
    for line in terminal.lines(found, page):
        typer.echo(line)


@app.command()
def compare(
    subjects: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Evaluated runs or folders of reports.")],
    force: Annotated[bool, typer.Option("--force", help="Print what may not be ranked together apart.")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="For the table and the page.")] = Path("comparisons"),
) -> None:
    """Rank evaluated runs; scores whose protocols differ are refused."""
    from cardigan.evaluation.compare import compare as rank

    compared, folder = rank(subjects, force=force, out=out)
    for line in compared.lines():
        typer.echo(line)
    typer.echo(f"page: {folder / 'comparison.html'}")


@app.command()
def audit(
    subject: Annotated[str, typer.Argument(metavar="RUN|FOLDER", help="A run, or pictures (with --against SOURCE).")],
    overrides: Overrides = None,
    attribute: Annotated[
        str, typer.Option(metavar="label|CSV", help="The data's labels, or a table of an attribute by file name.")
    ] = "label",
    against: Annotated[str | None, typer.Option(metavar="SOURCE", help="The real pictures, for a folder.")] = None,
    samples: Annotated[int | None, typer.Option(min=2, metavar="N", help="Generated samples [5000].")] = None,
    checkpoint: Annotated[str, typer.Option(metavar="best|last|SAMPLES", help="Which checkpoint.")] = "best",
    seed: Annotated[int, typer.Option(help="Of the generated samples.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="For the report [the run's folder].")] = None,
    trust: Trust = None,
) -> None:
    """Find groups that a run generates too often, too rarely or too badly."""
    from rich.console import Console

    from cardigan.evaluation.auditing import audit_subject
    from cardigan.training.progress import Reading

    with _trusting(trust), Reading(Console(stderr=True)) as reading:
        found, folder = audit_subject(
            subject,
            attribute,
            against=against,
            overrides=overrides or (),
            samples=samples,
            checkpoint=checkpoint,
            seed=seed,
            out=out,
            watch=reading.watch,
        )
    for line in found.lines():
        typer.echo(line)
    typer.echo(f"report: {folder / 'audit.html'}")


@app.command()
def doctor(
    run: RunName,
    watch: Annotated[bool, typer.Option("--watch", help="Again after every new reading, until the run ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs; with --watch a line each time.")] = False,
    equilibrium: Annotated[
        bool, typer.Option("--equilibrium", help="Measure the duality gap instead: how far from an equilibrium.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of each opponent, for --equilibrium [500].")
    ] = None,
    at: Annotated[int | None, typer.Option(metavar="SAMPLES", help="Of this checkpoint, for --equilibrium.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of fresh opponents, for --equilibrium [0].")] = None,
    trust: Trust = None,
) -> None:
    """Say what is wrong with a run, since when, and what helps, also while it trains; exit code 0 however ill it is."""
    if equilibrium:
        if watch:
            raise CardiganError("--watch: not with --equilibrium, which trains opponents of its own")
        _weigh(run, as_json, {"steps": steps, "at": at, "seed": seed}, trust)
        return
    given = [f"--{name}" for name, value in {"steps": steps, "at": at, "seed": seed}.items() if value is not None]
    if given:
        raise CardiganError(f"{', '.join(given)}: only with --equilibrium")
    from cardigan.doctor import examine
    from cardigan.doctor import watch as follow

    if not watch:
        found = examine(run)
        _tell(found, as_json, indent=1)
        return
    try:
        for number, found in enumerate(follow(run)):
            if number and not as_json:
                typer.echo()
            _tell(found, as_json)
    except KeyboardInterrupt:  # the usual way to leave
        return


def _weigh(run: str, as_json: bool, options: dict[str, int | None], trust: list[str] | None) -> None:
    from rich.console import Console

    from cardigan.equilibrium import measure
    from cardigan.training.progress import Reading

    given = {name: value for name, value in options.items() if value is not None}
    with _trusting(trust), Reading(Console(stderr=True)) as reading:
        found = measure(run, **given, watch=reading.watch)
    _tell(found, as_json, indent=1)


def _tell(found: Any, as_json: bool, indent: int | None = None) -> None:
    """What has `lines` for people and `plain` for programs, to standard output."""
    import json

    lines = [json.dumps(found.plain(), indent=indent)] if as_json else found.lines()
    for line in lines:
        typer.echo(line)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this one in full, as YAML.")] = None,
) -> None:
    """List the shipped recipes, or show one in full."""
    if name is not None:
        from cardigan.recipe import load_recipe

        typer.echo(load_recipe(name).yaml(), nl=False)
        return
    from cardigan.recipes import summaries

    lines = {
        "auto": "Looks at your own pictures or texts and chooses a recipe for them (give --data SOURCE)",
        **summaries(),
    }
    width = max(map(len, lines))
    for each, about in lines.items():
        typer.echo(f"{each:<{width}}  {about}")


@app.command()
def runs() -> None:
    """List the runs that are here."""
    from cardigan.run import RUNS, all_runs

    found = all_runs()
    if not found:
        typer.echo(f"there is no run under {RUNS}/ yet; try: cardigan train digits")
    width = max((len(run.name) for run in found), default=0)
    for run in found:
        typer.echo(f"{run.name:<{width}}  {_describe(run)}")


cache_app = typer.Typer(help="What data was read into, and may be removed at any time.", invoke_without_command=True)
app.add_typer(cache_app, name="cache")


@cache_app.callback()
def cache(context: typer.Context) -> None:
    """List what data was read into: each entry's key, size, age and source."""
    if context.invoked_subcommand is not None:
        return
    from cardigan.data import store

    found = store.entries()
    room = store.room()
    size = sum(each.size for each in found)
    typer.echo(f"{store.place()}: {_amount(len(found))}, {_bytes(size)}; {_bytes(room)} free there")
    for each in found:
        made = datetime.fromtimestamp(each.made).strftime("%Y-%m-%d %H:%M")
        typer.echo(f"{each.key[:12]}  {each.kind:<8}  {_bytes(each.size):>9}  {made}  {each.state:<10}  {each.source}")


@cache_app.command()
def clear(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Only this entry; its first letters do.")] = None,
) -> None:
    """Remove everything from the cache, or one entry; it is made again when it is needed."""
    from cardigan.data import store

    removed = store.clear(key)
    size = sum(each.size for each in removed)
    typer.echo(f"removed {_amount(len(removed))}, {_bytes(size)}" if removed else "there is nothing to remove")


def _amount(count: int) -> str:
    return "empty" if count == 0 else "1 entry" if count == 1 else f"{count:,} entries"


def _bytes(count: float) -> str:
    """A number of bytes for people: "3.1 MiB"."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def _describe(run: "Run") -> str:
    """Recipe, samples seen, state, last scores of one run, without loading its recipe's networks."""
    try:
        summary = run.summary()
    except CardiganError as error:
        return f"unreadable: {error}"
    scores = "  ".join(f"{name} {value:.3g}" for name, value in summary.scores.items())
    return f"{summary.recipe:<20} {summary.clock:>12,} samples  {summary.state:<12} {scores}"


def _trusting(modules: list[str] | None) -> AbstractContextManager[None]:
    """Trust `modules`, which are looked for in the working folder too, as with `python -m`."""
    from cardigan.settings import trusting

    if modules:
        sys.path.insert(0, str(Path.cwd()))
    return trusting(*modules or ())


def _terminal() -> Any:
    from rich.console import Console

    from cardigan.training.progress import Terminal

    return Terminal(Console())


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `cardigan` command: errors in one line; exit code 2, or 130 and 143 after a signal."""
    try:
        code = app(arguments, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        _fail("stopped", 130)
    except CardiganError as error:
        _fail(f"error: {error}", 2)
    except BrokenPipeError:  # the reader of our output has left, as `cardigan recipes | head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        _fail(*_known(error))
    sys.exit(code if isinstance(code, int) else 0)


def _known(error: Exception) -> tuple[str, int]:
    """Message and exit code of an error told apart by its shape: the classes are Typer's own, or not imported yet."""
    if hasattr(error, "format_message"):  # a usage error of the command line parser
        context = getattr(error, "ctx", None)
        see = f" (see: {context.command_path} --help)" if context else ""
        return f"error: {error.format_message()}{see}", 2
    if isinstance(number := getattr(error, "number", None), int):  # training.session.Interrupted
        run = error.run  # type: ignore[attr-defined]
        return f"{error}; everything is saved. To go on: cardigan resume {run.folder}", 128 + number
    raise error


def _fail(message: str, code: int) -> NoReturn:
    print(" ".join(message.split()), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
