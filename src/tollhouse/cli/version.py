"""tollhouse version: prints the version."""

import platform

import click

from tollhouse import __version__
from tollhouse.cli.output import say


@click.command("version")
@click.option("-a", "--all", "everything", is_flag=True, help="Also the versions of what it stands on.")
def command(*, everything: bool) -> None:
    """Print the version."""
    if not everything:
        say(__version__)
        return
    from importlib.metadata import version

    say(f"Tollhouse: {__version__}")
    say(f"Python: {platform.python_version()}")
    for name in ("uvloop", "msgspec", "PyYAML", "google-re2", "aiodns"):
        say(f"{name}: {version(name)}")
