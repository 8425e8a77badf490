"""tollhouse config diff: what a configuration would change where it runs."""

import sys
from pathlib import Path

import click

from tollhouse.cli.config.shown import left_alone, tree
from tollhouse.cli.config.sources import Workbench, admin_url, all_owners, file_or_folder, select_tags
from tollhouse.cli.output import say


@click.command("diff")
@file_or_folder
@admin_url
@select_tags
@all_owners
@click.option("--exit-code", is_flag=True, help="Exit code 2 if there are changes.")
def command(
    path: Path, admin_url: str | None, tags: tuple[str, ...], all_owners: bool, exit_code: bool
) -> None:
    """Show what PATH would change on a running node or in the database, as a tree."""
    bench = Workbench()
    wanted = bench.snapshot_of(path)
    place = bench.place(admin_url)
    division = bench.divided(place, bench.running(place), wanted, tags, all_owners=all_owners)
    say(f"compared with {place.name}")
    for line in (*tree(division.changes, bench.registry), *left_alone(division.left_alone)):
        say(line)
    if division.changes and exit_code:
        sys.exit(2)
