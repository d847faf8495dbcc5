"""Commands that train: train, resume, inspect."""

from pathlib import Path
from typing import Annotated

import typer

from cardigan.cli.common import Overrides, RunName, Trust, app, terminal, trusted


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
    from cardigan.distributed import is_first
    from cardigan.training.session import rehearse
    from cardigan.training.session import train as train_recipe

    guarded = () if guard is None else (f"guard.enabled={str(guard).lower()}",)
    with trusted(trust):
        if rehearsed:
            loaded, told = rehearse(recipe, (*(overrides or ()), *guarded), data=data, progress=terminal())
            if is_first():
                typer.echo("\n".join(told.lines(loaded)))
        else:
            train_recipe(recipe, (*(overrides or ()), *guarded), data=data, out=out, progress=terminal())


@app.command()
def resume(
    run: RunName,
    overrides: Overrides = None,
    at: Annotated[int | None, typer.Option(metavar="SAMPLES", help="Go on from this checkpoint instead.")] = None,
    trust: Trust = None,
) -> None:
    """Continue a run, bit for bit, from its newest checkpoint."""
    from cardigan.training.session import resume as resume_run

    with trusted(trust):
        resume_run(run, overrides or (), at=at, progress=terminal())


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
