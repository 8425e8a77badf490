"""tollhouse config diff: what a configuration would change where it runs."""

import sys
from pathlib import Path

import click

from tollhouse.cli.config.shown import tree
from tollhouse.cli.config.sources import Workbench, admin_url, file_or_folder, select_tags
from tollhouse.cli.output import say
from tollhouse.config.difference import difference


@click.command("diff")
@file_or_folder
@admin_url
@select_tags
@click.option("--exit-code", is_flag=True, help="Exit code 2 if there are changes.")
def command(path: Path, admin_url: str | None, tags: tuple[str, ...], exit_code: bool) -> None:
    """Show what PATH would change on a running node or in the database, as a tree."""
    bench = Workbench()
    wanted = bench.snapshot_of(path)
    place = bench.place(admin_url)
    changes = difference(bench.running(place), wanted, tags, bench.settings.router_flavor)
    say(f"compared with {place.name}")
    for line in tree(changes, bench.registry):
        say(line)
    if changes and exit_code:
        sys.exit(2)
