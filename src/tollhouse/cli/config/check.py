"""tollhouse config check: a file or a folder, without serving it."""

from pathlib import Path

import click

from tollhouse.cli.check import summary
from tollhouse.cli.config.sources import Workbench, file_or_folder
from tollhouse.cli.output import say


@click.command("check")
@file_or_folder
def command(path: Path) -> None:
    """Check the file or folder PATH; every problem is shown with its line."""
    say(f"configuration at {path} is valid: {summary(Workbench().snapshot_of(path))}")
