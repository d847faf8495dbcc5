"""What commands share: the app they belong to, arguments that many of them take, how they print."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from cardigan.errors import CardiganError

app = typer.Typer(
    help="Trains, judges and ships generative adversarial networks.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Such as training.samples=200k.", show_default=False),
]
DataOverrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Of the real data, such as data.size=64.", show_default=False),
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, a run's name, or 'last'.")]
Trust = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="MODULE", help="Let the recipe name things in this Python module of yours."),
]


def trusted(modules: list[str] | None) -> AbstractContextManager[None]:
    """Trust `modules`, which are looked for in the working folder too, as with `python -m`."""
    from cardigan.settings import trusting

    if modules:
        sys.path.insert(0, str(Path.cwd()))
    return trusting(*modules or ())


def terminal() -> Any:
    """Progress as lines and bars in the terminal."""
    from rich.console import Console

    from cardigan.training.progress import Terminal

    return Terminal(Console())


def only(what: str, **options: Any) -> None:
    """Refuse options that belong to another kind of samples."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        raise CardiganError(f"{', '.join(given)}: only for runs {what}")


def tell(found: Any, as_json: bool, indent: int | None = None) -> None:
    """What has `lines` for people and `plain` for programs, to standard output."""
    import json

    lines = [json.dumps(found.plain(), indent=indent)] if as_json else found.lines()
    for line in lines:
        typer.echo(line)
