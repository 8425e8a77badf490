"""tollhouse config db_import: Kong's name for bringing a file into the database."""

from pathlib import Path

import click

from tollhouse.cli.config.sources import Workbench, file_or_folder
from tollhouse.cli.config.sync import carry_out
from tollhouse.cli.output import fail, say


@click.command("db_import")
@file_or_folder
def command(path: Path) -> None:
    """Add and update the entities of PATH in the database; nothing is deleted."""
    bench = Workbench()
    if bench.settings.database == "off":
        fail("'config db_import' only works with a database: set KONG_DATABASE=postgres")
    bench.snapshot_of(path)
    say("parse successful, beginning import")
    carry_out(path, None, (), dry_run=False, deletes=False)
    say("import successful")
