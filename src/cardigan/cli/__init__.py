"""The command line: every command is one call of the Python API."""

import os
import sys
from typing import Annotated, NoReturn

import typer

from cardigan.cli.common import app
from cardigan.errors import CardiganError

# Each adds its commands to the app, in the order in which `cardigan --help` shows them.
# isort: off
from cardigan.cli import training  # noqa: F401
from cardigan.cli import using  # noqa: F401
from cardigan.cli import judging  # noqa: F401
from cardigan.cli import keeping  # noqa: F401
# isort: on

__all__ = ["app", "main"]


def _show_version(wanted: bool) -> None:
    if wanted:
        from cardigan import __version__

        typer.echo(f"cardigan {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")]


@app.callback()
def options(version: Version = False) -> None:
    """Trains, judges and ships generative adversarial networks."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `cardigan` command: errors in one line; exit code 2, or 130 and 143 after a signal."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(given or ["--help"], standalone_mode=False)
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
