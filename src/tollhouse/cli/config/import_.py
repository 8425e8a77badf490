"""tollhouse config import: adds and updates, deletes nothing."""

from pathlib import Path

import click

from tollhouse.cli.config.sources import admin_url, file_or_folder, select_tags
from tollhouse.cli.config.sync import carry_out


@click.command("import")
@file_or_folder
@admin_url
@select_tags
@click.option("--dry-run", is_flag=True, help="Show the changes and make none.")
def command(path: Path, admin_url: str | None, tags: tuple[str, ...], dry_run: bool) -> None:
    """Add and update the entities of PATH, all of them or none; what it does not name stays."""
    carry_out(path, admin_url, tags, dry_run=dry_run, deletes=False)
