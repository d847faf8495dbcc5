"""Commands that judge: evaluate, compare, audit, doctor."""

from pathlib import Path
from typing import Annotated

import typer

from cardigan.cli.common import DataOverrides, RunName, Trust, app, tell, trusted
from cardigan.cli.using import Temperature, TopK, TopP, sampling_of
from cardigan.errors import CardiganError


@app.command()
def evaluate(
    subject: Annotated[str, typer.Argument(metavar="RUN|FOLDER", help="A run, or pictures (with --against SOURCE).")],
    overrides: DataOverrides = None,
    metrics: Annotated[str, typer.Option(metavar="KEYS", help="Such as fd,kd,is,prdc; all: the slow ones too.")] = "",
    samples: Annotated[
        int | None, typer.Option(min=2, metavar="N", help="Generated samples [as many as real ones, 1,000 to 10,000].")
    ] = None,
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
    with trusted(trust), Reading(Console(stderr=True)) as reading:
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
            sampling=None if given == (None, None, None) else sampling_of(*given),
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
    overrides: DataOverrides = None,
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

    with trusted(trust), Reading(Console(stderr=True)) as reading:
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
        tell(found, as_json, indent=1)
        return
    try:
        for number, found in enumerate(follow(run)):
            if number and not as_json:
                typer.echo()
            tell(found, as_json)
    except KeyboardInterrupt:  # the usual way to leave
        return


def _weigh(run: str, as_json: bool, options: dict[str, int | None], trust: list[str] | None) -> None:
    from rich.console import Console

    from cardigan.equilibrium import measure
    from cardigan.training.progress import Reading

    given = {name: value for name, value in options.items() if value is not None}
    with trusted(trust), Reading(Console(stderr=True)) as reading:
        found = measure(run, **given, watch=reading.watch)
    tell(found, as_json, indent=1)
