"""tollhouse config parse: Kong's name for a check."""

from pathlib import Path

import click

from tollhouse.cli.config.sources import Workbench, file_or_folder
from tollhouse.cli.output import say


@click.command("parse")
@file_or_folder
def command(path: Path) -> None:
    """Check the file or folder PATH, as `kong config parse` does."""
    Workbench().snapshot_of(path)
    say("parse successful")
