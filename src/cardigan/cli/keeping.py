"""Commands that list what there is and clear it away: recipes, runs, cache."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cardigan.cli.common import Overrides, Trust, app, trusted
from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from cardigan.run import Run


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this one in full, as YAML.")] = None,
    overrides: Overrides = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what every field means and allows.")] = False,
    trust: Trust = None,
) -> None:
    """List the shipped recipes, or show one in full."""
    if name is not None:
        from cardigan.explanation import explained
        from cardigan.recipe import load_recipe

        with trusted(trust):
            recipe = load_recipe(name, overrides or ())
        typer.echo(explained(recipe) if explain else recipe.yaml(), nl=False)
        return
    if explain:
        raise CardiganError("--explain: needs the name of a recipe")
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
