"""How commands speak: results on standard output, problems on standard error, both readable."""

import sys
from functools import cache
from pathlib import Path
from typing import NoReturn

import click

from tollhouse.errors import ConfigError, ConfigErrors


def say(text: str = "") -> None:
    """A line of the result."""
    click.echo(text)


def warn(warning: ConfigError) -> None:
    """A configuration's flaw on standard error; it does not end the command."""
    click.echo(f"Warning: {warning}", err=True)


def fail(text: str, code: int = 1) -> NoReturn:
    """Ends the command with a message on standard error."""
    click.echo(f"Error: {text}", err=True)
    sys.exit(code)


def fail_config(errors: ConfigErrors, text: str | None = None) -> NoReturn:
    """Ends the command with every configuration error, each with the line that it is about."""
    lines = cache(_lines_of)
    count = len(errors.errors)
    click.echo(f"Error: {count} problem{'s' if count != 1 else ''} in the configuration\n", err=True)
    for error in errors.errors:
        click.echo(f"  {error}", err=True)
        shown = text.splitlines() if text is not None else lines(error.file)
        if error.line is not None and 0 < error.line <= len(shown):
            click.echo(f"    {error.line:>5} | {shown[error.line - 1]}", err=True)
    sys.exit(1)


def _lines_of(file: str | None) -> list[str]:
    path = Path(file) if file is not None else None
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path and path.is_file() else []
